//! The runs of one setting, which differ only in their seeds.

use std::collections::BTreeMap;

use serde_json::Value;
use sharpness_training::optimizers::EdgeOfStability;

use super::numbers::Number;
use super::settings::{Regime, Settings};
use super::summary::Summary;

/// The seeds of one setting.
#[derive(Clone, Debug, PartialEq)]
pub struct Cell {
    /// All settings of the training and the measurement except the seed.
    pub settings: Settings,
    /// The number of training examples.
    pub train_examples: f64,
    /// Test examples.
    pub test_examples: f64,
    /// The runs, in the order of their seeds; none if only means are known.
    pub runs: Vec<Observation>,
    /// Means and deviations, for settings whose single runs are not published.
    pub published: Published,
}

/// What is known about a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Observation {
    /// The seed; none if it is unknown which runs of different settings share a seed.
    pub seed: Option<u64>,
    /// The accuracy on the test set, from 0 to 1; NaN if it is unknown.
    pub test_accuracy: f64,
    /// The largest eigenvalue of the Hessian; none if it was not measured or did not converge.
    pub lambda_max: Option<f64>,
    /// For each quarter of the steps, the mean of log₁₀ λ_max in it; none if λ_max was not tracked.
    pub quarters: Option<[f64; 4]>,
    /// Further numbers of its training and its measurement, all of them finite.
    pub numbers: BTreeMap<Number, f64>,
}

/// Means over runs and their deviations.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Published {
    /// Of the test accuracy.
    pub test_accuracy: Option<Summary>,
    /// Of λ_max.
    pub lambda_max: Option<Summary>,
}

impl Cell {
    /// A setting without runs.
    pub(super) fn new(settings: Settings, train_examples: f64, test_examples: f64) -> Self {
        Self { settings, train_examples, test_examples, runs: Vec::new(), published: Published::default() }
    }

    /// Adds a run. A second one with the same seed is the same training, and adds what the first lacks.
    pub(super) fn add(&mut self, run: Observation) {
        let at = self.runs.partition_point(|known| known.seed < run.seed);
        match self.runs.get_mut(at).filter(|known| known.seed == run.seed) {
            None => self.runs.insert(at, run),
            Some(known) => {
                known.quarters = known.quarters.or(run.quarters);
                // Both are within the tolerance. Take the smaller one, so that the order of runs does not matter.
                for (number, value) in run.numbers {
                    known
                        .numbers
                        .entry(number)
                        .and_modify(|known| *known = known.min(value))
                        .or_insert(value);
                }
                known.lambda_max = match (known.lambda_max, run.lambda_max) {
                    (Some(a), Some(b)) => Some(a.min(b)),
                    (a, b) => a.or(b),
                };
            }
        }
    }

    /// Merges the cells of one training, without their measurements.
    pub fn by_training(cells: &[Self]) -> Vec<Self> {
        let mut merged: BTreeMap<String, Self> = BTreeMap::new();
        for cell in cells {
            let settings = cell.settings.without(|key| key.starts_with("measure."));
            match merged.get_mut(&settings.key()) {
                None => _ = merged.insert(settings.key(), Self { settings, ..cell.clone() }),
                Some(known) => cell.runs.iter().for_each(|run| known.add(run.clone())),
            }
        }
        merged.into_values().collect()
    }

    /// The batch size as a fraction of the training set.
    pub fn regime(&self) -> Option<Regime> {
        Regime::of(self.settings.number("training.batch_size").unwrap_or(f64::INFINITY), self.train_examples)
    }

    /// The edge of stability of the optimizer; none for SAM, other optimizers than SGD and changing learning rates.
    pub fn edge(&self) -> Option<f64> {
        let number = |key: &str| self.settings.number(key).unwrap_or(0.0);
        if number("training.sam.rho") > 0.0 {
            return None;
        }
        let text = |key: &str| self.settings.get(key).and_then(Value::as_str);
        let is_sgd = text("training.optimizer.name") == Some("sgd");
        let is_constant = text("training.schedule.name") == Some("constant");
        if !is_sgd || !is_constant || number("training.warmup_steps") > 0.0 {
            return None;
        }
        let nesterov = "training.optimizer.nesterov";
        let nesterov = self.settings.get(nesterov).and_then(Value::as_bool).unwrap_or(false);
        let edge = EdgeOfStability::new(
            number("training.optimizer.momentum"),
            nesterov,
            number("training.optimizer.weight_decay"),
        );
        Some(edge.at(number("training.learning_rate"))).filter(|edge| *edge > 0.0)
    }

    /// The mean test accuracy.
    pub fn mean_accuracy(&self) -> Option<f64> {
        Summary::of(self.runs.iter().map(|run| run.test_accuracy))
            .or(self.published.test_accuracy)
            .map(|summary| summary.mean)
    }
}
