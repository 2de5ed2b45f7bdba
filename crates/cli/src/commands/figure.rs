//! `sharpness figure`: draws the figure of a recipe from its finished runs.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::Args;
use serde::Serialize;
use sharpness_data::{Dataset, Locations};
use sharpness_runs::{CompareExamples, Plan, Report, RunStore, RunTable};
use sharpness_study::figures::{Figure, Line};
use sharpness_training::measures::SubsetSize;
use sharpness_training::{Budget, MeasureProgress};

use crate::args::{ExampleCounts, MemoryArg, start_threads};
use crate::exit::{EXIT_CODES, Exit};
use crate::interrupt::Interrupt;
use crate::measuring::{TEMPLATE, message};
use crate::output::{Progress, line, note, print, print_json};

/// A recipe with a figure, and where its runs are.
#[derive(Args, Debug)]
#[command(after_help = EXIT_CODES)]
pub(super) struct FigureCommand {
    /// The recipe; its table `figure` says what to draw
    recipe: PathBuf,

    /// The directory of the runs
    #[arg(long, value_name = "DIR", default_value = "runs")]
    store: PathBuf,

    /// Draw the runs of a table written by `runs export` (CSV or Parquet) instead of those of a store; repeatable
    #[arg(long = "table", value_name = "FILE", conflicts_with_all = ["store", "examples"])]
    tables: Vec<PathBuf>,

    /// Write the picture (SVG and PNG), its table (CSV) and its caption into this directory
    #[arg(long, value_name = "DIR", default_value = "figures")]
    out: PathBuf,

    #[command(flatten)]
    examples: ExamplesArg,

    /// Look for data sets in this directory first
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,

    #[command(flatten)]
    memory: MemoryArg,

    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

/// The JSON document of a figure: its files, and every number in it.
#[derive(Serialize)]
pub(super) struct Drawn {
    pub(super) figure: String,
    pub(super) caption: String,
    runs_done: usize,
    runs_planned: usize,
    pub(super) files: Vec<String>,
    /// The names of the rows of panels, which lines name by their index.
    panels: Vec<String>,
    lines: Vec<Line>,
    /// λ_max on several numbers of examples, by the names of the runs that have it.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    subset_sizes: BTreeMap<String, Vec<SubsetSize>>,
}

impl Drawn {
    /// The figure `name`, which was written to `files`.
    pub(super) fn new(name: &str, figure: &Figure, files: &[PathBuf]) -> Self {
        Self {
            figure: name.to_owned(),
            caption: figure.caption(),
            runs_done: figure.reports.len(),
            runs_planned: figure.planned,
            files: files.iter().map(|file| file.display().to_string()).collect(),
            panels: figure.panels.clone(),
            lines: figure.lines.clone(),
            subset_sizes: figure.subset_sizes.clone(),
        }
    }
}

/// Numbers of examples to compare.
#[derive(Args, Debug)]
pub(super) struct ExamplesArg {
    /// Also show how λ_max depends on the examples: measure the runs of the first seed on these numbers of them
    #[arg(long, value_name = "N,N,all")]
    examples: Option<ExampleCounts>,
}

impl ExamplesArg {
    /// Fails if the memory limit is too small for [`Self::compare`], before any run starts.
    pub(super) fn check(
        &self,
        plan: &Plan,
        store: &RunStore,
        (locations, budget): (&Locations, Budget),
    ) -> Result<()> {
        let Some(ExampleCounts(sizes)) = self.examples.as_ref().filter(|_| budget.is_asked()) else {
            return Ok(());
        };
        let load = |name| Dataset::load(name, locations);
        Ok(CompareExamples { plan, store, sizes, budget, load: &load }.check_memory()?)
    }

    /// Measures what is not measured yet.
    pub(super) fn compare(
        &self,
        plan: &Plan,
        store: &RunStore,
        (locations, budget): (&Locations, Budget),
        interrupt: &Interrupt,
    ) -> Result<()> {
        let Some(ExampleCounts(sizes)) = &self.examples else { return Ok(()) };
        let load = |name| Dataset::load(name, locations);
        let compare = CompareExamples { plan, store, sizes, budget, load: &load };
        let mut bar = Progress::new(TEMPLATE);
        let mut observer = |(run, runs): (usize, usize), progress: &MeasureProgress| {
            bar.update(0, 0, || format!("run {run} of {runs}: {}", message(progress)));
        };
        match compare.run(&mut observer, &|| interrupt.is_raised()) {
            Err(sharpness_runs::Error::Training(sharpness_training::Error::MeasureStopped)) => Ok(()),
            done => Ok(done?),
        }
    }
}

/// The memory for fonts and the picture of a figure, in bytes.
pub(super) const DRAWING_BYTES: usize = 8 << 20;

/// The runs of all tables.
fn reports(tables: &[PathBuf]) -> Result<Vec<Report>> {
    let mut reports = Vec::new();
    for path in tables {
        let table = RunTable::read(path)?;
        reports
            .extend(table.reports().with_context(|| format!("cannot draw the runs of {}", path.display()))?);
    }
    Ok(reports)
}

/// Draws the figure.
pub(super) fn run(command: &FigureCommand) -> Result<Exit> {
    let interrupt = Interrupt::listen()?;
    start_threads(None)?;
    let budget = command.memory.budget();
    let plan = Plan::read(&command.recipe)?;
    let figure = if command.tables.is_empty() {
        let store = RunStore::existing(&command.store)?;
        let locations = Locations::of_process(command.data_dir.clone());
        command.examples.compare(&plan, &store, (&locations, budget.less(DRAWING_BYTES)), &interrupt)?;
        budget.left(DRAWING_BYTES)?;
        Figure::new(&plan, &store)
    } else {
        Figure::of_reports(&plan, &reports(&command.tables)?)
    };
    let figure = figure.with_context(|| format!("cannot draw {}", command.recipe.display()))?;
    figure.damaged.iter().for_each(|damage| note(damage));
    let name = command.recipe.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    let files = figure.write(&command.out, &name)?;
    if let Some(text) = figure.nothing_drawn() {
        note(&format!("{text}."));
    }
    if figure.reports.len() < figure.planned {
        note(&format!(
            "only {} of {} runs are done; `sharpness sweep` runs the others",
            figure.reports.len(),
            figure.planned
        ));
    }
    let drawn = Drawn::new(&name, &figure, &files);
    if command.json {
        print_json(&drawn)?;
    } else {
        let mut text = String::new();
        line(&mut text, "figure", &drawn.caption);
        for file in &drawn.files {
            line(&mut text, "", file);
        }
        print(&text)?;
    }
    Ok(if interrupt.is_raised() { Exit::Interrupted } else { Exit::Done })
}
