//! Shows the progress of a run, and stops it on Ctrl-C.

use std::ops::Range;
use std::time::Instant;

use sharpness_runs::{Damage, RunObserver};
use sharpness_training::settings::RunConfig;
use sharpness_training::{EpochMetrics, MeasureProgress, Observer, StepReport};

use crate::interrupt::Interrupt;
use crate::measuring;
use crate::output::{Progress, note, percent, significant, time_left};

/// The template of the bar.
const TEMPLATE: &str = "{msg} {bar:16} {pos}/{len} steps";

/// The factor by which the trend of the errors may be wrong.
const TREND_ERROR: f64 = 1.6;

/// Watches one run.
pub(crate) struct Watch<'a> {
    interrupt: &'a Interrupt,
    target_accuracy: f64,
    max_epochs: u32,
    progress: Progress,
    is_measuring: bool,
    started: Instant,
    /// The training error at the end of each epoch of this process, as a fraction.
    errors: Vec<f64>,
    last_epoch: String,
}

impl<'a> Watch<'a> {
    /// Starts to watch.
    pub(crate) fn new(interrupt: &'a Interrupt, config: &RunConfig) -> Self {
        Self {
            interrupt,
            target_accuracy: config.training.target_accuracy,
            max_epochs: config.training.max_epochs,
            progress: Progress::new(TEMPLATE),
            is_measuring: false,
            started: Instant::now(),
            errors: Vec::new(),
            last_epoch: String::new(),
        }
    }

    /// The seconds until the end of a training that has done `epoch` epochs: until the target accuracy, if the training
    /// error keeps falling as in the later half of the epochs, and at the latest until `max_epochs`.
    fn time_left(&self, epoch: u32) -> Option<Range<f64>> {
        let made = self.errors.len() as f64;
        let most = f64::from(self.max_epochs.saturating_sub(epoch));
        let epochs = match self.epochs_left() {
            Some(epochs) => (epochs / TREND_ERROR).min(most)..(epochs * TREND_ERROR).min(most),
            // Without a trend, the limit is informative only when it is near.
            None if most <= made => 0.0..most,
            None => return None,
        };
        let epoch_secs = self.started.elapsed().as_secs_f64() / made;
        (epochs.end > 0.0).then_some(epochs.start * epoch_secs..epochs.end * epoch_secs)
    }

    /// The epochs until the target accuracy, extrapolated from the errors.
    fn epochs_left(&self) -> Option<f64> {
        let epochs = self.errors.len();
        let (last, earlier) = (*self.errors.last()?, *self.errors.get(epochs / 2)?);
        let span = (epochs - 1 - epochs / 2) as f64;
        // A span of zero epochs gives NaN, which is not a fall either.
        let fall_per_epoch = Some((earlier / last).ln() / span).filter(|fall| *fall > 0.0)?;
        let epochs_left = (last / (1.0 - self.target_accuracy)).ln() / fall_per_epoch;
        Some(epochs_left.max(0.0)).filter(|epochs| epochs.is_finite())
    }
}

impl Observer for Watch<'_> {
    fn on_step(&mut self, step: &StepReport) {
        if self.is_measuring {
            self.is_measuring = false;
            self.progress = Progress::new(TEMPLATE);
        }
        let (position, total) = (u64::from(step.step_in_epoch), u64::from(step.steps_per_epoch));
        let last_epoch = &self.last_epoch;
        self.progress.update(position, total, || {
            format!("epoch {}: loss {}{last_epoch}", step.epoch, significant(step.loss, 3))
        });
    }

    fn on_epoch(&mut self, metrics: &EpochMetrics) {
        self.errors.push(1.0 - metrics.train_accuracy);
        let left = self.time_left(metrics.epoch);
        let left = left.map_or_else(String::new, |left| format!(", {}", time_left(&left)));
        let (accuracy, target) = (percent(metrics.train_accuracy), percent(self.target_accuracy));
        let lambda = metrics.lambda_max.as_ref();
        let lambda =
            lambda.map_or_else(String::new, |found| format!(", λ_max {}", significant(found.value, 3)));
        self.last_epoch = format!(", train {accuracy} of {target}{lambda}{left}");
    }

    fn on_measure(&mut self, progress: &MeasureProgress) {
        if !self.is_measuring {
            self.is_measuring = true;
            self.progress = Progress::new(measuring::TEMPLATE);
        }
        measuring::show(&mut self.progress, progress);
    }

    fn should_stop(&mut self) -> bool {
        self.interrupt.is_raised()
    }
}

impl RunObserver for Watch<'_> {
    fn on_damage(&mut self, damage: &Damage) {
        note(&damage.to_string());
    }

    fn on_note(&mut self, text: &str) {
        note(text);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use sharpness_data::DatasetName;
    use sharpness_network::architectures::Architecture;

    use super::*;

    #[test]
    fn the_time_left_follows_the_fall_of_the_errors() {
        let interrupt = Interrupt::default();
        let mut config = RunConfig::new(DatasetName::Digits, Architecture::Mlp);
        let mut watch = Watch::new(&interrupt, &config);
        assert_eq!(watch.time_left(0), None, "nothing is known at the start");
        watch.started = Instant::now().checked_sub(Duration::from_secs(40)).unwrap();
        watch.errors = vec![0.32, 0.16, 0.08, 0.04];
        let secs = watch.time_left(4).unwrap();
        assert!(secs.contains(&20.0), "two halvings at ten seconds each: {secs:?}");
        assert!(secs.end / secs.start < 3.0, "not any time: {secs:?}");
        for errors in [vec![0.3], vec![0.3, 0.2], vec![0.1; 6], vec![0.1, 0.1, 0.2]] {
            watch.errors = errors;
            assert_eq!(watch.time_left(8), None, "nothing is known from errors {:?}", watch.errors);
        }

        config.training.max_epochs = 10;
        let mut watch = Watch { started: watch.started, ..Watch::new(&interrupt, &config) };
        watch.errors = vec![0.9, 0.8, 0.78, 0.77, 0.76, 0.75, 0.74, 0.73];
        let secs = watch.time_left(8).unwrap();
        assert!((secs.end - 10.0).abs() < 0.5, "two epochs of five seconds are allowed: {secs:?}");
        watch.errors = vec![0.9; 8];
        let secs = watch.time_left(8).unwrap();
        assert!((secs.end - 10.0).abs() < 0.5, "also where no trend is seen: {secs:?}");
    }
}
