//! The settings of a run by their names, and conditions on them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::text::number_text;
use crate::{Error, Result};
use sharpness_runs::{add_left_out, flatten};
use sharpness_training::settings::RunConfig;

/// The largest fraction of the training set that is a small batch: the paper calls 100 to 500 of 50,000 small.
const SMALL: f64 = 0.01;
/// The smallest fraction that is a large one: the paper's are 1,000 (Fixup), 5,000 and 50,000 of 50,000.
const LARGE: f64 = 0.02;
/// The settings of a measurement that affect λ_max. The others request further results, or limit the work.
const OF_LAMBDA_MAX: [&str; 7] = [
    "measure.examples",
    "measure.subset",
    "measure.bn",
    "measure.chunk",
    "measure.rtol",
    "measure.bound_rtol",
    "measure.between_iterates",
];
/// The largest micro-batch of the paper.
const MICRO_BATCH: f64 = 1000.0;
/// Settings that only some runs have. A run without one matches any value.
pub(super) const OPTIONAL: [&str; 5] =
    ["training.sam.adaptive", "training.sam.m", "training.sam.bn_stats", "measure.bn", "measure.chunk"];
/// The regime of a batch, as [`Regime::name`].
pub(super) const REGIME: &str = "regime";
/// The ratio α of the linear scaling rule, as recipes name it.
pub(super) const RATIO: &str = "batch_size / learning_rate";

/// All settings of a run except its seed, under names such as `training.learning_rate`. Numbers are doubles, so that
/// equal settings are equal whatever file they come from.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Settings(pub(super) BTreeMap<String, Value>);

impl Settings {
    /// The settings of a configuration.
    ///
    /// # Errors
    /// [`Error::Config`] if it holds a number that is not finite.
    pub fn new(config: &RunConfig) -> Result<Self> {
        let value = serde_json::to_value(config).map_err(|error| Error::Config {
            key: "the configuration".to_owned(),
            problem: error.to_string(),
        })?;
        let mut leaves = BTreeMap::new();
        flatten("", &value, &mut leaves);
        let has_batch_norm = config.model.arch.has_batch_norm();
        Self::of_leaves(leaves, has_batch_norm.then_some(config.measure.chunk.map(|chunk| chunk as f64)))
    }

    /// The settings under their names. `batch_norm` is the chunk of the measurement, if batch norm used statistics of chunks: with
    /// other networks and statistics chunks change nothing but rounding.
    pub(super) fn of_leaves(
        mut leaves: BTreeMap<String, Value>,
        batch_norm: Option<Option<f64>>,
    ) -> Result<Self> {
        add_left_out(&mut leaves)?;
        let mut settings =
            Self(leaves.into_iter().filter_map(|(key, value)| Some((key, plain(value)?))).collect());
        settings.0.retain(|key, _| key != "seed" && !is_further(key));
        settings.0.entry("measure.between_iterates".to_owned()).or_insert(Value::Bool(false));
        if settings.get("data.train_examples").is_none() {
            // Nothing is drawn.
            settings.remove("data.seed");
        }
        let batch = settings.number("training.batch_size").unwrap_or(f64::INFINITY);
        if let Some(micro) = settings.number("training.micro_batch_size") {
            // The recipes' value, which follows from the batch size.
            if micro.min(batch) >= MICRO_BATCH.min(batch) {
                settings.0.remove("training.micro_batch_size");
            }
        }
        if settings.number("training.sam.rho").is_some_and(|rho| rho > 0.0) {
            settings.0.entry("training.sam.m".to_owned()).or_insert_with(|| "the batch".into());
        } else {
            settings.0.retain(|key, _| !key.starts_with("training.sam."));
            settings.0.insert("training.sam.rho".to_owned(), 0.0.into());
        }
        settings.set_chunk(batch_norm, batch);
        Ok(settings)
    }

    fn set_chunk(&mut self, batch_norm: Option<Option<f64>>, batch: f64) {
        self.0.remove("measure.chunk");
        match batch_norm {
            None => _ = self.0.remove("measure.bn"),
            Some(chunk) => {
                let trained = self.number("training.micro_batch_size").unwrap_or(MICRO_BATCH).min(batch);
                let chunk = chunk.filter(|chunk| (chunk - trained).abs() > 0.5);
                let chunk = chunk.map_or_else(|| "as trained".into(), Value::from);
                self.0.insert("measure.chunk".to_owned(), chunk);
            }
        }
    }

    /// A setting that is a number.
    pub fn number(&self, key: &str) -> Option<f64> {
        if key == RATIO {
            // Rounds away differences between equal ratios.
            let ratio = self.number("training.batch_size")? / self.number("training.learning_rate")?;
            return Some(format!("{ratio:.6e}").parse().unwrap_or(ratio));
        }
        self.0.get(key).and_then(Value::as_f64)
    }

    /// A setting as text; `unset` if it has no value.
    pub fn text(&self, key: &str) -> String {
        match (self.number(key), self.0.get(key)) {
            (Some(number), _) => number_text(number),
            (_, Some(Value::String(text))) => text.clone(),
            (_, Some(value)) => value.to_string(),
            (_, None) => "unset".to_owned(),
        }
    }

    /// All names and values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value))
    }

    /// These settings without some.
    pub(super) fn without(&self, is_left_out: impl Fn(&str) -> bool) -> Self {
        Self(
            self.0
                .iter()
                .filter(|(key, _)| !is_left_out(key))
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect(),
        )
    }

    pub(super) fn set(&mut self, key: &str, value: impl Into<Value>) {
        self.0.insert(key.to_owned(), value.into());
    }

    pub(super) fn remove(&mut self, key: &str) {
        self.0.remove(key);
    }

    pub(super) fn get(&self, key: &str) -> Option<&Value> {
        self.0.get(key)
    }

    /// A form that orders and compares settings.
    pub(super) fn key(&self) -> String {
        // A map of JSON values is JSON.
        serde_json::to_string(&self.0).unwrap_or_default()
    }

    /// Whether both have the same values, except for [`OPTIONAL`] ones that one of them lacks.
    pub(super) fn agrees_with(&self, other: &Self) -> bool {
        let agrees = |a: &Self, b: &Self| {
            a.0.iter().all(|(key, value)| match b.0.get(key) {
                Some(found) => found == value,
                None => OPTIONAL.contains(&key.as_str()),
            })
        };
        agrees(self, other) && agrees(other, self)
    }
}

/// Whether a setting does not affect λ_max.
pub(super) fn is_further(key: &str) -> bool {
    let is_of_measure = key.starts_with("measure.") && !OF_LAMBDA_MAX.contains(&key);
    is_of_measure || key.starts_with("training.through_")
}

/// A value with numbers as doubles and text that numbers may hide in left alone; none for null.
fn plain(value: Value) -> Option<Value> {
    match value {
        Value::Null => None,
        Value::Number(number) => Some(number.as_f64().map_or(Value::Number(number), Value::from)),
        // Lists are text in tables.
        Value::Array(list) => Some(Value::Array(list).to_string().into()),
        other => Some(other),
    }
}

/// A batch as a share of the training set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Regime {
    /// At most 1 % of the training set.
    Small,
    /// At least 2 % of it.
    Large,
}

impl Regime {
    /// The regime of a batch; none between both.
    pub fn of(batch_size: f64, train_examples: f64) -> Option<Self> {
        let share = batch_size / train_examples;
        if share <= SMALL { Some(Self::Small) } else { (share >= LARGE).then_some(Self::Large) }
    }

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Small => "small",
            Self::Large => "large",
        }
    }
}
