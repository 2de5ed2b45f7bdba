//! `sharpness figure`: draws what a recipe asks for from the runs that are done.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use sharpness_experiments::figures::Figure;
use sharpness_experiments::store::RunStore;
use sharpness_experiments::sweep::Plan;

use crate::exit::{EXIT_CODES, Exit};
use crate::output::{line, note, print};

/// A recipe with a figure, and where its runs are.
#[derive(Args, Debug)]
#[command(after_help = EXIT_CODES)]
pub(super) struct FigureCommand {
    /// The recipe; its table `figure` says what is drawn
    recipe: PathBuf,

    /// The directory in which the runs are kept
    #[arg(long, value_name = "DIR", default_value = "runs")]
    store: PathBuf,

    /// Write the picture (SVG and PNG), its table (CSV) and its caption into this directory
    #[arg(long, value_name = "DIR", default_value = "figures")]
    out: PathBuf,
}

/// Draws the figure.
pub(super) fn run(command: &FigureCommand) -> Result<Exit> {
    let plan = Plan::read(&command.recipe)?;
    let figure = Figure::new(&plan, &RunStore::new(&command.store))?;
    let name = command.recipe.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    let files = figure.write(&command.out, &name)?;
    if figure.reports.len() < figure.planned {
        note(&format!(
            "only {} of {} runs are done; `sharpness sweep` makes the others",
            figure.reports.len(),
            figure.planned
        ));
    }
    let mut text = String::new();
    line(&mut text, "figure", &figure.caption());
    for file in files {
        line(&mut text, "", &file.display().to_string());
    }
    print(&text)?;
    Ok(Exit::Done)
}
