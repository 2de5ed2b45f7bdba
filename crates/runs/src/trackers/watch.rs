//! The observer of a run that is tracked.

use std::collections::BTreeSet;
use std::sync::Arc;

use sharpness_training::settings::RunConfig;
use sharpness_training::{EpochMetrics, MeasureProgress, Observer, Outcome, StepReport, TrackedLambdaMax};

use super::delivery::{Event, Trackers};
use super::point::{Card, Point, now, of_epoch, of_lambda_max, of_measurement, varied};
use super::tracker::{End, EndState};
use crate::Result;
use crate::damage::Damage;
use crate::report::Report;
use crate::run::{Completion, Past, RunObserver};

impl Trackers {
    /// The settings that differ between runs, by which trackers compare them; empty if there are no trackers.
    ///
    /// # Errors
    /// [`Config`](sharpness_training::Error::Config) if a number is not finite.
    pub fn varied<'c>(&self, configs: impl Iterator<Item = &'c RunConfig>) -> Result<BTreeSet<String>> {
        if self.is_empty() { Ok(BTreeSet::new()) } else { varied(configs) }
    }

    /// Tracks the run `config`, which `inner` observes too. `varied` are the settings by which it is compared; if there are none,
    /// those that are not the defaults.
    ///
    /// # Errors
    /// [`Config`](sharpness_training::Error::Config) if a number is not finite.
    pub fn watch<'t>(
        &'t self,
        config: &'t RunConfig,
        varied: &BTreeSet<String>,
        inner: &'t mut dyn RunObserver,
    ) -> Result<Tracked<'t>> {
        let card = Arc::new(Card::new(config, varied, now())?);
        Ok(Tracked { trackers: self, config, card, inner, is_open: false })
    }
}

/// Tracks a run while another observer watches it.
pub struct Tracked<'t> {
    trackers: &'t Trackers,
    config: &'t RunConfig,
    card: Arc<Card>,
    inner: &'t mut dyn RunObserver,
    is_open: bool,
}

impl Tracked<'_> {
    /// Tells how the run ended. A run that never began is not tracked.
    pub fn end(self, completion: &Result<Completion>) {
        let (state, report) = match completion {
            Ok(Completion::Made(report) | Completion::Known(report)) => (EndState::Finished, Some(report)),
            Ok(Completion::Stopped) => (EndState::Stopped, None),
            Err(_) => (EndState::Failed, None),
        };
        if self.is_open {
            if let Some(report) = report {
                self.add(&of_report(report, now()));
            }
            let outcome = report.map(|report| outcome(report.training.outcome));
            let end = End { state, outcome, time: now() };
            self.trackers.send(|| Event::End(Arc::clone(&self.card), end.clone()));
        }
    }

    fn add(&self, points: &[Point]) {
        self.trackers.send(|| Event::Add(Arc::clone(&self.card), points.to_vec()));
    }

    /// Shows what went wrong with the trackers.
    fn pass_notes(&mut self) {
        self.trackers.notes().iter().for_each(|note| self.inner.on_note(note));
    }
}

/// The points of the measurement at the end.
pub(super) fn of_report(report: &Report, time: f64) -> Vec<Point> {
    let measured = report.measurement.as_ref();
    measured.map_or_else(Vec::new, |measured| of_measurement(measured, report.training.steps, time))
}

/// An outcome as in the files of a run.
pub(super) fn outcome(outcome: Outcome) -> String {
    let text = serde_json::to_value(outcome).ok();
    text.as_ref().and_then(|text| text.as_str()).unwrap_or_default().to_owned()
}

/// The points of what a run did before.
pub(super) fn of_past(past: &Past<'_>, config: &RunConfig, time: f64) -> Result<Vec<Point>> {
    let mut points = Vec::new();
    for metrics in past.epochs()? {
        points.extend(of_epoch(&metrics, config, time));
    }
    for found in past.lambda_max() {
        points.extend(of_lambda_max(found, config, time));
    }
    Ok(points)
}

impl Observer for Tracked<'_> {
    fn on_step(&mut self, step: &StepReport) {
        self.inner.on_step(step);
    }

    fn on_lambda_max(&mut self, found: &TrackedLambdaMax) {
        self.inner.on_lambda_max(found);
        if !self.trackers.is_empty() {
            self.add(&of_lambda_max(found, self.config, now()));
        }
    }

    fn on_epoch(&mut self, metrics: &EpochMetrics) {
        self.inner.on_epoch(metrics);
        if !self.trackers.is_empty() {
            self.add(&of_epoch(metrics, self.config, now()));
            self.pass_notes();
        }
    }

    fn on_measure(&mut self, progress: &MeasureProgress) {
        self.inner.on_measure(progress);
    }

    fn should_stop(&mut self) -> bool {
        self.inner.should_stop()
    }
}

impl RunObserver for Tracked<'_> {
    fn on_damage(&mut self, damage: &Damage) {
        self.inner.on_damage(damage);
    }

    fn on_note(&mut self, note: &str) {
        self.inner.on_note(note);
    }

    fn on_start(&mut self, past: &Past<'_>) {
        self.inner.on_start(past);
        if self.trackers.is_empty() {
            return;
        }
        // A file that cannot be read is the run's concern, which says so.
        let points = of_past(past, self.config, now()).unwrap_or_default();
        self.is_open = true;
        self.trackers.send(|| Event::Open(Arc::clone(&self.card), points.clone()));
    }
}
