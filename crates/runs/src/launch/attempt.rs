//! The record of an attempt at a task. Its process writes it when it begins and when it ends. One that has no end was killed
//! without warning, or is running.

use std::fs;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::slurm::Slurm;
use crate::json::read_json;
use crate::layout::LaunchLayout;
use crate::provenance::{host, seconds_since_1970};
use crate::{Error, Result, atomic};

/// An attempt at a task of a launch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// The task, such as `4711_3`: the identifier of the array and the index in it.
    pub task: String,
    /// The number of earlier attempts.
    pub number: u32,
    /// The machine.
    pub host: Option<String>,
    /// When it began, in seconds since 1970.
    pub began: u64,
    /// Where its part of the log begins, in bytes.
    pub log_start: u64,
    /// How it ended; `None` while it runs, or if it was killed without warning.
    pub end: Option<AttemptEnd>,
}

/// How an attempt ended, as its own process saw it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "how")]
pub enum AttemptEnd {
    /// All of its runs are done.
    Done,
    /// A run failed.
    Failed {
        /// Why.
        problem: String,
        /// Whether the runs need more memory than the task may take.
        out_of_memory: bool,
    },
    /// A signal told it to save and stop.
    Stopped {
        /// The name of the signal.
        signal: String,
        /// What followed.
        then: AfterStop,
    },
}

/// What follows after a signal stopped a task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "then", content = "detail")]
pub enum AfterStop {
    /// It requeues itself.
    Requeue,
    /// It had requeued itself as often as the recipe allows.
    RequeuesUsedUp,
    /// Slurm was already ending the job, which was in this state: it requeues it, or someone cancelled it.
    LeftToSlurm(String),
    /// Slurm did not requeue it, for this reason.
    Refused(String),
    /// It is no task of Slurm.
    NotInSlurm,
}

impl Attempt {
    /// Begins an attempt at a task.
    ///
    /// # Errors
    /// [`Error::Io`] if the record cannot be written; [`Error::Launch`] if there is no such launch, or no task can have that name.
    pub fn begin(launch: &LaunchLayout, task: &str) -> Result<Self> {
        let is_name =
            !task.is_empty() && task.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if !is_name || !launch.record().exists() {
            return Err(Error::Launch(format!("{} has no task '{task}'", launch.dir().display())));
        }
        let earlier =
            of_launch(launch).into_iter().filter(|attempt| attempt.task == task).map(|last| last.number + 1);
        let attempt = Self {
            task: task.to_owned(),
            number: earlier.max().unwrap_or_default(),
            host: host(),
            began: seconds_since_1970(),
            log_start: fs::metadata(launch.log(task)).map_or(0, |file| file.len()),
            end: None,
        };
        fs::create_dir_all(launch.attempts()).map_err(Error::io("create", &launch.attempts()))?;
        attempt.write(launch)?;
        Ok(attempt)
    }

    /// Records how the attempt ended.
    ///
    /// # Errors
    /// [`Error::Io`] if the record cannot be written.
    pub fn end(&mut self, launch: &LaunchLayout, end: AttemptEnd) -> Result<()> {
        self.end = Some(end);
        self.write(launch)
    }

    /// Decides what follows after `signal` stopped the task, records it, and requeues the task if need be. It requeues itself at most
    /// `most` times, and only while Slurm has not begun to end the job: a job that is cancelled must not come back, and one that is
    /// preempted or whose node is drained is requeued by Slurm.
    ///
    /// # Errors
    /// [`Error::Io`] if the record cannot be written.
    pub fn stop(
        &mut self,
        launch: &LaunchLayout,
        signal: &str,
        most: u32,
        slurm: Option<Slurm<'_>>,
    ) -> Result<AfterStop> {
        let attempts = of_launch(launch);
        let requeues =
            attempts.iter().filter(|other| other.task == self.task && other.was_requeued()).count();
        let then = match slurm.map(|slurm| slurm.state(&self.task)) {
            None => AfterStop::NotInSlurm,
            Some(Err(error)) => AfterStop::Refused(error.to_string()),
            Some(Ok(state)) if state != "RUNNING" => AfterStop::LeftToSlurm(state),
            Some(Ok(_)) if requeues >= most as usize => AfterStop::RequeuesUsedUp,
            Some(Ok(_)) => AfterStop::Requeue,
        };
        let stopped =
            |then: &AfterStop| AttemptEnd::Stopped { signal: signal.to_owned(), then: then.clone() };
        // Before the requeue, which kills this process.
        self.end(launch, stopped(&then))?;
        match slurm.filter(|_| then == AfterStop::Requeue).map(|slurm| slurm.requeue(&self.task)) {
            None | Some(Ok(())) => Ok(then),
            Some(Err(error)) => {
                let then = AfterStop::Refused(error.to_string());
                self.end(launch, stopped(&then)).map(|()| then)
            }
        }
    }

    /// Whether it ended by requeueing itself.
    pub fn was_requeued(&self) -> bool {
        matches!(self.end, Some(AttemptEnd::Stopped { then: AfterStop::Requeue, .. }))
    }

    /// Whether the task may be waiting or running, as far as the attempt itself knows.
    pub(super) fn may_continue(&self) -> bool {
        match &self.end {
            None => true,
            Some(AttemptEnd::Done | AttemptEnd::Failed { .. }) => false,
            Some(AttemptEnd::Stopped { then, .. }) => {
                matches!(then, AfterStop::Requeue | AfterStop::LeftToSlurm(_))
            }
        }
    }

    fn write(&self, launch: &LaunchLayout) -> Result<()> {
        let path = launch.attempt(&self.task, self.number);
        atomic::replace(&path, &atomic::json(&path, self)?)
    }
}

/// The attempts of a launch, by task and in their order. A record that cannot be read is left out.
pub(super) fn of_launch(launch: &LaunchLayout) -> Vec<Attempt> {
    let entries = fs::read_dir(launch.attempts()).into_iter().flatten().filter_map(std::result::Result::ok);
    let files = entries.map(|entry| entry.path()).filter(|path| path.extension() == Some("json".as_ref()));
    let read = |path: PathBuf| read_json::<Attempt>(&path).ok().flatten();
    let mut attempts: Vec<Attempt> = files.filter_map(read).collect();
    attempts.sort_by(|a, b| (&a.task, a.number).cmp(&(&b.task, b.number)));
    attempts
}
