//! What trackers show of a run: numbers by step, and settings.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;
use sharpness_training::measures::Measurement;
use sharpness_training::settings::RunConfig;
use sharpness_training::{ColumnType, EpochMetrics, TrackedLambdaMax};

use crate::Result;
use crate::identity::{Identity, flatten, leaves};

/// The settings that are compared even if all runs share them.
const ALWAYS_COMPARED: [&str; 5] =
    ["data.name", "model.arch", "seed", "training.batch_size", "training.learning_rate"];

/// A number of a run after a step.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Point {
    /// What it is: `train/loss`.
    pub(super) tag: String,
    /// Steps since the start of the run.
    pub(super) step: u32,
    /// The number, which is finite.
    pub(super) value: f64,
    /// When it became known, in seconds since 1970.
    pub(super) time: f64,
}

/// Seconds since 1970.
#[expect(
    clippy::disallowed_methods,
    reason = "trackers show when a number became known; no result depends on it"
)]
pub(super) fn now() -> f64 {
    since_1970(SystemTime::now())
}

/// Seconds since 1970.
pub(super) fn since_1970(time: SystemTime) -> f64 {
    time.duration_since(UNIX_EPOCH).map_or(0.0, |time| time.as_secs_f64())
}

/// Collects the points of one step. A number that is not finite has no place on a curve.
struct Points {
    step: u32,
    time: f64,
    points: Vec<Point>,
}

impl Points {
    const fn at(step: u32, time: f64) -> Self {
        Self { step, time, points: Vec::new() }
    }

    fn push(&mut self, tag: impl Into<String>, value: impl Into<Option<f64>>) {
        if let Some(value) = value.into().filter(|value| value.is_finite()) {
            self.points.push(Point { tag: tag.into(), step: self.step, value, time: self.time });
        }
    }

    /// The numbers among the leaves of `value`; `trace.value` of the measure `trace` is `GROUP/trace`.
    fn push_leaves(&mut self, group: &str, value: &Value, is_shown: impl Fn(&str) -> bool) {
        let mut found = BTreeMap::new();
        flatten("", value, &mut found);
        for (key, value) in found.into_iter().filter(|(key, _)| is_shown(key)) {
            let key = key.strip_suffix(".value").unwrap_or(&key).replace('.', "/");
            self.push(format!("{group}/{key}"), value.as_f64());
        }
    }
}

/// The points of the end of an epoch, without what was measured then.
pub(super) fn of_epoch(metrics: &EpochMetrics, config: &RunConfig, time: f64) -> Vec<Point> {
    let mut points = Points::at(metrics.steps, time);
    points.push("epoch", f64::from(metrics.epoch));
    let (epoch, step) = (metrics.epoch.saturating_sub(1), metrics.steps.saturating_sub(1));
    points.push("learning_rate", config.training.learning_rate_at(epoch, step));
    points.push("batch/loss", metrics.batch_loss);
    points.push("batch/accuracy", metrics.batch_accuracy);
    points.push("train/loss", metrics.train_loss);
    points.push("train/accuracy", metrics.train_accuracy);
    points.push("test/loss", metrics.test_loss);
    points.push("test/accuracy", metrics.test_accuracy);
    points.points
}

/// The points of what was measured after a step, with the edge of stability (2/η for gradient descent) if it is known.
pub(super) fn of_lambda_max(found: &TrackedLambdaMax, config: &RunConfig, time: f64) -> Vec<Point> {
    let mut points = Points::at(found.step, time);
    points.push("sharpness/lambda_max", found.value);
    points.push("sharpness/lambda_max/residual", found.residual);
    let edge = config.training.edge_of_stability().map(|edge| edge.at(config.training.learning_rate));
    points.push("sharpness/edge_of_stability", edge);
    points.push("sharpness/loss", found.loss);
    points.push("sharpness/gradient_norm", found.gradient_norm);
    points.push("sharpness/eigenvector_overlap", found.overlap);
    for (name, outcome) in &found.outcomes {
        points.push_leaves(&format!("sharpness/{name}"), outcome, |_| true);
    }
    points.points
}

/// The points of the measurement at the end of a training of `steps` steps.
pub(super) fn of_measurement(measured: &Measurement, steps: u32, time: f64) -> Vec<Point> {
    let mut points = Points::at(steps, time);
    let columns = Measurement::columns().into_iter();
    // How long it took is no property of the minimum.
    let shown: BTreeSet<String> = columns
        .filter(|(name, kind)| *kind == ColumnType::Double && name != "seconds")
        .map(|(name, _)| name)
        .collect();
    let value = serde_json::to_value(measured).unwrap_or_default();
    points.push_leaves("final", &value, |key| shown.contains(key));
    points.points
}

/// What trackers show of a run besides its points.
#[derive(Clone, Debug)]
pub(super) struct Card {
    /// The name of the run.
    pub(super) id: String,
    /// The name of its training.
    pub(super) training: String,
    /// A name for people: `digits-mlp-r0123456789abcdef`. It depends on the settings alone, so a resumed run has the same.
    pub(super) title: String,
    /// All settings that have an effect, as text.
    pub(super) settings: BTreeMap<String, String>,
    /// Those by which runs are compared.
    pub(super) compared: BTreeMap<String, Value>,
    /// When the run started, in seconds since 1970.
    pub(super) started: f64,
}

impl Card {
    /// The card of the run `config`, whose settings `varied` differ between the runs; if there are none, those that are not the
    /// defaults are compared.
    ///
    /// # Errors
    /// [`Config`](sharpness_training::Error::Config) if a number is not finite.
    pub(super) fn new(config: &RunConfig, varied: &BTreeSet<String>, started: f64) -> Result<Self> {
        let Identity { training, run: id } = Identity::of(config)?;
        let all = leaves(config)?;
        let default = leaves(&RunConfig::new(config.data.name, config.model.arch))?;
        let is_compared = |key: &str, value: &Value| {
            ALWAYS_COMPARED.contains(&key)
                || varied.contains(key)
                || varied.is_empty() && default.get(key) != Some(value)
        };
        let compared = all.iter().filter(|(key, value)| is_compared(key, value));
        let compared = compared.map(|(key, value)| (key.clone(), value.clone())).collect();
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let settings = all.iter().map(|(key, value)| (key.clone(), text(value))).collect();
        let title = format!("{}-{}-{id}", config.data.name, config.model.arch.name());
        Ok(Self { id, training, title, settings, compared, started })
    }
}

/// The settings that differ between runs.
///
/// # Errors
/// [`Config`](sharpness_training::Error::Config) if a number is not finite.
pub(super) fn varied<'c>(configs: impl Iterator<Item = &'c RunConfig>) -> Result<BTreeSet<String>> {
    let mut varied = BTreeSet::new();
    let mut first: Option<BTreeMap<String, Value>> = None;
    for config in configs {
        let found = leaves(config)?;
        let first = first.get_or_insert_with(|| found.clone());
        let keys = first.keys().chain(found.keys());
        varied.extend(keys.filter(|key| first.get(*key) != found.get(*key)).cloned());
    }
    Ok(varied)
}
