//! `sharpness sweep --launch slurm`: submits the runs as arrays of jobs, and waits for them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;
use sharpness_runs::{
    Installed, Overview, Plan, PlannedRun, Program, RunEnd, RunStatus, Slurm, Submission, Submitted,
    SweepObserver as _, TaskPhase, TaskStatus, read_text,
};

use crate::commands::sweep_args::SweepArgs;
use crate::exit::Exit;
use crate::interrupt::Interrupt;
use crate::output::{note, plural, print};
use crate::program::called_from_anywhere;
use crate::sweep_watch::{Counts, SweepWatch};

/// The time between two questions to Slurm, at first and at most: sites ask users not to poll more often.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);
/// How soon Ctrl-C is noticed.
const TICK: Duration = Duration::from_millis(100);
/// How often in a row a task must be seen to have ended without a result: files of other machines appear with a delay.
const LOOKS: u32 = 2;

/// A recipe and how to submit it.
pub(crate) struct Jobs<'a> {
    pub(crate) sweep: &'a SweepArgs,
    pub(crate) recipe: &'a Path,
    pub(crate) plan: &'a Plan,
    pub(crate) no_wait: bool,
}

/// Prints the scripts that would be submitted.
///
/// # Errors
/// Those of [`Submission::scripts`].
pub(crate) fn print_scripts(jobs: &Jobs<'_>) -> Result<Exit> {
    let scripts = jobs.with_submission(|submission| submission.scripts())?;
    for (script, arrays) in &scripts {
        print(script)?;
        if *arrays > 1 {
            note(&format!(
                "the script would be submitted {arrays} times, since an array holds no more tasks"
            ));
        }
    }
    if scripts.is_empty() {
        note("nothing to submit: every run is done, running or queued");
    }
    Ok(Exit::Done)
}

/// Submits the runs and waits for them. Ctrl-C ends the waiting alone.
///
/// # Errors
/// Those of [`Submission::submit`]; the store cannot be read.
pub(crate) fn run_jobs(jobs: &Jobs<'_>, interrupt: &Interrupt) -> Result<(Counts, Exit)> {
    let watch = SweepWatch::of_jobs(jobs.plan, interrupt);
    jobs.submit(&watch)?;
    let mut watcher =
        Watcher { jobs, watch: &watch, told: BTreeMap::new(), ended: BTreeMap::new(), is_first: true };
    if jobs.no_wait {
        watcher.look()?;
        return Ok((watch.finish().0, Exit::Done));
    }
    let mut pause = FIRST_PAUSE;
    while watcher.look()? && !interrupt.is_raised() {
        let woken = Instant::now() + pause;
        while Instant::now() < woken && !interrupt.is_raised() {
            std::thread::sleep(TICK);
        }
        pause = (pause * 5 / 4).min(LONGEST_PAUSE);
    }
    let (counts, _) = watch.finish();
    if interrupt.is_raised() && counts.is_incomplete() {
        note("stopped watching; the jobs stay queued and running");
    }
    Ok((counts, counts.exit(interrupt.is_raised())))
}

impl Jobs<'_> {
    fn with_submission<T>(
        &self,
        act: impl FnOnce(&Submission<'_>) -> sharpness_runs::Result<T>,
    ) -> Result<T> {
        let program = Program { called: called_from_anywhere()?, flags: self.sweep.flags(None, None)? };
        let recipe = read_text(self.recipe)?;
        Ok(act(&Submission {
            plan: self.plan,
            recipe: (self.recipe, &recipe),
            store: &self.sweep.store(),
            program: &program,
            retry_failed: self.sweep.retry_failed,
            slurm: Slurm::new(&Installed),
        })?)
    }

    /// Submits what is not done, running or queued.
    fn submit(&self, watch: &SweepWatch<'_>) -> Result<bool> {
        let submitted = self.with_submission(|submission| submission.submit())?;
        submitted.iter().for_each(|launch| watch.say(&told(launch)));
        Ok(!submitted.is_empty())
    }
}

/// What was submitted, in words.
fn told(submitted: &Submitted) -> String {
    let Submitted { launch, jobs, tasks, runs, raised_memory } = submitted;
    let mut text = format!(
        "submitted {} as {} of launch {launch:04}: job {}",
        plural(*runs, "run"),
        plural(*tasks, "task"),
        jobs.join(", ")
    );
    if let Some(memory) = raised_memory {
        // Writing to a string cannot fail.
        let _ = write!(text, ", with {memory} MiB of memory after running out of it");
    }
    text
}

/// Follows the jobs.
struct Watcher<'a> {
    jobs: &'a Jobs<'a>,
    watch: &'a SweepWatch<'a>,
    /// What was last said of each run.
    told: BTreeMap<String, String>,
    /// How often in a row each run was seen to have ended without a result.
    ended: BTreeMap<String, u32>,
    is_first: bool,
}

impl Watcher<'_> {
    /// Looks once. Returns whether there is more to wait for.
    fn look(&mut self) -> Result<bool> {
        let store = self.jobs.sweep.store();
        let overview = Overview::of(&store, Slurm::new(&Installed))?;
        if let Some(problem) = &overview.unknown {
            self.tell("", problem.clone());
            return Ok(true);
        }
        let (mut waits, mut lacks_memory) = (false, false);
        for run in self.jobs.plan.distinct() {
            let id = &run.identity.run;
            if self.ended.get(id) == Some(&u32::MAX) {
                continue;
            }
            let status = overview.status(&store, run);
            if let RunStatus::Done(report) = &status.status {
                self.ended.insert(id.clone(), u32::MAX);
                let report = report.clone();
                self.watch
                    .end(run, &if self.is_first { RunEnd::Known(report) } else { RunEnd::Done(report) });
            } else if is_active(&status) {
                self.ended.remove(id);
                waits = true;
                self.tell(id, format!("{} {}: {}", run.block, run.label(), describe(&status)));
            } else {
                let seen = self.ended.entry(id.clone()).or_default();
                *seen += 1;
                if *seen < LOOKS && !self.jobs.no_wait {
                    waits = true;
                } else if status.may_have_more_memory(&self.jobs.plan.resources) {
                    lacks_memory = true;
                } else {
                    self.ended.insert(id.clone(), u32::MAX);
                    self.watch.end(run, &ended(run, &status));
                }
            }
        }
        self.is_first = false;
        Ok((lacks_memory && self.jobs.submit(self.watch)?) || waits)
    }

    /// Says something of a run, unless it was the last thing that was said.
    fn tell(&mut self, id: &str, text: String) {
        if self.told.get(id) != Some(&text) {
            self.watch.say(&text);
            self.told.insert(id.to_owned(), text);
        }
    }
}

const fn is_active(status: &TaskStatus) -> bool {
    matches!(status.phase, TaskPhase::Running | TaskPhase::Queued | TaskPhase::Submitted)
}

/// Where an active run stands, in words that change only if something happened.
fn describe(status: &TaskStatus) -> String {
    let mut text = if status.phase == TaskPhase::Running { "running" } else { "queued" }.to_owned();
    if let Some(job) = status.last.as_ref().and_then(|last| last.job.as_ref()) {
        // Writing to a string cannot fail.
        let _ = write!(text, " as {job}");
    }
    if let Some(reason) = &status.reason {
        let _ = write!(text, " again; last attempt: {}", reason.detail);
    }
    text
}

/// How a run ended without a result.
fn ended(run: &PlannedRun, status: &TaskStatus) -> RunEnd {
    match (&status.status, &status.reason) {
        (RunStatus::Failed(problem), _) => RunEnd::Failed(problem.clone()),
        (_, Some(reason)) => RunEnd::Prevented(reason.detail.clone()),
        (_, None) => RunEnd::Prevented(format!("nobody works on {}", run.identity.run)),
    }
}
