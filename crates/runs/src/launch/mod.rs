//! Launches: runs of a recipe that a scheduler executes, one training per task.
//!
//! A launch is a directory `launches/<number>/` of the store: a copy of the recipe, so that later edits change nothing, the list of
//! tasks, the script, the identifiers of its jobs, their logs, and a record of each attempt at a task.
//!
//! | file | subject |
//! | --- | --- |
//! | `launcher.rs` | who executes the runs |
//! | `script.rs` | the batch script: a pure function |
//! | `commands.rs`, `slurm.rs` | the programs of Slurm, and what they answer |
//! | `job_state.rs` | the states of its jobs |
//! | `record.rs`, `local.rs` | a launch on disk |
//! | `attempt.rs`, `last_words.rs` | the attempts at a task, and what Slurm wrote when it ended one |
//! | `reason.rs`, `task_status.rs` | where each run of a plan stands, and why |
//! | `submit.rs` | which tasks to submit, and their submission |

mod attempt;
mod commands;
mod job_state;
mod last_words;
mod launcher;
mod local;
mod reason;
mod record;
mod script;
mod slurm;
mod submit;
mod task_status;

pub use attempt::{AfterStop, Attempt, AttemptEnd};
pub use commands::{Commands, Installed};
pub use job_state::{JobEnd, JobState};
pub use launcher::Launcher;
pub use local::LocalLaunch;
pub use reason::{Reason, ReasonKind};
pub use record::{Launch, LaunchTask};
pub use script::Script;
pub use slurm::{Cluster, QueuedTask, Slurm};
pub use submit::{Program, Submission, Submitted, unmade_tasks};
pub use task_status::{LastTask, Overview, TaskPhase, TaskStatus};
