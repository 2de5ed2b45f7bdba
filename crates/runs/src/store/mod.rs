//! The directory of a run, and stores of many runs.
//!
//! | file | subject |
//! | --- | --- |
//! | `run_dir.rs` | the directory of a run while a process works on it |
//! | `config.rs`, `records.rs` | its settings and its results |
//! | `checkpoint.rs`, `journal.rs`, `metrics.rs` | what a training writes |
//! | `lease.rs`, `heartbeat.rs`, `holder.rs`, `look.rs` | the right of one process to write it |
//! | `runs.rs`, `import.rs` | many runs, and runs of other stores |
//! | `tracked.rs` | trainings that also serve runs that measure less |
//! | `so_far.rs` | what a training has written so far |

mod checkpoint;
mod config;
mod heartbeat;
mod holder;
mod import;
mod journal;
mod lease;
mod look;
mod metrics;
mod records;
mod run_dir;
mod runs;
mod so_far;
mod tracked;

pub use config::run_config;
pub(crate) use config::stored_config;
pub use holder::Holder;
pub use journal::CheckpointEvery;
pub(crate) use journal::Journal;
pub(crate) use metrics::read as read_metrics;
pub(crate) use records::needs_no_measurement;
pub(crate) use run_dir::stored_state;
pub use run_dir::{Existing, Opened, RunDir};
pub use runs::{RunStatus, RunStore};
pub use so_far::{Epochs, Stamp};
