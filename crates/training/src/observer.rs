//! Observers of trainings and measurements.

use std::cell::RefCell;

use crate::progress::{EpochMetrics, MeasureProgress, StepReport, TrackedLambdaMax};

/// A progress bar, the handler of Ctrl-C, a test.
pub trait Observer {
    /// A step was taken.
    fn on_step(&mut self, step: &StepReport) {
        let _ = step;
    }
    /// An epoch ended with finite numbers.
    fn on_epoch(&mut self, metrics: &EpochMetrics) {
        let _ = metrics;
    }
    /// λ_max was measured after a step of the training.
    fn on_lambda_max(&mut self, found: &TrackedLambdaMax) {
        let _ = found;
    }
    /// A measurement advanced.
    fn on_measure(&mut self, progress: &MeasureProgress) {
        let _ = progress;
    }
    /// Whether to save and stop; asked after every step, and between the chunks of a measurement.
    fn should_stop(&mut self) -> bool {
        false
    }
}

/// Observes nothing.
impl Observer for () {}

/// An observer that the parts of a measurement share.
pub trait Watcher {
    /// Reports the progress of a measurement.
    fn report(&self, progress: &MeasureProgress);
    /// Whether to stop.
    fn should_stop(&self) -> bool;
}

/// Shares an observer.
pub struct Watch<'o>(RefCell<&'o mut dyn Observer>);

impl<'o> Watch<'o> {
    /// Shares `observer`.
    pub fn new(observer: &'o mut dyn Observer) -> Self {
        Self(RefCell::new(observer))
    }
}

impl Watcher for Watch<'_> {
    fn report(&self, progress: &MeasureProgress) {
        self.0.borrow_mut().on_measure(progress);
    }

    fn should_stop(&self) -> bool {
        self.0.borrow_mut().should_stop()
    }
}

impl std::fmt::Debug for Watch<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watch").finish_non_exhaustive()
    }
}
