//! `sharpness sweep --launch print`: one command for each task, to be executed by anything that has a shell.

use std::path::{Path, absolute};

use anyhow::{Context, Result};
use serde::Serialize;
use sharpness_runs::{Plan, shell_word, unmade_tasks};

use crate::commands::sweep_args::SweepArgs;
use crate::exit::Exit;
use crate::output::{note, plural, print, print_json};
use crate::program::called_from_anywhere;

/// A task of the JSON document.
#[derive(Serialize)]
struct Printed {
    runs: Vec<String>,
    command: String,
}

/// Prints a command for each task that nobody works on. It can be run twice, and from any directory.
///
/// # Errors
/// A path is not text.
pub(crate) fn print_commands(sweep: &SweepArgs, recipe: &Path, plan: &Plan, json: bool) -> Result<Exit> {
    let store = sweep.store();
    let tasks = unmade_tasks(plan, &store, sweep.retry_failed);
    let word = |path: &Path| -> Result<String> {
        let path = absolute(path)?;
        let text =
            path.to_str().with_context(|| format!("the path {} is not text; move it", path.display()))?;
        Ok(shell_word(text))
    };
    let mut rest = format!("--store {}", word(store.dir())?);
    for flag in sweep.given_flags()? {
        rest.push(' ');
        rest.push_str(&shell_word(&flag));
    }
    let start = format!("{} sweep {} {rest}", called_from_anywhere()?, word(recipe)?);
    let printed = tasks
        .into_iter()
        .map(|task| Printed { command: format!("{start} --only {}", task.runs.join(",")), runs: task.runs });
    let printed: Vec<Printed> = printed.collect();
    if json {
        print_json(&printed)?;
    } else {
        print(&printed.iter().map(|task| format!("{}\n", task.command)).collect::<String>())?;
        let others = plan.distinct().count() - printed.iter().map(|task| task.runs.len()).sum::<usize>();
        if others > 0 {
            note(&format!(
                "{} left out: done, running, or failed because of the settings",
                plural(others, "run")
            ));
        }
    }
    Ok(Exit::Done)
}
