//! Trackers: programs in which people watch runs. The numbers of a run are shown there while it trains.
//!
//! | file | subject |
//! | --- | --- |
//! | `point.rs` | what is shown: numbers by step, and settings |
//! | `tracker.rs` | the trait of a tracker |
//! | `tensorboard.rs`, `event_file.rs` | TensorBoard's event files |
//! | `mlflow.rs` | MLflow's REST interface |
//! | `delivery.rs` | a thread for each tracker, so that none delays a run |
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
mod tensorboard;
mod tracker;
mod watch;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use tracker::Open;

pub use delivery::{Trackers, Undelivered};
pub use export::track_finished;
pub use watch::Tracked;

/// The trackers: the name, the form of a place, and how to read one.
const KINDS: [(&str, &str, ReadPlace); 2] =
    [("tensorboard", "DIR", tensorboard::place), ("mlflow", "URL[#EXPERIMENT]", mlflow::place)];

/// Reads a place, or says what is wrong with it.
type ReadPlace = fn(&str) -> Result<Arc<Open>, String>;

/// A tracker and a place in it: `tensorboard=DIR` or `mlflow=URL#EXPERIMENT`.
#[derive(Clone)]
pub struct TrackerTarget {
    text: String,
    open: Arc<Open>,
}

impl FromStr for TrackerTarget {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, place) = text.split_once('=').unwrap_or((text, ""));
        let Some((_, _, read)) = KINDS.iter().find(|(kind, ..)| *kind == name) else {
            let forms: Vec<String> = KINDS.iter().map(|(name, place, _)| format!("{name}={place}")).collect();
            return Err(format!("no tracker is named '{name}'; give {}", forms.join(" or ")));
        };
        Ok(Self { text: text.to_owned(), open: read(place)? })
    }
}

impl fmt::Display for TrackerTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for TrackerTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TrackerTarget").field(&self.text).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::TrackerTarget;

    #[test]
    fn a_target_names_a_tracker_and_a_place() {
        for text in ["tensorboard=logs", "mlflow=http://127.0.0.1:5000", "mlflow=https://host/path#my runs"] {
            let target: TrackerTarget = text.parse().unwrap();
            assert_eq!(target.to_string(), text);
        }
        for (text, part) in [
            ("wandb=x", "tensorboard=DIR or mlflow=URL[#EXPERIMENT]"),
            ("tensorboard", "names no directory"),
            ("tensorboard=", "names no directory"),
            ("mlflow=host:5000", "http:// or https://"),
            ("mlflow=ftp://host", "http:// or https://"),
            ("mlflow=http://me:secret@host", "MLFLOW_TRACKING_USERNAME"),
            ("mlflow=http://", "names no host"),
        ] {
            let error = text.parse::<TrackerTarget>().unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
            assert!(!error.contains("secret"), "a password is not repeated: {error}");
        }
    }
}
