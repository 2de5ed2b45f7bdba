//! The curves of a training, and the rest of what its row has no place for.

use serde::Serialize;
use serde_json::{Value, json};
use sharpness_runs::{Provenance, Report, RunStore, leaves};
use sharpness_training::{EpochMetrics, TrackedLambdaMax};

use super::row::shown;

/// The curves of a training, as columns. Losses are means; accuracies are from 0 to 1.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Curve {
    /// The name of the training.
    pub id: String,
    /// Completed epochs.
    pub epoch: Vec<u32>,
    /// Steps at their ends.
    pub step: Vec<u32>,
    /// Loss over the training set.
    pub train_loss: Vec<f64>,
    /// Loss over the test set.
    pub test_loss: Vec<Option<f64>>,
    /// Accuracy on the training set.
    pub train_accuracy: Vec<f64>,
    /// Accuracy on the test set.
    pub test_accuracy: Vec<Option<f64>>,
    /// λ_max through training.
    pub points: Points,
    /// The step and value of λ_max at the end, if it was measured.
    pub end: Option<(u32, f64)>,
    /// The edge of stability, and its formula.
    pub edge: Option<(f64, String)>,
    /// Only every so many epochs and points are kept.
    pub every: usize,
    /// What could not be read.
    pub damage: Option<String>,
}

/// λ_max through training, as columns.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Points {
    /// Steps.
    pub step: Vec<u32>,
    /// λ_max.
    pub lambda_max: Vec<f64>,
    /// Norms of the gradient on the measured examples.
    pub gradient_norm: Vec<Option<f64>>,
}

impl Curve {
    /// Reads the curves of a training, with about `most` epochs of them; the last one is always kept.
    pub fn read(store: &RunStore, id: &str, most: usize) -> Self {
        let mut curve = Self { id: id.to_owned(), every: 1, ..Self::default() };
        let reports: Vec<Report> = store.reports(id).into_iter().flatten().collect();
        let epochs = store.epochs(id).unwrap_or_else(|error| sharpness_runs::Epochs {
            damage: Some(error.to_string()),
            ..Default::default()
        });
        curve.damage = epochs.damage;
        let report = shown(&reports);
        let mut tracked = match report {
            Some(report) => report.training.lambda_max.clone(),
            None => store.progress(id).ok().flatten().map(|found| found.lambda_max).unwrap_or_default(),
        };
        // Those since the last checkpoint.
        let known = tracked.last().map(|last| last.step);
        let later = epochs.metrics.iter().filter_map(|epoch| epoch.lambda_max.clone());
        tracked.extend(later.filter(|found| known.is_none_or(|known| found.step > known)));
        let config = report.map(|report| report.config.clone()).or_else(|| store.config(id).ok().flatten());
        if let Some(training) = config.as_ref().map(|config| &config.training) {
            let edge = training.edge_of_stability();
            curve.edge = edge.map(|edge| (edge.at(training.learning_rate), edge.formula()));
        }
        let measured = report.and_then(|report| report.measurement.as_ref().zip(Some(report.training.steps)));
        curve.end = measured.map(|(measured, steps)| (steps, measured.lambda_max.value));
        curve.every = epochs.metrics.len().max(tracked.len()).div_ceil(most.max(1)).max(1);
        thin(&epochs.metrics, curve.every).for_each(|epoch| curve.push_epoch(epoch));
        thin(&tracked, curve.every).for_each(|found| curve.points.push(found));
        curve
    }

    fn push_epoch(&mut self, epoch: &EpochMetrics) {
        self.epoch.push(epoch.epoch);
        self.step.push(epoch.steps);
        self.train_loss.push(epoch.train_loss);
        self.test_loss.push(epoch.test_loss);
        self.train_accuracy.push(epoch.train_accuracy);
        self.test_accuracy.push(epoch.test_accuracy);
    }
}

impl Points {
    fn push(&mut self, found: &TrackedLambdaMax) {
        self.step.push(found.step);
        self.lambda_max.push(found.value);
        self.gradient_norm.push(found.gradient_norm);
    }
}

/// Every so many values, and the last one.
fn thin<T>(values: &[T], every: usize) -> impl Iterator<Item = &T> {
    let last = values.len().saturating_sub(1);
    values
        .iter()
        .enumerate()
        .filter(move |(index, _)| index % every == 0 || *index == last)
        .map(|(_, value)| value)
}

/// Everything about a training that the table and the curves leave out: each measurement with its settings, and what made them.
pub fn detail(store: &RunStore, id: &str) -> Value {
    let mut problems = Vec::new();
    let mut measurements = Vec::new();
    for report in store.reports(id) {
        match report {
            Ok(report) => measurements.extend(measurement(&report)),
            Err(error) => problems.push(error.to_string()),
        }
    }
    let provenance = Provenance::read(&store.training(id).provenance()).unwrap_or_else(|error| {
        problems.push(error.to_string());
        Provenance::default()
    });
    json!({ "id": id, "measurements": measurements, "starts": provenance.starts, "problems": problems })
}

fn measurement(report: &Report) -> Option<Value> {
    let measured = report.measurement.as_ref()?;
    let mut settings = leaves(&report.config).unwrap_or_default();
    settings.retain(|key, _| key.starts_with("measure."));
    let found = &measured.lambda_max;
    Some(json!({
        "run": report.id,
        "settings": settings,
        "examples": measured.examples,
        "lambda_max": { "value": found.value, "residual": found.residual, "lower": found.lower, "upper": found.upper,
            "converged": found.converged, "products": found.products },
        "loss": measured.loss,
        "gradient_norm": measured.gradient_norm,
        "seconds": measured.seconds,
        "measures": measured.summaries(),
    }))
}
