//! Groups the rows of tables of runs into cells.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use sharpness_runs::{Report, RunTable};
use sharpness_training::ColumnType;

use super::cell::{Cell, Observation};
use super::numbers::{Number, Reading, numbers};
use super::settings::Settings;
use crate::{Error, Result};

/// A finished run, reduced to what findings use.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// All settings except the seed.
    pub settings: Settings,
    /// The seed.
    pub seed: u64,
    /// The number of training examples.
    pub train_examples: f64,
    /// Test examples.
    pub test_examples: f64,
    /// Whether training reached its target accuracy.
    pub converged: bool,
    /// The accuracy on the test set; none if the run diverged.
    pub test_accuracy: Option<f64>,
    /// The λ_max to use: the largest between the iterates, if it was searched there.
    pub lambda_max: Option<f64>,
    /// Whether λ_max converged.
    pub lambda_max_converged: bool,
    /// λ_max through training: steps and values.
    pub curve: Vec<(f64, f64)>,
    /// Further numbers of its training and its measurement.
    pub numbers: BTreeMap<Number, Reading>,
}

/// Runs by their settings.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Cells {
    /// The runs that the statistics use.
    pub kept: Vec<Cell>,
    /// Trainings that did not reach their target accuracy.
    pub unconverged: Vec<Cell>,
}

impl Cells {
    /// The number of runs that no statistic uses.
    pub fn left_out(&self) -> LeftOut {
        let runs = |cells: &[Cell]| cells.iter().map(|cell| cell.runs.len()).sum();
        let without = self.kept.iter().flat_map(|cell| &cell.runs).filter(|run| run.lambda_max.is_none());
        LeftOut { trainings: runs(&self.unconverged), lambda_max: without.count() }
    }
}

/// Runs that no statistic uses by default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LeftOut {
    /// Trainings that did not reach their target accuracy.
    pub trainings: usize,
    /// Runs whose λ_max was not measured, or did not converge.
    pub lambda_max: usize,
}

impl Run {
    /// The runs of a table. A training that was measured twice is two runs; a repeated row is one.
    ///
    /// # Errors
    /// [`Error::Table`] if a row lacks a value that every run has.
    pub fn of_table(table: &RunTable) -> Result<Vec<Self>> {
        let columns = RunTable::columns();
        table.rows.iter().map(|row| Self::of_row(columns, row)).collect()
    }

    /// The runs of reports.
    ///
    /// # Errors
    /// [`Error::Table`] if a report has a value that no column can hold.
    pub fn of_reports(reports: &[Report]) -> Result<Vec<Self>> {
        Self::of_table(&RunTable::new(reports)?)
    }

    fn of_row(columns: &[(String, ColumnType)], row: &[Value]) -> Result<Self> {
        let cells: BTreeMap<&str, &Value> = columns.iter().map(|(name, _)| name.as_str()).zip(row).collect();
        let value = |name: &str| cells.get(name).copied().filter(|value| !value.is_null());
        let missing = |name: &str| Error::Table(format!("a run has no value for {name}"));
        let number = |name: &str| value(name).and_then(Value::as_f64);
        let needed = |name: &str| number(name).ok_or_else(|| missing(name));
        let flag = |name: &str| value(name).and_then(Value::as_bool);
        let mut leaves = BTreeMap::new();
        for (name, value) in &cells {
            if let Some(key) = name.strip_prefix("config.").filter(|_| !value.is_null()) {
                leaves.insert(key.to_owned(), (*value).clone());
            }
        }
        let (seed, batch) =
            (value("config.seed").and_then(Value::as_u64), needed("config.training.batch_size")?);
        needed("config.training.learning_rate")?;
        value("config.model.arch").ok_or_else(|| missing("config.model.arch"))?;
        // The chunk of batch norm follows from the training unless it was set.
        let uses_batches =
            value("measurement.batch_norm").and_then(Value::as_str).is_some_and(|mode| mode != "none");
        let chunk = number("measurement.batch_norm_chunk").or_else(|| number("config.measure.chunk"));
        let between = number("measurement.between_iterates.maximum");
        let lambda_max = between.or_else(|| number("measurement.lambda_max.value"));
        let found = flag("measurement.lambda_max.converged") == Some(true);
        let train_examples = number("training.train_examples").unwrap_or(f64::NAN);
        let numbers = numbers(&cells, &leaves);
        Ok(Self {
            settings: Settings::of_leaves(leaves, uses_batches.then_some(chunk))?,
            seed: seed.ok_or_else(|| missing("config.seed"))?,
            train_examples: if train_examples.is_nan() { batch } else { train_examples },
            test_examples: number("training.test_examples").unwrap_or(0.0),
            converged: value("training.outcome").and_then(Value::as_str) == Some("converged"),
            test_accuracy: number("training.test_accuracy"),
            lambda_max,
            lambda_max_converged: found && all_converged(value("measurement.between_iterates.points")),
            curve: curve(value("training.lambda_max")),
            numbers,
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
        // The values before the first step belong to no step.
        let within = curve.iter().filter(|(step, value)| *step > from && *step <= to && *value > 0.0);
        let logs: Vec<f64> = within.map(|(_, value)| value.log10()).collect();
        (!logs.is_empty()).then(|| logs.iter().sum::<f64>() / logs.len() as f64)
    };
    Some([mean(0)?, mean(1)?, mean(2)?, mean(3)?])
}

impl Cell {
    /// The cells of runs. Unless `with_unconverged`, values of λ_max that did not converge are ignored, and trainings
    /// that missed their target are kept apart.
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
            let read = run.numbers.iter().filter(|(_, read)| read.converged || with_unconverged);
            let finite = read.filter(|(_, read)| read.value.is_finite());
            let numbers = finite.map(|(number, read)| (number.clone(), read.value)).collect();
            let observation =
                Observation { seed: Some(run.seed), test_accuracy, lambda_max, quarters, numbers };
            kept.entry(run.settings.key()).or_insert_with(new).add(observation);
        }
        Cells { kept: cells.into_values().collect(), unconverged: left_out.into_values().collect() }
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
}
