//! `sharpness sweep`: executes all runs of a recipe.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, anyhow};
use clap::Args;
use serde::Serialize;
use sharpness_data::{Dataset, Locations};
use sharpness_runs::{CheckpointEvery, Cost, Costs, Launcher, Plan, PlannedRun, RunStatus, RunStore, Sweep};
use sharpness_training::settings::RunConfig;

use super::launch::{Jobs, LaunchArgs, print_commands, print_scripts, run_jobs, run_processes, run_task};
use super::status_word::status_word;
use crate::args::{MOST_THREADS, MemoryArg, TrackArgs, start_threads};
use crate::exit::{Exit, SIGNALS, Usage};
use crate::interrupt::Interrupt;
use crate::output::{Align, Table, duration, line, note, plural, print, print_json};
use crate::program::Suggestion;
use crate::sweep_watch::{Counts, SweepWatch};

/// More about recipes, for the help text.
const RECIPES: &str = "\
A recipe is a TOML file:
  title = \"Step sizes\"
  seeds = [0, 1, 2]                               # each seed is a run
  fixed = { arch = \"mlp\", data.name = \"digits\" }  # settings of a run's config.toml, by their last or full names
  [[block]]                                       # each block is a line of a figure
  name = \"bs=32\"
  fixed = { batch_size = 32 }
  grid = { learning_rate = [0.05, 0.1, 0.2] }     # every combination; zip = { … } varies lists together
  [[block]]
  name = \"batch size / learning rate = 320\"
  grid = { learning_rate = [0.05, 0.1, 0.2] }
  derive = { \"batch_size / learning_rate\" = 320 } # derives the one that is not given

  [launch]                                        # what a scheduler grants each run (docs/clusters.md)
  time = \"2:00:00\"

Finished runs are skipped, so you can add a seed to the list and run the same command. Several processes can share a
store, on one machine or many: each run is executed once, and every process waits until all runs are done. A killed
process is replaced: at once on the same machine, otherwise 2 minutes after its last sign of life, or as many seconds as
SHARPNESS_LEASE_SECONDS said there.

With --launch slurm, runs are submitted as jobs unless they are queued already. Ctrl-C ends the waiting alone; the same command
watches the jobs again, and `sharpness status` shows where they stand. With --dry-run, the batch script is printed.

Exit codes:
  0    all runs are done
  1    a run failed
  2    the command line or a recipe does not make sense
  130  stopped by Ctrl-C or a signal; all runs are saved";

/// A recipe, and how to execute its runs.
#[derive(Args, Debug)]
#[command(after_help = format!("{RECIPES}\n\n{SIGNALS}"))]
pub(super) struct SweepCommand {
    /// The recipe
    recipe: PathBuf,

    #[command(flatten)]
    sweep: SweepArgs,

    #[command(flatten)]
    launch: LaunchArgs,

    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

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
    #[arg(long, value_name = "S", default_value_t = 60)]
    checkpoint_seconds: u64,

    /// Look for data sets in this directory first
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,

    /// Number of threads; results do not depend on it [default: one per core]
    #[arg(long, value_name = "N")]
    threads: Option<usize>,

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

/// Executes the runs, or lists them.
pub(super) fn run(command: &SweepCommand) -> Result<Exit> {
    let interrupt = Interrupt::listen()?;
    let (sweep, launch) = (&command.sweep, &command.launch);
    sweep.check()?;
    let plan = launch.choose(Plan::read(&command.recipe)?)?;
    let jobs = Jobs { sweep, recipe: &command.recipe, plan: &plan, no_wait: launch.no_wait };
    let (counts, exit) = match launch.launcher() {
        Launcher::Slurm if sweep.dry_run => return print_scripts(&jobs),
        Launcher::Print => return print_commands(sweep, &command.recipe, &plan, command.json),
        _ if sweep.dry_run => {
            start_threads(sweep.threads)?;
            return sweep.show(&plan, command.json);
        }
        Launcher::Slurm => run_jobs(&jobs, &interrupt)?,
        Launcher::Processes => run_processes(sweep, &command.recipe, &plan, &interrupt)?,
        Launcher::Inline => {
            start_threads(sweep.threads)?;
            if let Some(task) = launch.task() {
                return run_task(sweep, &plan, task, &interrupt);
            }
            let (counts, _) = sweep.make(&plan, &interrupt)?;
            (counts, counts.exit(interrupt.is_raised()))
        }
    };
    if command.json {
        sweep.print_runs(&plan)?;
    } else {
        print(&command.summary(&plan, &counts))?;
    }
    Ok(exit)
}

impl SweepArgs {
    /// Checks the flags and starts the threads.
    pub(super) fn start(&self) -> Result<()> {
        self.check()?;
        start_threads(self.threads)
    }

    /// Checks the flags.
    fn check(&self) -> Result<()> {
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

    fn flags(&self, threads: Option<usize>, memory: Option<String>) -> Result<Vec<String>> {
        let data_dir = self.data_dir.as_ref().map(std::path::absolute).transpose()?;
        let data_dir = data_dir.map(|dir| dir.into_os_string().into_string());
        let data_dir =
            data_dir.transpose().map_err(|dir| anyhow!("the path {} is not text", dir.display()))?;
        let values = [
            ("--threads", threads.map(|threads| threads.to_string())),
            ("--memory", memory),
            ("--data-dir", data_dir),
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

    /// Where data sets are looked for first, if that was given.
    pub(super) const fn data_dir(&self) -> Option<&PathBuf> {
        self.data_dir.as_ref()
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
    fn print_runs(&self, plan: &Plan) -> Result<()> {
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

impl SweepCommand {
    /// The outcome of the sweep, and what to do next.
    fn summary(&self, plan: &Plan, counts: &Counts) -> String {
        let mut text = String::new();
        line(&mut text, "sweep", &plan.title);
        line(&mut text, "runs", &counts.to_string());
        line(&mut text, "kept in", &self.sweep.store.display().to_string());
        let again = Suggestion::new("sweep").with_file(&self.recipe).with_path("--store", &self.sweep.store);
        let again = again.with(self.launch.flag());
        if counts.failed + counts.finished() == counts.total && counts.failed > 0 {
            let _ = writeln!(text, "\nRetry the failed runs with:\n  {again} --retry-failed");
        } else if counts.is_incomplete() {
            let _ = writeln!(text, "\nRun the others with:\n  {again}");
        } else {
            let list = Suggestion::new("runs list").with_path("--store", &self.sweep.store);
            let _ = writeln!(text, "\nList them with:\n  {list}");
        }
        text
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
