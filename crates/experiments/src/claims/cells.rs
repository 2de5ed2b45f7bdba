//! Runs that differ in their seeds alone.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use super::settings::{Regime, Settings};
use super::statistics::Outcome;
use crate::optimizers::EdgeOfStability;
use crate::store::RunTable;
use crate::{Error, Report, Result};

/// A run that ended, as the findings see it.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// All settings but the seed.
    pub settings: Settings,
    /// The seed.
    pub seed: u64,
    /// Examples trained on.
    pub train_examples: f64,
    /// Test examples.
    pub test_examples: f64,
    /// Whether training reached its target accuracy.
    pub converged: bool,
    /// The accuracy on the test set; none of a run that diverged.
    pub test_accuracy: Option<f64>,
    /// The λ_max that counts: the largest between the iterates, if it was searched there.
    pub lambda_max: Option<f64>,
    /// Whether λ_max converged.
    pub lambda_max_converged: bool,
    /// λ_max through training: steps and values.
    pub curve: Vec<(f64, f64)>,
}

/// The seeds of one setting.
#[derive(Clone, Debug, PartialEq)]
pub struct Cell {
    /// All settings of the training and the measurement but the seed.
    pub settings: Settings,
    /// Examples trained on.
    pub train_examples: f64,
    /// Test examples.
    pub test_examples: f64,
    /// The runs, in the order of their seeds; none if means alone are known.
    pub runs: Vec<Observation>,
    /// Means and deviations, of settings whose single runs are not published.
    pub published: Published,
}

/// What is known of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Observation {
    /// The seed; none if it is not known which runs of different settings share theirs.
    pub seed: Option<u64>,
    /// The accuracy on the test set, from 0 to 1; NaN if it is not known.
    pub test_accuracy: f64,
    /// The largest eigenvalue of the Hessian; none if it was not measured or did not converge.
    pub lambda_max: Option<f64>,
    /// For each quarter of the steps, the mean of log₁₀ λ_max in it; none if λ_max was not tracked.
    pub quarters: Option<[f64; 4]>,
}

/// Means over runs and their deviations.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Published {
    /// Of the test accuracy.
    pub test_accuracy: Option<Summary>,
    /// Of λ_max.
    pub lambda_max: Option<Summary>,
}

/// A mean over runs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Summary {
    /// The arithmetic mean.
    pub mean: f64,
    /// The standard deviation over runs, if it is known.
    pub deviation: Option<f64>,
    /// The number of runs, if it is known.
    pub runs: Option<usize>,
}

/// Runs by their settings.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Cells {
    /// Those that the statistics use.
    pub kept: Vec<Cell>,
    /// Trainings that did not reach their target accuracy.
    pub unconverged: Vec<Cell>,
}

impl Cells {
    /// How many runs no statistic uses.
    pub fn left_out(&self) -> LeftOut {
        let runs = |cells: &[Cell]| cells.iter().map(|cell| cell.runs.len()).sum();
        let without = self.kept.iter().flat_map(|cell| &cell.runs).filter(|run| run.lambda_max.is_none());
        LeftOut { trainings: runs(&self.unconverged), lambda_max: without.count() }
    }
}

/// Runs that no statistic uses, unless it is asked to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LeftOut {
    /// Trainings that did not reach their target accuracy.
    pub trainings: usize,
    /// Runs whose λ_max was not measured, or did not converge.
    pub lambda_max: usize,
}

impl Run {
    /// The runs of a table. A training that was measured twice is two runs; one that stands there twice is one.
    ///
    /// # Errors
    /// [`Error::Table`] if a row lacks what every run has.
    pub fn of_table(table: &RunTable) -> Result<Vec<Self>> {
        table.rows.iter().map(|row| Self::of_row(row)).collect()
    }

    /// The runs of reports.
    ///
    /// # Errors
    /// [`Error::Table`] if a report has a value that no column can hold.
    pub fn of_reports(reports: &[Report]) -> Result<Vec<Self>> {
        Self::of_table(&RunTable::new(reports)?)
    }

    fn of_row(row: &[Value]) -> Result<Self> {
        let cells: BTreeMap<&str, &Value> =
            RunTable::COLUMNS.iter().map(|(name, _)| *name).zip(row).collect();
        let value = |name: &str| cells.get(name).copied().filter(|value| !value.is_null());
        let missing = |name: &str| Error::Table(format!("a run has no value for {name}"));
        let number = |name: &str| value(name).and_then(Value::as_f64);
        let needed = |name: &str| number(name).ok_or_else(|| missing(name));
        let flag = |name: &str| value(name).and_then(Value::as_bool);
        let mut leaves = BTreeMap::new();
        for (name, value) in &cells {
            if let Some(key) = name.strip_prefix("config.") {
                leaves.insert(key.to_owned(), (*value).clone());
            }
        }
        let (seed, batch) =
            (value("config.seed").and_then(Value::as_u64), needed("config.training.batch_size")?);
        needed("config.training.learning_rate")?;
        value("config.model.arch").ok_or_else(|| missing("config.model.arch"))?;
        // The chunk that batch norm saw follows from the training unless it was set.
        let uses_batches =
            value("measurement.batch_norm").and_then(Value::as_str).is_some_and(|mode| mode != "none");
        let chunk = number("measurement.batch_norm_chunk").or_else(|| number("config.measure.chunk"));
        let between = number("measurement.between_iterates.maximum");
        let lambda_max = between.or_else(|| number("measurement.lambda_max.value"));
        let found = flag("measurement.lambda_max.converged") == Some(true);
        let train_examples = number("training.train_examples").unwrap_or(f64::NAN);
        Ok(Self {
            settings: Settings::of_leaves(leaves, uses_batches.then_some(chunk)),
            seed: seed.ok_or_else(|| missing("config.seed"))?,
            train_examples: if train_examples.is_nan() { batch } else { train_examples },
            test_examples: number("training.test_examples").unwrap_or(0.0),
            converged: value("training.outcome").and_then(Value::as_str) == Some("converged"),
            test_accuracy: number("training.test_accuracy"),
            lambda_max,
            lambda_max_converged: found && all_converged(value("measurement.between_iterates.points")),
            curve: curve(value("training.lambda_max")),
        })
    }
}

/// The objects of a list, which is text in tables.
fn objects(list: Option<&Value>) -> Vec<Value> {
    match list {
        Some(Value::Array(list)) => list.clone(),
        Some(Value::String(text)) => serde_json::from_str(text).unwrap_or_default(),
        _ => Vec::new(),
    }
}

fn all_converged(points: Option<&Value>) -> bool {
    objects(points).iter().all(|point| point.get("converged").and_then(Value::as_bool) != Some(false))
}

fn curve(list: Option<&Value>) -> Vec<(f64, f64)> {
    let point = |point: &Value| Some((point.get("step")?.as_f64()?, point.get("value")?.as_f64()?));
    objects(list).iter().filter_map(point).collect()
}

/// For each quarter of the steps, the mean of log₁₀ λ_max in it; none if a quarter has no positive value.
pub(super) fn quarters(curve: &[(f64, f64)]) -> Option<[f64; 4]> {
    let last = curve.last()?.0;
    let mean = |quarter: u8| {
        let (from, to) = (f64::from(quarter) / 4.0 * last, f64::from(quarter + 1) / 4.0 * last);
        // The values at the start belong to no step.
        let within = curve.iter().filter(|(step, value)| *step > from && *step <= to && *value > 0.0);
        let logs: Vec<f64> = within.map(|(_, value)| value.log10()).collect();
        (!logs.is_empty()).then(|| logs.iter().sum::<f64>() / logs.len() as f64)
    };
    Some([mean(0)?, mean(1)?, mean(2)?, mean(3)?])
}

impl Cell {
    /// The cells of runs. Values of λ_max that did not converge are no values, and trainings that missed their target are kept
    /// apart, unless `with_unconverged`.
    pub fn of_runs(runs: &[Run], with_unconverged: bool) -> Cells {
        let mut left_out: BTreeMap<String, Self> = BTreeMap::new();
        let mut cells: BTreeMap<String, Self> = BTreeMap::new();
        for run in runs {
            let is_kept = run.test_accuracy.is_some() && (run.converged || with_unconverged);
            let lambda_max = run.lambda_max.filter(|_| run.lambda_max_converged || with_unconverged);
            let new = || Self::new(run.settings.clone(), run.train_examples, run.test_examples);
            let kept = if is_kept { &mut cells } else { &mut left_out };
            let quarters = quarters(&run.curve);
            let test_accuracy = run.test_accuracy.unwrap_or(f64::NAN);
            let observation = Observation { seed: Some(run.seed), test_accuracy, lambda_max, quarters };
            kept.entry(run.settings.key()).or_insert_with(new).add(observation);
        }
        Cells { kept: cells.into_values().collect(), unconverged: left_out.into_values().collect() }
    }

    /// A setting without runs.
    pub(super) fn new(settings: Settings, train_examples: f64, test_examples: f64) -> Self {
        Self { settings, train_examples, test_examples, runs: Vec::new(), published: Published::default() }
    }

    /// Adds a run. A second one of the same seed adds what the first lacks: it is the same training.
    fn add(&mut self, run: Observation) {
        let at = self.runs.partition_point(|known| known.seed < run.seed);
        match self.runs.get_mut(at).filter(|known| known.seed == run.seed) {
            None => self.runs.insert(at, run),
            Some(known) => {
                known.quarters = known.quarters.or(run.quarters);
                // Both are within the tolerance; the smaller one, so that the order of runs does not matter.
                known.lambda_max = match (known.lambda_max, run.lambda_max) {
                    (Some(a), Some(b)) => Some(a.min(b)),
                    (a, b) => a.or(b),
                };
            }
        }
    }

    /// These cells without their measurements: those of one training become one.
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

    /// The batch size as a share of the training set.
    pub fn regime(&self) -> Option<Regime> {
        Regime::of(self.settings.number("training.batch_size").unwrap_or(f64::INFINITY), self.train_examples)
    }

    /// The edge of stability of the optimizer; none of SAM.
    pub fn edge(&self) -> Option<f64> {
        let number = |key: &str| self.settings.number(key).unwrap_or(0.0);
        if number("training.sam.rho") > 0.0 {
            return None;
        }
        let nesterov = self.settings.get("training.nesterov").and_then(Value::as_bool).unwrap_or(false);
        let edge =
            EdgeOfStability::new(number("training.momentum"), nesterov, number("training.weight_decay"));
        Some(edge.at(number("training.learning_rate"))).filter(|edge| *edge > 0.0)
    }

    /// The mean test accuracy.
    pub fn mean_accuracy(&self) -> Option<f64> {
        Summary::of(self.runs.iter().map(|run| run.test_accuracy))
            .or(self.published.test_accuracy)
            .map(|summary| summary.mean)
    }

    /// The geometric mean of λ_max.
    pub fn mean_lambda_max(&self) -> Option<f64> {
        Outcome::LambdaMax.mean(self).map(|log| 10_f64.powf(log))
    }
}

impl Summary {
    /// The mean and the standard deviation of those values that are finite; none without any.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let values: Vec<f64> = values.into_iter().filter(|value| value.is_finite()).collect();
        let count = values.len() as f64;
        let mean = values.iter().sum::<f64>() / count;
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        let deviation = (values.len() > 1).then(|| (squares / (count - 1.0)).sqrt());
        (!values.is_empty()).then_some(Self { mean, deviation, runs: Some(values.len()) })
    }

    /// The mean and the deviation of log₁₀ of what has these, if it is log-normal: μ = ln m - σ²/2 with σ² = ln (1 + s²/m²).
    pub fn log(self) -> Self {
        let decades = std::f64::consts::LN_10;
        let variance = (self.deviation.unwrap_or(0.0) / self.mean).powi(2).ln_1p();
        Self {
            mean: (self.mean.ln() - variance / 2.0) / decades,
            deviation: self.deviation.map(|_| variance.sqrt() / decades),
            runs: self.runs,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_curve_has_quarters() {
        let curve: Vec<(f64, f64)> = (0..=8_u8).map(|i| (f64::from(i), 10_f64.powi(i32::from(i)))).collect();
        assert_eq!(
            quarters(&curve),
            Some([1.5, 3.5, 5.5, 7.5]),
            "the value before the first step is left out"
        );
        assert_eq!(quarters(&curve[..3]), None, "too few values for four quarters");
    }

    #[test]
    fn the_logarithm_of_a_mean_is_that_of_a_log_normal_number() {
        // exp(N(1, 0.5²)) has the mean e^(9/8) and the variance (e^(1/4) - 1) e^(9/4).
        let mean = (1.0_f64 + 0.125).exp();
        let deviation = (0.25_f64.exp_m1()).sqrt() * mean;
        let log = Summary { mean, deviation: Some(deviation), runs: Some(5) }.log();
        let ln = std::f64::consts::LN_10;
        assert!((log.mean * ln - 1.0).abs() < 1e-12, "μ: {log:?}");
        assert!((log.deviation.unwrap() * ln - 0.5).abs() < 1e-12, "σ: {log:?}");
    }
}
