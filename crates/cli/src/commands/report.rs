//! `sharpness report`: one page of HTML with the figures, verdicts and tables of a store.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Args;
use serde::Serialize;
use sharpness_runs::{PaperFigure, Plan, RunStore, Scale, write_file};
use sharpness_study::claims::{Cell, Claims, Finding, Run};
use sharpness_study::figures::Figure;
use sharpness_study::page::{Page, PageFigure};

use super::figure::Drawn;
use super::runs::Choice;
use crate::exit::{EXIT_CODES, Exit};
use crate::output::{line, plural, print, print_json};
use crate::program::Suggestion;

/// The runs to show, and how to draw them.
#[derive(Args, Debug)]
#[command(after_help = EXIT_CODES)]
pub(super) struct ReportCommand {
    /// Recipes of further figures; the paper's figures are always drawn if the store has runs of theirs
    recipes: Vec<PathBuf>,

    #[command(flatten)]
    choice: Choice,

    /// Write the page to this file
    #[arg(long, value_name = "FILE", default_value = "report.html")]
    out: PathBuf,

    /// The title of the page
    #[arg(long, value_name = "TEXT", default_value = "How sharp are these minima, and does it matter?")]
    title: String,

    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

/// The JSON document: what is in the page.
#[derive(Serialize)]
struct Written {
    file: String,
    runs: usize,
    #[serde(flatten)]
    claims: Claims,
    figures: Vec<Drawn>,
}

/// Writes the page.
pub(super) fn run(command: &ReportCommand) -> Result<Exit> {
    let reports = command.choice.reports()?;
    let cells = Cell::of_runs(&Run::of_reports(&reports)?, false);
    let figures = command.figures()?;
    let claims = Claims::new(&Finding::paper()?, Some(&cells))?;
    let page = Page {
        title: &command.title,
        figures: &figures,
        claims: &claims,
        reports: &reports,
        machine: &machine(),
        command: &command.again(),
    };
    write_file(&command.out, page.html().as_bytes())?;
    if command.json {
        let drawn = figures.iter().map(|PageFigure { id, figure, .. }| Drawn::new(id, figure, &[]));
        print_json(&Written {
            file: command.out.display().to_string(),
            runs: reports.len(),
            claims,
            figures: drawn.collect(),
        })?;
        return Ok(Exit::Done);
    }
    let mut text = String::new();
    line(
        &mut text,
        "report",
        &format!("{}, {}", plural(reports.len(), "run"), plural(figures.len(), "figure")),
    );
    line(&mut text, "", &command.out.display().to_string());
    print(&text)?;
    Ok(Exit::Done)
}

impl ReportCommand {
    /// The paper's figures with finished runs, at all scales, and those of further recipes.
    fn figures(&self) -> Result<Vec<PageFigure>> {
        let store = RunStore::existing(self.choice.store())?;
        let mut figures = Vec::new();
        for (scale, paper) in
            Scale::ALL.into_iter().rev().flat_map(|scale| PaperFigure::all(scale).map(move |p| (scale, p)))
        {
            let figure = Figure::new(&paper.plan()?, &store)?;
            if !figure.reports.is_empty() {
                let make = format!("reproduce {paper} --scale {}", scale.name());
                let commands = Suggestion::new(&make).with_path("--store", store.dir()).to_string();
                let id = format!("{paper}-{}", scale.name());
                figures.push(PageFigure { id, figure, commands });
            }
        }
        for recipe in &self.recipes {
            let figure = Figure::new(&Plan::read(recipe)?, &store)
                .with_context(|| format!("cannot draw {}", recipe.display()))?;
            let id = recipe.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
            figures.push(PageFigure { id, figure, commands: commands(recipe, store.dir()) });
        }
        Ok(figures)
    }

    /// The command that rewrites the page.
    fn again(&self) -> String {
        let mut again = Suggestion::new("report");
        for recipe in &self.recipes {
            again = again.with_file(recipe);
        }
        again.with_path("--store", self.choice.store()).with_path("--out", &self.out).to_string()
    }
}

fn commands(recipe: &Path, store: &Path) -> String {
    let [sweep, figure] = ["sweep", "figure"]
        .map(|command| Suggestion::new(command).with_file(recipe).with_path("--store", store).to_string());
    format!("{sweep}\n{figure}")
}

/// The machine that rendered the page.
fn machine() -> Vec<(&'static str, String)> {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    let model = model.map_or_else(|| std::env::consts::ARCH.to_owned(), |(_, name)| name.trim().to_owned());
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let set = sharpness_kernels::simd::detect().map_or("", |set| set.name());
    vec![
        ("rendered by", format!("sharpness {}", env!("CARGO_PKG_VERSION"))),
        ("rendered on", format!("{model}, {}, {set}", plural(cores, "core"))),
        ("system", format!("{} {}", std::env::consts::OS, std::env::consts::ARCH)),
    ]
}
