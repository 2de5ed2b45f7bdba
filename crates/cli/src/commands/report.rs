//! `sharpness report`: one page of HTML with the figures, verdicts and tables of a store.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;
use serde::Serialize;
use sharpness_runs::{RunStore, write_file};
use sharpness_study::claims::{Cell, Claims, Finding, Run};
use sharpness_study::page::{Board, Drawing, Page, PageFigure, figures};

use super::choice::Choice;
use super::figure::Drawn;
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
    let store = RunStore::existing(command.choice.store())?;
    let commands = |drawing: &Drawing| drawing_commands(drawing, store.dir());
    let figures = figures(&store, &command.recipes, &commands)?;
    let mut board = Board::read(&store, &[])?;
    if command.choice.is_filtered() {
        let wanted: BTreeSet<&String> = reports.iter().map(|report| &report.training_id).collect();
        board.rows.retain(|id, _| wanted.contains(id));
    }
    let claims = Claims::new(&Finding::paper()?, Some(&cells))?;
    let page = Page {
        title: &command.title,
        figures: &figures,
        claims: &claims,
        runs: reports.len(),
        board: &board,
        store: &store,
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
    /// The command that rewrites the page.
    fn again(&self) -> String {
        let mut again = Suggestion::new("report");
        for recipe in &self.recipes {
            again = again.with_file(recipe);
        }
        again.with_path("--store", self.choice.store()).with_path("--out", &self.out).to_string()
    }
}

/// The commands that execute the runs of a figure and draw it.
pub(super) fn drawing_commands(drawing: &Drawing, store: &Path) -> String {
    match drawing {
        Drawing::Paper(paper, scale) => {
            let make = format!("reproduce {paper} --scale {}", scale.name());
            Suggestion::new(&make).with_path("--store", store).to_string()
        }
        Drawing::Recipe(recipe) => {
            let [sweep, figure] = ["sweep", "figure"].map(|command| {
                Suggestion::new(command).with_file(recipe).with_path("--store", store).to_string()
            });
            format!("{sweep}\n{figure}")
        }
    }
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
