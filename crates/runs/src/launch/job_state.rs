//! The states of Slurm's jobs, as far as they matter to a run.

use serde::Serialize;

/// The state of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobState {
    /// It waits, for the first time or after a requeue.
    Queued,
    /// It has nodes.
    Running,
    /// It ended, and Slurm does not run it again.
    Ended(JobEnd),
}

/// How a job ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum JobEnd {
    /// With exit code 0.
    Completed,
    /// With another one.
    Failed,
    /// Slurm ended it at its time limit.
    TimeLimit,
    /// Another job took its place, and Slurm does not requeue it.
    Preempted,
    /// Its node failed.
    NodeFailure,
    /// It took more memory than it asked for.
    OutOfMemory,
    /// Someone cancelled it.
    Cancelled,
}

impl JobState {
    /// Reads a state such as `PENDING` or `CANCELLED by 1000`; `None` if it is none of Slurm's.
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text.split([' ', '+']).next().unwrap_or_default() {
            "PENDING" | "CONFIGURING" | "REQUEUED" | "REQUEUE_FED" | "REQUEUE_HOLD" | "SPECIAL_EXIT"
            | "RESV_DEL_HOLD" => Self::Queued,
            "RUNNING" | "COMPLETING" | "RESIZING" | "SIGNALING" | "STAGE_OUT" | "STOPPED" | "SUSPENDED" => {
                Self::Running
            }
            "COMPLETED" => Self::Ended(JobEnd::Completed),
            "FAILED" | "LAUNCH_FAILED" | "RECONFIG_FAIL" => Self::Ended(JobEnd::Failed),
            "TIMEOUT" | "DEADLINE" => Self::Ended(JobEnd::TimeLimit),
            "PREEMPTED" => Self::Ended(JobEnd::Preempted),
            "NODE_FAIL" | "BOOT_FAIL" => Self::Ended(JobEnd::NodeFailure),
            "OUT_OF_MEMORY" => Self::Ended(JobEnd::OutOfMemory),
            "CANCELLED" | "REVOKED" => Self::Ended(JobEnd::Cancelled),
            _ => return None,
        })
    }
}
