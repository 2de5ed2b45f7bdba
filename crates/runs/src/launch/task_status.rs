//! Where each run of a plan stands: in the store, in Slurm's queue, or ended without a result, and why.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Serialize;

use super::attempt::Attempt;
use super::job_state::{JobEnd, JobState};
use super::last_words::last_words;
use super::reason::{Reason, ReasonKind};
use super::record::Launch;
use super::slurm::{QueuedTask, Slurm};
use crate::Result;
use crate::recipes::{PlannedRun, Resources};
use crate::store::{RunStatus, RunStore};

/// Where a run stands.
#[derive(Clone, Debug)]
pub struct TaskStatus {
    /// In one word.
    pub phase: TaskPhase,
    /// What the store says.
    pub status: RunStatus,
    /// Why its last attempt ended, or why it cannot be made.
    pub reason: Option<Reason>,
    /// What the queue says: why the task waits, or on which node it runs.
    pub queue: Option<String>,
    /// The last task that it was part of.
    pub last: Option<LastTask>,
}

/// The last task that a run was part of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LastTask {
    /// The number of its launch.
    pub launch: u32,
    /// Its name for Slurm, such as `4711_3`; `None` if it was never submitted.
    pub job: Option<String>,
    /// The number of attempts that began.
    pub attempts: usize,
    /// How many of them ended by requeueing themselves.
    pub requeues: usize,
    /// Its log.
    pub log: Option<PathBuf>,
    /// Its memory, in MiB.
    pub memory: Option<u64>,
    /// Whether that was raised after the run ran out of memory.
    pub is_raised: bool,
}

/// Where a run stands, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum TaskPhase {
    /// It has a result.
    Done,
    /// A process works on it, or Slurm says that its task runs.
    Running,
    /// It waits in Slurm's queue.
    Queued,
    /// It was handed to Slurm, which cannot be asked from here.
    Submitted,
    /// It can be resumed, but nobody is going to.
    Stopped,
    /// It was tried, and failed.
    Failed,
    /// It has not started.
    ToDo,
}

/// The launches of a store, and what Slurm says of their tasks.
#[derive(Debug)]
pub struct Overview {
    launches: Vec<Launch>,
    attempts: Vec<BTreeMap<String, Vec<Attempt>>>,
    /// The cluster that was asked, if one answered.
    cluster: Option<String>,
    /// The last launch of each run, and the task there.
    last: BTreeMap<String, (usize, usize)>,
    /// By the names of tasks.
    queue: BTreeMap<String, QueuedTask>,
    accounts: BTreeMap<String, JobState>,
    /// Why Slurm could not be asked.
    pub unknown: Option<String>,
}

impl Overview {
    /// Reads the launches of a store, and asks Slurm about those that are not known to have ended. Without launches, Slurm is not asked.
    ///
    /// # Errors
    /// Those of [`Launch::of_store`]. If Slurm does not answer, that is said in [`Self::unknown`].
    pub fn of(store: &RunStore, slurm: Slurm<'_>) -> Result<Self> {
        let launches = Launch::of_store(store)?;
        let mut overview = Self {
            attempts: Vec::new(),
            last: last_tasks(&launches),
            launches,
            cluster: None,
            queue: BTreeMap::new(),
            accounts: BTreeMap::new(),
            unknown: None,
        };
        if !overview.launches.iter().all(Launch::is_local)
            && let Err(error) = overview.ask(slurm)
        {
            overview.unknown = Some(error.to_string());
        }
        // After the queue, so that what the queue says has ended has its record.
        overview.attempts = overview.launches.iter().map(Launch::attempts).collect();
        Ok(overview)
    }

    /// The launches.
    pub fn launches(&self) -> &[Launch] {
        &self.launches
    }

    /// Asks Slurm about the launches.
    fn ask(&mut self, slurm: Slurm<'_>) -> Result<()> {
        let cluster = slurm.cluster()?.name;
        let here = self.launches.iter().filter(|launch| launch.record.cluster == cluster);
        let arrays = here.flat_map(|launch| launch.record.arrays.iter().map(move |array| (launch, array)));
        let arrays: Vec<_> = arrays.collect();
        let names: Vec<String> = arrays.iter().map(|(launch, array)| launch.job_name(array)).collect();
        let queue = slurm.tasks(&names)?;
        let jobs: Vec<String> = arrays.iter().filter_map(|(_, array)| array.job.clone()).collect();
        let accounts = slurm.accounts(&jobs);
        // A process that was killed between the submission and its record leaves an array without an identifier.
        let found = |name: &str| queue.iter().find(|task| task.name == name).map(|task| task.job.clone());
        for launch in &mut self.launches {
            let names: Vec<String> =
                launch.record.arrays.iter().map(|array| launch.job_name(array)).collect();
            for (array, name) in
                launch.record.arrays.iter_mut().zip(names).filter(|(array, _)| array.job.is_none())
            {
                array.job = found(&name);
            }
        }
        self.cluster = Some(cluster);
        self.queue = queue.into_iter().map(|task| (format!("{}_{}", task.job, task.index), task)).collect();
        self.accounts =
            accounts.into_iter().map(|(job, index, state)| (format!("{job}_{index}"), state)).collect();
        Ok(())
    }

    /// Where a run stands.
    pub fn status(&self, store: &RunStore, run: &PlannedRun) -> TaskStatus {
        let status = without_task(store.status(&run.config));
        match self.last.get(&run.identity.run) {
            None => status,
            Some(&(launch, task)) => self.in_task(status, launch, task),
        }
    }

    /// Where a run stands whose last task was `task` of the launch with index `launch`; `status` is what the store says.
    fn in_task(&self, mut status: TaskStatus, launch: usize, task: usize) -> TaskStatus {
        let (launch, attempts) = (&self.launches[launch], &self.attempts[launch]);
        let job = launch.task_name(task);
        let attempts = job.as_ref().and_then(|job| attempts.get(job)).map_or(&[][..], Vec::as_slice);
        let log = job.as_ref().map(|job| launch.layout.log(job)).filter(|log| log.exists());
        // A task may end before its program starts.
        let start = attempts.last().map_or(0, |last| last.log_start);
        let words = log.as_ref().and_then(|log| last_words(log, start));
        let queued = job.as_ref().and_then(|job| self.queue.get(job));
        let accounted = job.as_ref().and_then(|job| self.accounts.get(job)).copied();
        let state = queued.map(|task| task.state).or(accounted);
        status.last = Some(LastTask {
            launch: launch.number,
            attempts: attempts.len(),
            requeues: attempts.iter().filter(|attempt| attempt.was_requeued()).count(),
            memory: launch.record.memory,
            is_raised: launch.record.is_raised,
            log,
            job: job.clone(),
        });
        let is_known = launch.is_local() || self.cluster.as_ref() == Some(&launch.record.cluster);
        match (status.phase, state) {
            (TaskPhase::Done, _) => {}
            (TaskPhase::Running, _) | (_, Some(JobState::Running)) => {
                (status.phase, status.reason) = (TaskPhase::Running, None);
                status.queue =
                    queued.filter(|task| !task.nodes.is_empty()).map(|task| format!("on {}", task.nodes));
            }
            (_, Some(JobState::Queued)) => {
                status.phase = TaskPhase::Queued;
                status.reason = attempts.last().and_then(|last| Reason::of(Some(last), None, words));
                status.queue = queued.filter(|task| !task.reason.is_empty()).map(|task| task.reason.clone());
            }
            (TaskPhase::Failed, _) => {}
            // It was never submitted, or its process has not started.
            _ if job.is_none() || (launch.is_local() && attempts.is_empty()) => {}
            (_, None) if !is_known && attempts.last().is_none_or(Attempt::may_continue) => {
                status.phase = TaskPhase::Submitted;
                status.queue = Some(format!("to the cluster '{}'", launch.record.cluster));
            }
            (_, state) => status.end(attempts.last(), state, words),
        }
        status
    }
}

impl LastTask {
    /// The memory with which to try again after this task ran out of it, in MiB, and whether that is raised by the recipe's factor, which
    /// is allowed once; `None` if it may not be tried again.
    pub(super) fn memory_after(&self, resources: &Resources) -> Option<(Option<u64>, bool)> {
        if resources.memory > self.memory {
            return Some((resources.memory, false));
        }
        let raised = resources.raised_memory().filter(|_| !self.is_raised);
        raised.map(|raised| (Some(raised), true))
    }
}

impl TaskStatus {
    /// Whether its last attempt ran out of memory, and it may be tried with more.
    pub fn may_have_more_memory(&self, resources: &Resources) -> bool {
        let last = self.last.as_ref().filter(|last| last.job.is_some() && self.ran_out_of_memory());
        last.is_some_and(|last| last.memory_after(resources).is_some())
    }

    pub(super) fn ran_out_of_memory(&self) -> bool {
        self.reason.as_ref().is_some_and(|reason| reason.kind == ReasonKind::OutOfMemory)
    }

    /// The task ended without a result.
    fn end(&mut self, last: Option<&Attempt>, state: Option<JobState>, words: Option<JobEnd>) {
        let ended = match state {
            Some(JobState::Ended(end)) => Some(end),
            _ => None,
        };
        let reason = match last {
            Some(last) if last.was_requeued() && ended.is_none() => {
                let detail = "requeued itself before its time limit, and is no longer in the queue";
                Some(Reason::new(ReasonKind::Cancelled, detail))
            }
            last => Reason::of(last, ended, words),
        };
        let unknown = || {
            Reason::new(ReasonKind::Killed, "left the queue before the program started; its log may say why")
        };
        let reason = reason.unwrap_or_else(unknown);
        let is_failed = matches!(reason.kind, ReasonKind::RunFailed | ReasonKind::OutOfMemory);
        self.phase = if is_failed { TaskPhase::Failed } else { TaskPhase::Stopped };
        self.reason = Some(reason);
    }
}

/// Where a run stands that is part of no task.
fn without_task(status: RunStatus) -> TaskStatus {
    let (phase, reason) = match &status {
        RunStatus::Done(_) => (TaskPhase::Done, None),
        RunStatus::Running => (TaskPhase::Running, None),
        RunStatus::Failed(problem) => (TaskPhase::Failed, Some(Reason::new(ReasonKind::RunFailed, problem))),
        RunStatus::Damaged(problem) => {
            (TaskPhase::Stopped, Some(Reason::new(ReasonKind::RunFailed, problem)))
        }
        RunStatus::Started(_) => (TaskPhase::Stopped, None),
        RunStatus::Missing => (TaskPhase::ToDo, None),
    };
    TaskStatus { phase, status, reason, queue: None, last: None }
}

/// The last launch of each run, and the task there.
fn last_tasks(launches: &[Launch]) -> BTreeMap<String, (usize, usize)> {
    let mut last = BTreeMap::new();
    for (index, launch) in launches.iter().enumerate() {
        for (number, task) in launch.tasks.iter().enumerate() {
            last.extend(task.runs.iter().map(|run| (run.clone(), (index, number))));
        }
    }
    last
}
