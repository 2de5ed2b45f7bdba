//! A task of a launch: some runs of its recipe, in a process that a scheduler may stop and start again.

use anyhow::Result;
use sharpness_runs::{AfterStop, Attempt, AttemptEnd, Installed, LaunchLayout, Plan, RunStore, Slurm};

use crate::commands::sweep_args::SweepArgs;
use crate::exit::{self, Exit};
use crate::interrupt::Interrupt;
use crate::output::note;

/// Executes the runs of a task, and records how that went. If a signal stops it, it requeues itself as often as the recipe allows.
///
/// # Errors
/// Those of the sweep; the records cannot be written.
pub(crate) fn run_task(
    sweep: &SweepArgs,
    plan: &Plan,
    (launch, task): (u32, &str),
    interrupt: &Interrupt,
) -> Result<Exit> {
    let layout = LaunchLayout::new(RunStore::new(&sweep.store).dir(), launch);
    let mut attempt = Attempt::begin(&layout, task)?;
    note(&format!("attempt {} at task {task} of launch {launch:04}", attempt.number + 1));
    let made = sweep.make(plan, interrupt);
    let (end, ended) = match &made {
        Ok((counts, _)) if !counts.is_incomplete() => (AttemptEnd::Done, Ok(Exit::Done)),
        Ok(_) if interrupt.is_raised() => {
            let slurm = std::env::var_os("SLURM_JOB_ID").map(|_| Slurm::new(&Installed));
            let then = attempt.stop(&layout, interrupt.name(), plan.resources.requeues, slurm)?;
            note(told(&then));
            return Ok(Exit::Interrupted);
        }
        Ok((counts, problems)) => {
            let end = AttemptEnd::Failed { problem: problems.join("; "), out_of_memory: false };
            (end, Ok(counts.exit(false)))
        }
        Err(error) => {
            let end = AttemptEnd::Failed {
                problem: exit::message(error),
                out_of_memory: exit::is_out_of_memory(error),
            };
            (end, Err(()))
        }
    };
    attempt.end(&layout, end)?;
    match ended {
        Ok(exit) => Ok(exit),
        Err(()) => made.map(|_| Exit::Failed),
    }
}

/// What follows after a signal, in words.
const fn told(then: &AfterStop) -> &'static str {
    match then {
        AfterStop::Requeue => "saved; the task requeues itself and resumes",
        AfterStop::RequeuesUsedUp => "saved; the task has requeued itself as often as launch.requeues allows",
        AfterStop::LeftToSlurm(_) => "saved; Slurm is ending the job, so the task does not requeue itself",
        AfterStop::Refused(_) => "saved; the task could not be requeued",
        AfterStop::NotInSlurm => "saved",
    }
}
