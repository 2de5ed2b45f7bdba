//! Trackers: programs in which people watch runs. The numbers of a run are shown there while it trains.
//!
//! | file | subject |
//! | --- | --- |
//! | `point.rs` | what is shown: numbers by step, and settings |
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
mod watch;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use point::{Card, Point};

pub use delivery::{Trackers, Undelivered};
pub use export::track_finished;
pub use watch::Tracked;

/// The trackers: the name, the form of a place, and how to read one.
const KINDS: [(&str, &str, ReadPlace); 2] =
    [("tensorboard", "DIR", tensorboard::place), ("mlflow", "URL[#EXPERIMENT]", mlflow::place)];

/// Opens a run whose points so far are given.
type Open = dyn Fn(&Card, &[Point]) -> Result<Box<dyn Tracker>, Failure> + Send + Sync;
/// Reads a place, and writes it so that it is the same from another directory and in another environment; or says what is wrong with it.
type ReadPlace = fn(&str) -> Result<(String, Arc<Open>), String>;

/// A run in a tracker.
trait Tracker: Send {
    /// Adds points, those of each tag in the order of their steps. If it fails, it is repeated with the same points and more.
    ///
    /// # Errors
    /// Why they are not all there.
    fn add(&mut self, points: &[Point]) -> Result<(), Failure>;

    /// Says that the run ended.
    ///
    /// # Errors
    /// Why that is not there.
    fn end(&mut self, end: &End) -> Result<(), Failure>;
}

/// Why a tracker does not have what it was given.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Failure {
    /// Nothing can be given to it at present.
    Unreachable(String),
    /// It did not take this.
    Refused(String),
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq)]
struct End {
    state: EndState,
    /// How its training ended: `converged`, `max-epochs`, `diverged`; none if it did not.
    outcome: Option<String>,
    /// When, in seconds since 1970.
    time: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum EndState {
    /// It is done.
    Finished,
    /// It was interrupted, and can be resumed.
    Stopped,
    /// An error ended it.
    Failed,
}

/// A tracker and a place in it: `tensorboard=DIR` or `mlflow=URL#EXPERIMENT`. It is written with an absolute path, or the experiment.
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
        let (place, open) = read(place)?;
        Ok(Self { text: format!("{name}={place}"), open })
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
    use std::path::Path;

    use super::TrackerTarget;

    #[test]
    fn a_target_names_a_tracker_and_a_place() {
        for text in ["mlflow=http://127.0.0.1:5000/#a", "mlflow=https://host/path#my runs"] {
            let target: TrackerTarget = text.parse().unwrap();
            assert_eq!(target.to_string(), text.replace("/#", "#"));
        }
        let target = "tensorboard=logs".parse::<TrackerTarget>().unwrap().to_string();
        assert!(Path::new(target.strip_prefix("tensorboard=").unwrap()).is_absolute(), "{target}");
        assert!(target.ends_with("logs"), "{target}");
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
