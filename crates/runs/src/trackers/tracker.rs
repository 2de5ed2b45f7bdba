//! What every tracker does.

use super::point::{Card, Point};

/// Opens a run whose points so far are given.
pub(super) type Open = dyn Fn(&Card, &[Point]) -> Result<Box<dyn Tracker>, Failure> + Send + Sync;

/// A run in a tracker.
pub(super) trait Tracker: Send {
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
pub(super) enum Failure {
    /// Nothing can be given to it at present.
    Unreachable(String),
    /// It did not take this.
    Refused(String),
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct End {
    pub(super) state: EndState,
    /// How its training ended: `converged`, `max-epochs`, `diverged`; none if it did not.
    pub(super) outcome: Option<String>,
    /// When, in seconds since 1970.
    pub(super) time: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EndState {
    /// It is done.
    Finished,
    /// It was interrupted, and can be resumed.
    Stopped,
    /// An error ended it.
    Failed,
}
