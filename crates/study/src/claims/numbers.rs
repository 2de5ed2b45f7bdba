//! Numbers of runs, besides λ_max and the test accuracy, that predict or are predicted.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use sharpness_training::measures::SharpnessNumber;

/// A number of a run, besides λ_max and the test accuracy.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Number {
    /// Its column in a table of runs, without `measurement.`: `trace.value`, `training.epochs`.
    pub column: String,
    /// The settings of its measure, such as `probes=100`: measures with other settings are other numbers.
    pub settings: String,
}

impl Number {
    /// A number that has no settings.
    pub(super) fn plain(column: &str) -> Self {
        Self { column: column.to_owned(), settings: String::new() }
    }
}

/// A number of a measurement.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reading {
    /// Its value.
    pub value: f64,
    /// Whether its measure met its tolerance.
    pub converged: bool,
}

/// The column of the accuracy on the training set at the end of the last epoch.
pub(super) const TRAIN_ACCURACY: &str = "training.train_accuracy";
/// Numbers of every training or measurement that predict without measuring curvature, with what people call them.
pub(super) const TRIVIAL: [(&str, &str); 4] = [
    ("training.epochs", "epochs"),
    ("training.train_loss", "train loss"),
    ("gradient_norm", "gradient norm"),
    ("parameter_norm", "‖w‖"),
];

/// The columns that every run may have, without `measurement.`.
fn plain_columns() -> impl Iterator<Item = &'static str> {
    std::iter::once(TRAIN_ACCURACY).chain(TRIVIAL.map(|(column, _)| column))
}

/// The numbers of a row that may predict or be predicted: those of sharpness that measures declare, and plain ones.
pub(super) fn numbers(
    cells: &BTreeMap<&str, &Value>,
    leaves: &BTreeMap<String, Value>,
) -> BTreeMap<Number, Reading> {
    let number = |column: &str| cells.get(column).and_then(|value| value.as_f64());
    let mut numbers = BTreeMap::new();
    for column in plain_columns() {
        let value = number(column).or_else(|| number(&format!("measurement.{column}")));
        let reading = value.map(|value| (Number::plain(column), Reading { value, converged: true }));
        numbers.extend(reading);
    }
    let outcomes = outcomes(cells);
    for declared in SharpnessNumber::all() {
        let Some(outcome) = outcomes.get(declared.measure) else { continue };
        if let Some(value) = declared.value(outcome) {
            let reading = Reading { value, converged: declared.is_converged(outcome) };
            let settings = settings_of(leaves, declared);
            numbers.insert(Number { column: declared.name(), settings }, reading);
        }
    }
    numbers
}

/// The settings of a measure, such as `probes=100`, without those that it has from the training: they differ as the trainings do.
fn settings_of(leaves: &BTreeMap<String, Value>, declared: &SharpnessNumber) -> String {
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let prefix = format!("measure.{}.", declared.measure);
    let is_of_training = |key: &str, value: &Value| {
        declared.of_training.contains(&key) && leaves.get(&format!("training.{key}")) == Some(value)
    };
    let own = leaves.iter().filter_map(|(key, value)| Some((key.strip_prefix(&prefix)?, value)));
    let own = own.filter(|(key, value)| !is_of_training(key, value));
    own.map(|(key, value)| format!("{key}={}", text(value))).collect::<Vec<_>>().join(", ")
}

/// The outcomes of all measures, as before they became cells. Lists are text in tables.
fn outcomes(cells: &BTreeMap<&str, &Value>) -> Map<String, Value> {
    let mut outcomes = Map::new();
    for (name, cell) in cells.iter().filter(|(_, cell)| !cell.is_null()) {
        let Some(path) = name.strip_prefix("measurement.") else { continue };
        let (tables, last) = path.rsplit_once('.').unwrap_or(("", path));
        let mut table = Some(&mut outcomes);
        for key in tables.split('.').filter(|key| !key.is_empty()) {
            let inner = table.map(|table| table.entry(key).or_insert_with(|| Map::new().into()));
            table = inner.and_then(Value::as_object_mut);
        }
        let list = cell
            .as_str()
            .filter(|text| text.starts_with('['))
            .and_then(|text| serde_json::from_str(text).ok());
        if let Some(table) = table {
            table.insert(last.to_owned(), list.unwrap_or_else(|| (*cell).clone()));
        }
    }
    outcomes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_that_a_measure_has_from_the_training_makes_no_other_number() {
        let all = SharpnessNumber::all();
        let declared = all.iter().find(|number| number.measure == "batch_sharpness").unwrap();
        let leaves = |measured: u32, trained: u32| {
            BTreeMap::from([
                ("measure.batch_sharpness.batches".to_owned(), 20.into()),
                ("measure.batch_sharpness.batch_size".to_owned(), measured.into()),
                ("training.batch_size".to_owned(), trained.into()),
            ])
        };
        assert_eq!(settings_of(&leaves(10, 10), declared), "batches=20");
        assert_eq!(settings_of(&leaves(50, 50), declared), "batches=20", "another batch of the training");
        assert_eq!(settings_of(&leaves(10, 50), declared), "batch_size=10, batches=20", "one of its own");
    }
}
