//! A training in one row of the page's table.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;
use serde_json::Value;
use sharpness_runs::{Report, RunStatus, RunStore, leaves};
use sharpness_training::measures::Measurement;
use sharpness_training::settings::RunConfig;
use sharpness_training::{Outcome, TrackedLambdaMax};

/// What is known of a training, from all its files. A file that cannot be read makes it `damaged`, with the reason, and hides nothing else.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Row {
    /// The name of the training.
    pub id: String,
    /// Its state: `done`, `trained` (but not measured), `running`, `started`, `to do`, `failed` or `damaged`.
    pub state: String,
    /// Why it failed or is damaged, or what a process is doing.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// How the training ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// Completed epochs.
    pub epochs: u32,
    /// The most epochs that the settings allow.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_epochs: Option<u32>,
    /// The training time so far in seconds; that of a running training up to its last checkpoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds: Option<f64>,
    /// Estimated seconds until the end of a running training.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds_left: Option<f64>,
    /// Whether [`Self::seconds_left`] is only an upper bound: no other seed of these settings has finished.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub left_is_bound: bool,
    /// When a file last changed, in seconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub updated: Option<u64>,
    /// Mean loss over the training set after the last epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub train_loss: Option<f64>,
    /// Accuracy on the training set then, from 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub train_accuracy: Option<f64>,
    /// Accuracy on the test set then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test_accuracy: Option<f64>,
    /// λ_max at the end; of a training that has no measurement yet, the last one through training.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lambda_max: Option<f64>,
    /// Its residual.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub residual: Option<f64>,
    /// Whether λ_max did not reach the requested tolerance.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub unconverged: bool,
    /// The edge of stability at the first learning rate, in units of λ_max; none for optimizers without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub edge: Option<f64>,
    /// The number of its measurements. The row shows the one with the most examples, and the most measures among those.
    #[serde(skip_serializing_if = "is_zero")]
    pub measurements: usize,
    /// The settings of the training.
    #[serde(skip)]
    pub settings: BTreeMap<String, Value>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
const fn is_zero(count: &usize) -> bool {
    *count == 0
}

impl Row {
    /// A training that has not started.
    pub fn to_do(id: String, config: &RunConfig) -> Self {
        let mut row = Self { id, state: "to do".to_owned(), ..Self::default() };
        row.set_config(config);
        row
    }

    /// Reads a training of a store.
    pub fn read(store: &RunStore, id: &str) -> Self {
        let mut row = Self { id: id.to_owned(), ..Self::default() };
        let (mut reports, mut damage) = (Vec::new(), None);
        for report in store.reports(id) {
            match report {
                Ok(report) => reports.push(report),
                Err(error) => damage = damage.or_else(|| Some(error.to_string())),
            }
        }
        row.measurements = reports.iter().filter(|report| report.measurement.is_some()).count();
        match shown(&reports) {
            Some(report) => row.set_report(report),
            None => row.set_so_far(store),
        }
        row.set_state(store, damage);
        row
    }

    fn set_state(&mut self, store: &RunStore, damage: Option<String>) {
        let is_trained = self.outcome.is_some();
        let needs_measurement = self.measurements == 0 && self.outcome != Some(Outcome::Diverged);
        let (state, reason) = match damage {
            Some(reason) => ("damaged", reason),
            None if !is_trained => match store.training_status(&self.id) {
                RunStatus::Running => ("running", "training".to_owned()),
                RunStatus::Failed(reason) => ("failed", reason),
                RunStatus::Damaged(reason) => ("damaged", reason),
                RunStatus::Missing => ("to do", String::new()),
                RunStatus::Started(_) | RunStatus::Done(_) => {
                    ("started", "stopped before its end; a sweep resumes it".to_owned())
                }
            },
            None if store.is_running(&self.id) => ("running", "measuring".to_owned()),
            None if needs_measurement => ("trained", "not measured".to_owned()),
            None => ("done", String::new()),
        };
        (self.state, self.reason) = (state.to_owned(), reason);
    }

    fn set_config(&mut self, config: &RunConfig) {
        let training = &config.training;
        self.max_epochs = Some(training.max_epochs);
        self.edge = training.edge_of_stability().map(|edge| edge.at(training.learning_rate));
        let mut settings = leaves(config).unwrap_or_default();
        settings.retain(|key, _| !key.starts_with("measure."));
        self.settings = settings;
    }

    fn set_report(&mut self, Report { config, training, measurement, .. }: &Report) {
        self.set_config(config);
        self.outcome = Some(training.outcome);
        (self.epochs, self.seconds) = (training.epochs, Some(training.seconds));
        (self.train_loss, self.train_accuracy) = (training.train_loss, training.train_accuracy);
        self.test_accuracy = training.test_accuracy;
        match measurement {
            Some(Measurement { lambda_max, .. }) => {
                (self.lambda_max, self.residual) = (Some(lambda_max.value), Some(lambda_max.residual));
                self.unconverged = !lambda_max.converged;
            }
            None => self.set_tracked(training.lambda_max.last()),
        }
    }

    fn set_tracked(&mut self, found: Option<&TrackedLambdaMax>) {
        let Some(found) = found else { return };
        (self.lambda_max, self.residual) = (Some(found.value), Some(found.residual));
        self.unconverged = !found.converged;
    }

    /// What an unfinished training has written. What cannot be read is left to its state.
    fn set_so_far(&mut self, store: &RunStore) {
        if let Ok(Some(config)) = store.config(&self.id) {
            self.set_config(&config);
        }
        let progress = store.progress(&self.id).ok().flatten();
        let last = store.last_epoch(&self.id);
        let last = last.or_else(|| progress.as_ref().and_then(|progress| progress.last_epoch.clone()));
        if let Some(last) = &last {
            self.epochs = last.epoch;
            (self.train_loss, self.train_accuracy) = (Some(last.train_loss), Some(last.train_accuracy));
            self.test_accuracy = last.test_accuracy;
        }
        let tracked = last.as_ref().and_then(|last| last.lambda_max.as_ref());
        self.set_tracked(tracked.or_else(|| progress.as_ref().and_then(|found| found.lambda_max.last())));
        if let Some(progress) = progress.filter(|progress| progress.epoch > 0) {
            self.seconds = Some(progress.seconds);
            let epoch = progress.seconds / f64::from(progress.epoch);
            let left = self.max_epochs.unwrap_or_default().saturating_sub(self.epochs);
            (self.seconds_left, self.left_is_bound) = (Some(epoch * f64::from(left)), true);
        }
    }

    /// Replaces the bound on the time left by an estimate, if other seeds of these settings are done.
    pub(super) fn estimate_time_left<'r>(&mut self, others: impl Iterator<Item = &'r Self>) {
        if self.state != "running" || self.outcome.is_some() {
            self.seconds_left = None;
        }
        if !self.left_is_bound {
            return;
        }
        let (Some(bound), Some(most)) = (self.seconds_left, self.max_epochs) else { return };
        let same = |other: &&Self| {
            let mut keys = self.settings.iter().filter(|(key, _)| *key != "seed");
            other.outcome.is_some_and(|outcome| outcome != Outcome::Interrupted)
                && other.settings.len() == self.settings.len()
                && keys.all(|(key, value)| other.settings.get(key) == Some(value))
        };
        let mut epochs: Vec<u32> = others.filter(same).map(|other| other.epochs).collect();
        epochs.sort_unstable();
        let left = most.saturating_sub(self.epochs);
        if let Some(median) = epochs.get(epochs.len() / 2).filter(|median| left > 0 && **median > self.epochs)
        {
            self.seconds_left = Some(bound * f64::from(median - self.epochs) / f64::from(left));
            self.left_is_bound = false;
        }
    }

    /// Notes when a file of the training last changed.
    pub fn set_updated(&mut self, time: Option<SystemTime>) {
        self.updated = time.and_then(|time| Some(time.duration_since(UNIX_EPOCH).ok()?.as_secs()));
    }

    /// The row as JSON, with those settings that differ from `base`; null stands for one that this training lacks.
    pub(super) fn json(&self, base: &BTreeMap<String, Value>) -> Value {
        let own = self.settings.iter().filter(|(key, value)| base.get(*key) != Some(value));
        let mut differing: BTreeMap<&String, &Value> = own.collect();
        differing.extend(
            base.keys().filter(|key| !self.settings.contains_key(*key)).map(|key| (key, &Value::Null)),
        );
        let mut row = serde_json::to_value(self).unwrap_or_default();
        if let (Value::Object(row), false) = (&mut row, differing.is_empty()) {
            row.insert("settings".to_owned(), serde_json::to_value(differing).unwrap_or_default());
        }
        row
    }
}

/// The report that stands for a training: of the most examples, then of the most measures.
pub(super) fn shown(reports: &[Report]) -> Option<&Report> {
    let rank = |report: &&Report| {
        let measured = report.measurement.as_ref();
        (measured.map(|measured| (measured.examples, measured.outcomes.len())), report.id.clone())
    };
    reports.iter().max_by_key(rank)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(seed: u64, state: &str, epochs: u32) -> Row {
        let settings = [("seed", seed), ("training.batch_size", 50)];
        let settings = settings.map(|(key, value)| (key.to_owned(), value.into())).into();
        let outcome = (state == "done").then_some(Outcome::Converged);
        Row { id: format!("t{seed}"), state: state.to_owned(), epochs, outcome, settings, ..Row::default() }
    }

    /// 30 of at most 100 epochs, a second each.
    fn running() -> Row {
        let bound = (Some(100), Some(70.0), true);
        let (max_epochs, seconds_left, left_is_bound) = bound;
        Row { max_epochs, seconds_left, left_is_bound, ..row(0, "running", 30) }
    }

    #[test]
    fn other_seeds_tell_the_time_left() {
        let others = [row(1, "done", 50), row(2, "done", 40), row(3, "done", 60), row(4, "started", 99)];
        let mut found = running();
        found.estimate_time_left(others.iter());
        assert_eq!(
            (found.seconds_left, found.left_is_bound),
            (Some(20.0), false),
            "until the median, 50 epochs"
        );
        found.estimate_time_left(others.iter());
        assert_eq!(found.seconds_left, Some(20.0), "an estimate is not estimated again");
    }

    #[test]
    fn without_other_seeds_the_time_left_is_a_bound() {
        let mut other = row(1, "done", 50);
        other.settings.insert("training.batch_size".to_owned(), 100.into());
        let shorter = row(2, "done", 20);
        let mut found = running();
        found.estimate_time_left([other, shorter].iter());
        assert_eq!(
            (found.seconds_left, found.left_is_bound),
            (Some(70.0), true),
            "nothing is comparable and longer"
        );
        let mut stopped = Row { state: "started".to_owned(), ..running() };
        stopped.estimate_time_left([].into_iter());
        assert_eq!(stopped.seconds_left, None, "nobody works on it");
    }

    #[test]
    fn a_row_names_only_settings_that_differ() {
        let base = row(0, "done", 1).settings;
        let mut other = row(7, "done", 1);
        other.settings.remove("training.batch_size");
        let json = other.json(&base);
        assert_eq!(json["settings"], serde_json::json!({ "seed": 7, "training.batch_size": null }));
        assert!(row(0, "done", 1).json(&base).get("settings").is_none(), "the base itself has none");
    }
}
