//! `sharpness sweep --launch processes`: the tasks as processes of this machine. One that is killed takes no other with it.

use std::collections::VecDeque;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use sharpness_runs::{
    LocalLaunch, Plan, PlannedRun, RunEnd, RunStatus, SweepObserver as _, read_text, unmade_tasks,
};

use crate::commands::sweep_args::SweepArgs;
use crate::exit::Exit;
use crate::interrupt::Interrupt;
use crate::program::self_command;
use crate::sweep_watch::{Counts, SweepWatch};

/// The time between two looks at the processes.
const TICK: Duration = Duration::from_millis(50);

/// Executes the tasks in processes, `--jobs` at once. A signal is passed on to them, and they save.
///
/// # Errors
/// A process cannot be started; the store cannot be written.
pub(crate) fn run_processes(
    sweep: &SweepArgs,
    recipe: &Path,
    plan: &Plan,
    interrupt: &Interrupt,
) -> Result<(Counts, Exit)> {
    let store = sweep.store();
    let watch = SweepWatch::of_jobs(plan, interrupt);
    let tasks = unmade_tasks(plan, &store, sweep.retry_failed);
    let is_asked = |run: &PlannedRun| tasks.iter().any(|task| task.runs.contains(&run.identity.run));
    for run in plan.distinct().filter(|run| !is_asked(run)) {
        match store.status(&run.config) {
            RunStatus::Done(report) => watch.end(run, &RunEnd::Known(report)),
            RunStatus::Failed(problem) => watch.end(run, &RunEnd::Failed(problem)),
            _ => watch.end(run, &RunEnd::Prevented("another process is running it".to_owned())),
        }
    }
    if !tasks.is_empty() {
        let launch = LocalLaunch::create(&store, (recipe, &read_text(recipe)?), tasks)?;
        let pool = Pool { sweep, plan, launch: &launch, watch: &watch, children: Vec::new() };
        pool.run(interrupt)?;
    }
    let (counts, _) = watch.finish();
    Ok((counts, counts.exit(interrupt.is_raised())))
}

/// The processes.
struct Pool<'a> {
    sweep: &'a SweepArgs,
    plan: &'a Plan,
    launch: &'a LocalLaunch,
    watch: &'a SweepWatch<'a>,
    /// Each with the number of its task.
    children: Vec<(usize, Child)>,
}

impl Pool<'_> {
    fn run(mut self, interrupt: &Interrupt) -> Result<()> {
        let mut queue: VecDeque<usize> = (0..self.launch.tasks().len()).collect();
        let mut is_passed_on = false;
        while !self.children.is_empty() || !(queue.is_empty() || interrupt.is_raised()) {
            while self.children.len() < self.sweep.jobs && !interrupt.is_raised() {
                let Some(task) = queue.pop_front() else { break };
                match self.start(task) {
                    Ok(child) => self.children.push((task, child)),
                    Err(error) if self.children.is_empty() => return Err(error),
                    Err(_) => {
                        // Enough processes run for now.
                        queue.push_front(task);
                        break;
                    }
                }
            }
            if interrupt.is_raised() && !is_passed_on {
                is_passed_on = true;
                self.children.iter().for_each(|(_, child)| stop(child));
            }
            std::thread::sleep(TICK);
            self.reap()?;
        }
        Ok(())
    }

    /// Starts the process of a task.
    fn start(&self, task: usize) -> Result<Child> {
        let layout = self.launch.layout();
        let log = self.launch.log(task)?;
        let mut command: Command = self_command()?;
        command.arg("sweep").arg(layout.recipe()).arg("--store").arg(&self.sweep.store);
        command.args(["--only", &self.launch.tasks()[task].runs.join(",")]).args(self.sweep.shared_flags()?);
        command.args([
            "--in-launch",
            &self.launch.number().to_string(),
            "--as-task",
            &self.launch.task_name(task),
        ]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        command.spawn().context("cannot start a process for a task")
    }

    /// Reports the processes that ended.
    fn reap(&mut self) -> Result<()> {
        let mut ended = Vec::new();
        for (index, (_, child)) in self.children.iter_mut().enumerate() {
            if let Some(status) = child.try_wait().context("cannot wait for a process")? {
                ended.push((index, status));
            }
        }
        for (index, status) in ended.into_iter().rev() {
            let (task, _) = self.children.remove(index);
            let store = self.sweep.store();
            for run in
                self.plan.distinct().filter(|run| self.launch.tasks()[task].runs.contains(&run.identity.run))
            {
                let end = match store.status(&run.config) {
                    RunStatus::Done(report) => RunEnd::Done(report),
                    RunStatus::Failed(problem) => RunEnd::Failed(problem),
                    _ if status.code() == Some(Exit::Interrupted as i32) => RunEnd::Interrupted,
                    _ => RunEnd::Prevented(match self.launch.problem(task) {
                        Some(problem) => problem,
                        None => format!("its process ended with {status}"),
                    }),
                };
                self.watch.end(run, &end);
            }
        }
        Ok(())
    }
}

/// Asks a process to save and stop.
#[cfg(unix)]
fn stop(child: &Child) {
    use rustix::process::{Pid, Signal, kill_process};
    // One that has ended needs no signal.
    let _ = Pid::from_raw(child.id().cast_signed()).map(|pid| kill_process(pid, Signal::TERM));
}

/// A terminal's Ctrl-C reaches all of its processes.
#[cfg(not(unix))]
fn stop(_: &Child) {}
