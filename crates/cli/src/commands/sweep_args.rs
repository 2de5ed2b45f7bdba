//! How to execute runs, and where to keep them: the flags that `sharpness sweep` and `sharpness reproduce` share.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, anyhow};
use clap::Args;
use serde::Serialize;
use sharpness_data::{Dataset, Locations};
use sharpness_runs::{CheckpointEvery, Cost, Costs, Plan, PlannedRun, RunStatus, RunStore, Sweep};
use sharpness_training::settings::RunConfig;

use super::status_word::status_word;
use crate::args::{MOST_THREADS, MemoryArg, TrackArgs, start_threads};
use crate::exit::{Exit, Usage};
use crate::interrupt::Interrupt;
use crate::output::{Align, Table, duration, note, plural, print, print_json};
use crate::program::Suggestion;
use crate::sweep_watch::{Counts, SweepWatch};

/// The time between two saves of a run, in seconds.
const CHECKPOINT_SECONDS: u64 = 60;

/// How to execute runs, and where to keep them.
#[derive(Args, Debug)]
pub(crate) struct SweepArgs {
    /// Keep the runs in this directory, each named by a hash of its settings
    #[arg(long, value_name = "DIR", default_value = "runs")]
    pub(super) store: PathBuf,

    /// Execute this many runs at once, each on its share of the threads; faster for small networks
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(super) jobs: usize,

    /// List the runs, which of them are done and the cost of the others, and exit
    #[arg(long)]
    pub(super) dry_run: bool,

    /// Also retry runs that failed because of their settings; other failures are always retried
    #[arg(long)]
    pub(super) retry_failed: bool,

    /// Save a run after the first step that ends this many seconds after its last save
    #[arg(long, value_name = "S", default_value_t = CHECKPOINT_SECONDS)]
    checkpoint_seconds: u64,

    /// Look for data sets in this directory first
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,

    /// Number of threads; results do not depend on it [default: one per core]
    #[arg(long, value_name = "N")]
    pub(super) threads: Option<usize>,

    #[command(flatten)]
    pub(super) memory: MemoryArg,

    #[command(flatten)]
    pub(super) track: TrackArgs,
}

/// A run of a recipe in the JSON document.
#[derive(Serialize)]
struct Listed<'a> {
    id: &'a str,
    training_id: &'a str,
    block: &'a str,
    settings: serde_json::Map<String, serde_json::Value>,
    status: &'static str,
    problem: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    step_seconds: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    epoch_seconds: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    training_seconds: Option<f64>,
    config: &'a RunConfig,
}

impl SweepArgs {
    /// Checks the flags and starts the threads.
    pub(super) fn start(&self) -> Result<()> {
        self.check()?;
        start_threads(self.threads)
    }

    /// Checks the flags.
    pub(super) fn check(&self) -> Result<()> {
        if !(1..=MOST_THREADS).contains(&self.jobs) {
            let message = format!("--jobs must be from 1 to {MOST_THREADS}, got {}", self.jobs);
            return Err(Usage::new(message).into());
        }
        Ok(())
    }

    /// The flags with which another process executes some of the runs: all that were given, except for those that say which.
    pub(super) fn given_flags(&self) -> Result<Vec<String>> {
        self.flags(self.threads, self.memory.given())
    }

    /// The flags for each of [`Self::jobs`] processes on this machine, which share its cores and memory.
    pub(super) fn shared_flags(&self) -> Result<Vec<String>> {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let threads = (self.threads.unwrap_or(cores) / self.jobs).max(1);
        self.flags(Some(threads), Some(self.memory.share(self.jobs)))
    }

    /// The flags with which another process executes some of the runs, with these values of `--threads` and `--memory`.
    pub(super) fn flags(&self, threads: Option<usize>, memory: Option<String>) -> Result<Vec<String>> {
        let data_dir = self.data_dir.as_ref().map(std::path::absolute).transpose()?;
        let data_dir = data_dir.map(|dir| dir.into_os_string().into_string());
        let data_dir =
            data_dir.transpose().map_err(|dir| anyhow!("the path {} is not text", dir.display()))?;
        let saves =
            (self.checkpoint_seconds != CHECKPOINT_SECONDS).then(|| self.checkpoint_seconds.to_string());
        let values = [
            ("--threads", threads.map(|threads| threads.to_string())),
            ("--memory", memory),
            ("--data-dir", data_dir),
            ("--checkpoint-seconds", saves),
        ];
        let mut flags: Vec<String> = values
            .into_iter()
            .filter_map(|(flag, value)| Some([flag.to_owned(), value?]))
            .flatten()
            .collect();
        flags.extend(self.track.targets().into_iter().flat_map(|target| ["--track".to_owned(), target]));
        if self.retry_failed {
            flags.push("--retry-failed".to_owned());
        }
        Ok(flags)
    }

    /// The store.
    pub(super) fn store(&self) -> RunStore {
        RunStore::new(&self.store)
    }

    /// Where data sets are.
    pub(super) fn locations(&self) -> Locations {
        Locations::of_process(self.data_dir.clone())
    }

    /// Executes all runs that are not done. Returns how many ended how, and why some did not.
    pub(super) fn make(&self, plan: &Plan, interrupt: &Interrupt) -> Result<(Counts, Vec<String>)> {
        let old = self.store().old().len();
        if old > 0 {
            note(&format!(
                "{} in this store from an older version; they can be read, but not resumed",
                plural(old, "run")
            ));
        }
        let watch = SweepWatch::new(plan, self.jobs, interrupt);
        let locations = self.locations();
        let load = |name| Dataset::load(name, &locations);
        let trackers = self.track.start();
        let swept = Sweep {
            plan,
            store: &self.store(),
            jobs: self.jobs,
            threads: rayon::current_num_threads(),
            budget: self.memory.budget(),
            retry_failed: self.retry_failed,
            checkpoint_every: CheckpointEvery { epochs: None, seconds: Some(self.checkpoint_seconds) },
            load: &load,
            trackers: &trackers,
        }
        .run(&watch);
        let counts = watch.finish();
        TrackArgs::finish(trackers, |target| {
            Some(Suggestion::new("runs track").with_file(Path::new(target)).with_path("--store", &self.store))
        });
        swept?;
        Ok(counts)
    }

    /// Prints the runs with their status as JSON.
    pub(super) fn print_runs(&self, plan: &Plan) -> Result<()> {
        let store = self.store();
        let listed = plan.distinct().map(|run| listed(run, &store.status(&run.config), None));
        print_json(&listed.collect::<Vec<_>>())
    }

    /// Lists the runs, which of them are done, and the cost of the others.
    pub(super) fn show(&self, plan: &Plan, json: bool) -> Result<Exit> {
        let store = self.store();
        let runs: Vec<&PlannedRun> = plan.distinct().collect();
        let statuses: Vec<RunStatus> = runs.iter().map(|run| store.status(&run.config)).collect();
        let done = statuses.iter().filter_map(|status| match status {
            RunStatus::Done(report) => Some((**report).clone()),
            _ => None,
        });
        let mut costs = Costs::from_done(done.collect());
        let mut rows = Vec::new();
        for (run, status) in runs.into_iter().zip(&statuses) {
            let cost = match status {
                RunStatus::Done(_) => None,
                _ => Some(costs.of(&run.config)?),
            };
            rows.push((run, status, cost));
        }
        if json {
            let listed: Vec<_> = rows.iter().map(|(run, status, cost)| listed(run, status, *cost)).collect();
            print_json(&listed)?;
        } else {
            print(&table(plan, &rows))?;
        }
        Ok(Exit::Done)
    }
}

fn listed<'a>(run: &'a PlannedRun, status: &RunStatus, cost: Option<Cost>) -> Listed<'a> {
    let setting = |(key, value): &(String, String)| {
        let value = serde_json::from_str(value).unwrap_or_else(|_| value.as_str().into());
        (key.clone(), value)
    };
    let problem = match status {
        RunStatus::Failed(problem) | RunStatus::Damaged(problem) => Some(problem.clone()),
        _ => None,
    };
    Listed {
        id: &run.identity.run,
        training_id: &run.identity.training,
        block: &run.block,
        settings: run.settings.iter().map(setting).collect(),
        status: status_word(status),
        problem,
        step_seconds: cost.map(|cost| cost.step.as_secs_f64()),
        epoch_seconds: cost.map(|cost| cost.epoch.as_secs_f64()),
        training_seconds: cost.and_then(|cost| cost.training()).map(|time| time.as_secs_f64()),
        config: &run.config,
    }
}

/// The text of the dry run.
fn table(plan: &Plan, rows: &[(&PlannedRun, &RunStatus, Option<Cost>)]) -> String {
    let mut table = Table::new([
        ("block", Align::Left),
        ("settings", Align::Left),
        ("run", Align::Left),
        ("status", Align::Left),
        ("step", Align::Right),
        ("epoch", Align::Right),
        ("epochs", Align::Right),
        ("training", Align::Right),
    ]);
    let time = |time: Option<Duration>| time.map_or_else(String::new, duration);
    let (mut total, mut unknown) = (Duration::ZERO, 0);
    for (run, status, cost) in rows {
        let training = cost.and_then(|cost| cost.training());
        total += training.unwrap_or_default();
        unknown += usize::from(cost.is_some() && training.is_none());
        let epochs = cost.and_then(|cost| cost.epochs);
        table.push([
            run.block.clone(),
            run.label(),
            run.identity.run.clone(),
            status_word(status).to_owned(),
            time(cost.map(|cost| cost.step)),
            time(cost.map(|cost| cost.epoch)),
            epochs.map_or_else(String::new, |epochs| format!("~{epochs:.0}")),
            time(training),
        ]);
    }
    let mut text = format!("{}\n\n{}", plan.title, table.render());
    // Writing to a string cannot fail.
    let _ = writeln!(
        text,
        "\n{}, {} to make",
        plural(rows.len(), "run"),
        rows.iter().filter(|row| row.2.is_some()).count()
    );
    if total > Duration::ZERO {
        let _ =
            writeln!(text, "about {} of training, without measurements, one run at a time", duration(total));
    }
    if unknown > 0 {
        note(&format!(
            "the number of epochs of {} is unknown; it is estimated from finished runs of the same network",
            plural(unknown, "run")
        ));
    }
    text
}
