//! Trackers: programs in which people watch runs. The numbers of a run are shown there while it trains.
//!
//! | file | subject |
//! | --- | --- |
//! | `point.rs` | what is shown: numbers by step, and settings |
//! | `tracker.rs` | what every tracker does: a trait |
//! | `target.rs` | the trackers by name: a row for each |
//! | `tensorboard.rs`, `event_file.rs` | TensorBoard's event files |
//! | `mlflow.rs` | MLflow's REST interface |
//! | `delivery.rs` | one thread per tracker: no run waits for it |
//! | `watch.rs` | the observer of a run that is tracked |
//! | `export.rs` | tracking finished runs |
//!
//! A tracker shows nothing that the store does not hold. So nothing is lost with it: a run that resumes sends what its checkpoint
//! knows, of which the tracker takes what it lacks, and [`track_finished`] repeats that for a whole store. A run never fails for
//! a tracker, and never waits for one until its end.

mod delivery;
mod event_file;
mod export;
mod mlflow;
mod point;
mod target;
mod tensorboard;
mod tracker;
mod watch;

pub use delivery::{Trackers, Undelivered};
pub use export::track_finished;
pub use target::TrackerTarget;
pub use watch::Tracked;
