//! `sharpness sweep --launch`: hands the runs of a recipe to other processes.

mod print;
mod processes;
mod slurm;
mod task;

use clap::{Args, ValueEnum};
use sharpness_runs::{Launcher, Plan};

use crate::exit::Usage;

pub(super) use print::print_commands;
pub(super) use processes::run_processes;
pub(super) use slurm::{Jobs, print_scripts, run_jobs};
pub(super) use task::run_task;

/// Who executes the runs.
#[derive(Args, Debug)]
pub(super) struct LaunchArgs {
    /// Who executes the runs: this process, --jobs processes that it starts, jobs of Slurm, or whatever executes the commands that are
    /// printed, one per task
    #[arg(long, value_name = "HOW", value_enum, default_value_t = LauncherName::Inline)]
    launch: LauncherName,

    /// Execute these runs of the recipe alone, each by its name
    #[arg(long, value_name = "RUN", value_delimiter = ',')]
    only: Vec<String>,

    /// Submit the jobs and exit; do not wait for them
    #[arg(long)]
    pub(super) no_wait: bool,

    /// The launch that this process executes a task of, by its number
    #[arg(long, value_name = "LAUNCH", hide = true, requires = "as_task")]
    in_launch: Option<u32>,

    /// The task
    #[arg(long, value_name = "TASK", hide = true, requires = "in_launch")]
    as_task: Option<String>,

    /// Stop as if the notice of the time limit arrived: it came before this process could hear it
    #[arg(long, hide = true, requires = "as_task")]
    pub(super) noticed: bool,
}

/// Who executes the runs, as it is typed.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum LauncherName {
    Inline,
    Processes,
    Slurm,
    Print,
}

impl LaunchArgs {
    /// Who executes the runs.
    pub(super) const fn launcher(&self) -> Launcher {
        match self.launch {
            LauncherName::Inline => Launcher::Inline,
            LauncherName::Processes => Launcher::Processes,
            LauncherName::Slurm => Launcher::Slurm,
            LauncherName::Print => Launcher::Print,
        }
    }

    /// The flag that chooses the launcher, for a command that is suggested.
    pub(super) const fn flag(&self) -> &'static str {
        match self.launch {
            LauncherName::Inline => "",
            LauncherName::Processes => "--launch processes",
            LauncherName::Slurm => "--launch slurm",
            LauncherName::Print => "--launch print",
        }
    }

    /// The launch and the task that this process executes.
    pub(super) fn task(&self) -> Option<(u32, &str)> {
        self.in_launch.zip(self.as_task.as_deref())
    }

    /// The runs that are asked for.
    ///
    /// # Errors
    /// The recipe has no run of that name.
    pub(super) fn choose(&self, mut plan: Plan) -> Result<Plan, Usage> {
        for name in &self.only {
            if !plan.runs.iter().any(|run| run.identity.run == *name) {
                return Err(Usage::new(format!(
                    "--only: the recipe has no run '{name}'; it may have changed since the name was printed, and --dry-run lists its runs"
                )));
            }
        }
        if !self.only.is_empty() {
            plan.runs.retain(|run| self.only.contains(&run.identity.run));
        }
        Ok(plan)
    }
}
