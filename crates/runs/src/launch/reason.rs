//! Why an attempt at a task ended.

use serde::Serialize;

use super::attempt::{AfterStop, Attempt, AttemptEnd};
use super::job_state::JobEnd;

/// Why an attempt ended without finishing its runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Reason {
    /// The kind.
    pub kind: ReasonKind,
    /// In words.
    pub detail: String,
}

/// The kinds of reasons.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReasonKind {
    /// A run failed.
    RunFailed,
    /// It needs more memory.
    OutOfMemory,
    /// Its time limit.
    TimeLimit,
    /// Another job took its place.
    Preempted,
    /// Its node failed.
    NodeFailure,
    /// Someone cancelled it.
    Cancelled,
    /// A signal stopped it for a reason that is not known.
    Stopped,
    /// It was killed without warning.
    Killed,
}

impl Reason {
    pub(super) fn new(kind: ReasonKind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into() }
    }

    /// Why the last attempt at a task ended: from its record, from the state of its job, if Slurm still knows it, and from Slurm's last
    /// words in its log. `None` if nothing ended.
    pub(super) fn of(attempt: Option<&Attempt>, job: Option<JobEnd>, log: Option<JobEnd>) -> Option<Self> {
        use ReasonKind as Kind;
        match attempt.and_then(|attempt| attempt.end.as_ref()) {
            Some(AttemptEnd::Failed { problem, out_of_memory }) => {
                let kind = if *out_of_memory { Kind::OutOfMemory } else { Kind::RunFailed };
                return Some(Self::new(kind, problem));
            }
            // One that requeued itself may have been cancelled since.
            Some(AttemptEnd::Stopped { signal, then })
                if signal == "SIGUSR1" && (job.is_none() || *then != AfterStop::Requeue) =>
            {
                let detail = format!("saved before its time limit{}", followed(then));
                return Some(Self::new(Kind::TimeLimit, detail));
            }
            _ => {}
        }
        // Some versions call a job that took too much memory cancelled or failed.
        let out_of_memory = log.filter(|end| *end == JobEnd::OutOfMemory);
        if let Some(reason) = [out_of_memory, job, log].into_iter().flatten().find_map(Self::of_end) {
            return Some(reason);
        }
        match attempt.map(|attempt| &attempt.end) {
            Some(Some(AttemptEnd::Stopped { then: AfterStop::Requeue, .. })) if job.is_some() => {
                let detail =
                    "requeued itself, and ended before the program started again; its log may say why";
                Some(Self::new(Kind::Killed, detail))
            }
            Some(Some(AttemptEnd::Stopped { signal, then })) => {
                Some(Self::new(Kind::Stopped, format!("saved after {signal}{}", followed(then))))
            }
            Some(None) => Some(Self::new(
                Kind::Killed,
                "killed without warning: its node failed, or it ran out of memory, and nothing says which",
            )),
            None if job.is_some() => {
                Some(Self::new(Kind::Killed, "ended before the program started; its log may say why"))
            }
            _ => None,
        }
    }

    fn of_end(end: JobEnd) -> Option<Self> {
        let (kind, detail) = match end {
            JobEnd::Completed | JobEnd::Failed => return None,
            JobEnd::TimeLimit => (ReasonKind::TimeLimit, "reached its time limit"),
            JobEnd::Preempted => (ReasonKind::Preempted, "preempted by another job"),
            JobEnd::NodeFailure => (ReasonKind::NodeFailure, "its node failed"),
            JobEnd::OutOfMemory => (ReasonKind::OutOfMemory, "killed: it ran out of memory"),
            JobEnd::Cancelled => (ReasonKind::Cancelled, "cancelled"),
        };
        Some(Self::new(kind, detail))
    }
}

/// What followed, after a comma.
fn followed(then: &AfterStop) -> String {
    match then {
        AfterStop::Requeue => ", and requeued itself".to_owned(),
        AfterStop::RequeuesUsedUp => ", with no requeues left (launch.requeues)".to_owned(),
        AfterStop::LeftToSlurm(state) => format!(", while Slurm was ending the job ({state})"),
        AfterStop::NotInSlurm => String::new(),
        AfterStop::Refused(problem) => format!(", but could not be requeued: {problem}"),
    }
}
