//! `sharpness status`: where the runs of a recipe or a store stand, and why.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use serde::Serialize;
use sharpness_runs::{
    Installed, LastTask, Overview, Plan, PlannedRun, Reason, RunStatus, RunStore, Slurm, TaskPhase,
    TaskStatus,
};

use crate::exit::{EXIT_CODES, Exit};
use crate::output::{Align, Table, note, plural, print, print_json};

/// What the states mean, for the help text.
const STATES: &str = "\
States:
  done       it has a result
  running    a process works on it, or Slurm says that its task runs
  queued     it waits in Slurm's queue, for the first time or again
  submitted  it was handed to Slurm, which cannot be asked from here
  stopped    it can be resumed, but nobody is going to; the reason says what stopped it
  failed     it was tried and failed
  to do      it has not started

Without a recipe, the runs are those of all launches of the store. Slurm is asked only if the store has launches for it.";

/// A recipe, and a store.
#[derive(Args, Debug)]
#[command(after_help = format!("{STATES}\n\n{EXIT_CODES}"))]
pub(super) struct StatusCommand {
    /// The recipe [default: the recipes of all launches of the store]
    recipe: Option<PathBuf>,

    /// The store
    #[arg(long, value_name = "DIR", default_value = "runs")]
    store: PathBuf,

    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

/// The JSON document.
#[derive(Serialize)]
struct Document {
    runs: Vec<Listed>,
    counts: BTreeMap<&'static str, usize>,
    slurm_problem: Option<String>,
}

/// A run of it.
#[derive(Serialize)]
struct Listed {
    id: String,
    training_id: String,
    block: String,
    label: String,
    state: &'static str,
    epochs: Option<u32>,
    reason: Option<Reason>,
    queue: Option<String>,
    last_task: Option<LastTask>,
}

/// Shows where the runs stand.
pub(super) fn run(command: &StatusCommand) -> Result<Exit> {
    let store = match &command.recipe {
        // None of its runs may have been started.
        Some(_) => RunStore::new(&command.store),
        None => RunStore::existing(&command.store)?,
    };
    let overview = Overview::of(&store, Slurm::new(&Installed))?;
    let runs = match &command.recipe {
        Some(recipe) => Plan::read(recipe)?.distinct().cloned().collect(),
        None => launched(&overview)?,
    };
    let runs: Vec<Listed> = runs.iter().map(|run| listed(run, overview.status(&store, run))).collect();
    let mut counts = BTreeMap::new();
    runs.iter().for_each(|run| *counts.entry(run.state).or_insert(0) += 1);
    if let Some(problem) = &overview.unknown {
        note(&format!("what Slurm knows is missing: {problem}"));
    }
    if runs.is_empty() {
        note("the store has no launches; name a recipe, or list its runs with `sharpness runs list`");
    }
    if command.json {
        print_json(&Document { runs, counts, slurm_problem: overview.unknown.clone() })?;
    } else {
        print(&text(&runs, &counts))?;
    }
    Ok(Exit::Done)
}

/// The runs of all launches, each once.
fn launched(overview: &Overview) -> Result<Vec<PlannedRun>> {
    let (mut runs, mut seen) = (Vec::new(), BTreeSet::new());
    for launch in overview.launches() {
        let submitted: BTreeSet<&String> = launch.tasks.iter().flat_map(|task| &task.runs).collect();
        let plan = launch.plan()?;
        let new = plan.distinct().filter(|run| submitted.contains(&run.identity.run));
        runs.extend(new.filter(|run| seen.insert(run.identity.run.clone())).cloned());
    }
    Ok(runs)
}

fn listed(run: &PlannedRun, status: TaskStatus) -> Listed {
    let epochs = match status.status {
        RunStatus::Started(epochs) => Some(epochs),
        _ => None,
    };
    let TaskStatus { phase, reason, queue, last, .. } = status;
    Listed {
        id: run.identity.run.clone(),
        training_id: run.identity.training.clone(),
        block: run.block.clone(),
        label: run.label(),
        state: word(phase),
        epochs,
        reason,
        queue,
        last_task: last,
    }
}

/// A state in one word.
const fn word(phase: TaskPhase) -> &'static str {
    match phase {
        TaskPhase::Done => "done",
        TaskPhase::Running => "running",
        TaskPhase::Queued => "queued",
        TaskPhase::Submitted => "submitted",
        TaskPhase::Stopped => "stopped",
        TaskPhase::Failed => "failed",
        TaskPhase::ToDo => "to do",
    }
}

fn text(runs: &[Listed], counts: &BTreeMap<&'static str, usize>) -> String {
    let mut table = Table::new([
        ("block", Align::Left),
        ("settings", Align::Left),
        ("run", Align::Left),
        ("state", Align::Left),
        ("task", Align::Left),
        ("attempts", Align::Right),
        ("why", Align::Left),
    ]);
    for run in runs {
        let last = run.last_task.as_ref();
        let attempts = last.map(|last| last.attempts).filter(|attempts| *attempts > 0);
        table.push([
            run.block.clone(),
            run.label.clone(),
            run.id.clone(),
            run.state.to_owned(),
            last.and_then(|last| last.job.clone()).unwrap_or_default(),
            attempts.map_or_else(String::new, |attempts| attempts.to_string()),
            why(run),
        ]);
    }
    let mut text = table.render();
    let counts: Vec<String> = counts.iter().map(|(state, count)| format!("{count} {state}")).collect();
    // Writing to a string cannot fail.
    let _ = writeln!(text, "\n{}: {}", plural(runs.len(), "run"), counts.join(", "));
    let ended = |run: &&Listed| ["failed", "stopped"].contains(&run.state);
    for log in runs.iter().filter(ended).filter_map(|run| run.last_task.as_ref()?.log.as_ref()) {
        let _ = writeln!(text, "log: {}", log.display());
    }
    text
}

/// Why a run stands where it does.
fn why(run: &Listed) -> String {
    let reason = run.reason.as_ref().map(|reason| match run.state {
        "queued" => format!("again; last attempt: {}", reason.detail),
        _ => reason.detail.clone(),
    });
    let epochs = run.epochs.map(|epochs| format!("saved after {}", plural(epochs as usize, "epoch")));
    [reason, run.queue.clone(), epochs].into_iter().flatten().collect::<Vec<_>>().join("; ")
}
