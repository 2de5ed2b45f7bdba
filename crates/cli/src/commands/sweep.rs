//! `sharpness sweep`: executes all runs of a recipe, or hands them to a scheduler.

use std::fmt::Write as _;
use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use sharpness_runs::{Launcher, Plan};

use super::launch::{Jobs, LaunchArgs, print_commands, print_scripts, run_jobs, run_processes, run_task};
use super::sweep_args::SweepArgs;
use crate::exit::{Exit, SIGNALS};
use crate::interrupt::Interrupt;
use crate::output::{line, print};
use crate::program::Suggestion;
use crate::sweep_watch::Counts;

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
            sweep.start()?;
            return sweep.show(&plan, command.json);
        }
        Launcher::Slurm => run_jobs(&jobs, &interrupt)?,
        Launcher::Processes => run_processes(sweep, &command.recipe, &plan, &interrupt)?,
        Launcher::Inline => {
            sweep.start()?;
            if launch.noticed {
                interrupt.give_notice();
            }
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
            let what = match self.launch.launcher() {
                Launcher::Slurm => "Watch the others, and submit those that are not queued, with",
                Launcher::Inline | Launcher::Processes | Launcher::Print => "Run the others with",
            };
            let _ = writeln!(text, "\n{what}:\n  {again}");
        } else {
            let list = Suggestion::new("runs list").with_path("--store", &self.sweep.store);
            let _ = writeln!(text, "\nList them with:\n  {list}");
        }
        text
    }
}
