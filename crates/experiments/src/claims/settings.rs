//! The settings of a run by their names, and conditions on them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Cell;
use crate::config::RunConfig;
use crate::config::identity::flatten;
use crate::{Error, Result};

/// The largest share of the training set that is a small batch: the paper calls 100 to 500 of 50,000 small.
const SMALL: f64 = 0.01;
/// The smallest share that is a large one: the paper's are 1,000 (Fixup), 5,000 and 50,000 of 50,000.
const LARGE: f64 = 0.02;
/// Settings that ask for further numbers, or limit the work, and leave λ_max as it is.
const FURTHER: [&str; 6] = [
    "measure.top_k",
    "measure.lambda_min",
    "measure.max_products",
    "measure.trace",
    "measure.sam_bound",
    "measure.through_training",
];
/// The largest micro-batch of the paper.
const MICRO_BATCH: f64 = 1000.0;
/// Settings that only some runs have: one without agrees with any value.
pub(super) const OPTIONAL: [&str; 5] =
    ["training.sam.adaptive", "training.sam.m", "training.sam.bn_stats", "measure.bn", "measure.chunk"];
/// The regime of a batch, as [`Regime::name`].
const REGIME: &str = "regime";
/// The ratio α of the linear scaling rule, as recipes name it.
const RATIO: &str = "batch_size / learning_rate";

/// All settings of a run but its seed, under names such as `training.learning_rate`. Numbers are doubles, so that equal settings
/// are equal whatever file they come from.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Settings(BTreeMap<String, Value>);

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
        Ok(Self::of_leaves(leaves, has_batch_norm.then_some(config.measure.chunk.map(|chunk| chunk as f64))))
    }

    /// The settings under their names. `batch_norm` is the chunk of the measurement, if batch norm used statistics of chunks: with
    /// other networks and statistics chunks change nothing but rounding.
    pub(super) fn of_leaves(leaves: BTreeMap<String, Value>, batch_norm: Option<Option<f64>>) -> Self {
        let mut settings =
            Self(leaves.into_iter().filter_map(|(key, value)| Some((key, plain(value)?))).collect());
        settings.0.retain(|key, _| key != "seed" && !FURTHER.contains(&key.as_str()));
        if settings.get("data.train_examples").is_none() {
            // Nothing is drawn.
            settings.remove("data.seed");
        }
        let batch = settings.number("training.batch_size").unwrap_or(f64::INFINITY);
        if let Some(micro) = settings.number("training.micro_batch_size") {
            // What the recipes take, which follows the batch size.
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
        settings
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
            // Ratios that were meant to be the same differ by rounding.
            let ratio = self.number("training.batch_size")? / self.number("training.learning_rate")?;
            return Some(format!("{ratio:.6e}").parse().unwrap_or(ratio));
        }
        self.0.get(key).and_then(Value::as_f64)
    }

    /// A setting as text; `unset` if it has no value.
    pub fn text(&self, key: &str) -> String {
        match (self.number(key), self.0.get(key)) {
            (Some(number), _) => super::judge::number_text(number),
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

    /// In a form that orders and compares settings.
    pub(super) fn key(&self) -> String {
        // A map of JSON values is JSON.
        serde_json::to_string(&self.0).unwrap_or_default()
    }

    /// Whether both have the same values, but for [`OPTIONAL`] ones that one lacks.
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

/// What a setting must be.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(untagged)]
pub(super) enum Wanted {
    /// A number in a range.
    Range(Range),
    /// One of several values.
    OneOf(Vec<Scalar>),
    /// A value.
    Value(Scalar),
}

/// A value of a setting.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(untagged)]
pub(super) enum Scalar {
    Number(f64),
    Flag(bool),
    Text(String),
}

/// A range of numbers.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Range {
    above: Option<f64>,
    below: Option<f64>,
    from: Option<f64>,
    to: Option<f64>,
}

impl Wanted {
    fn allows(&self, cell: &Cell, key: &str) -> bool {
        let settings = &cell.settings;
        let equals = |wanted: &Scalar| match wanted {
            Scalar::Text(wanted) if key == REGIME => {
                cell.regime().is_some_and(|regime| wanted == regime.name())
            }
            Scalar::Text(wanted) => settings.get(key).and_then(Value::as_str) == Some(wanted),
            Scalar::Flag(wanted) => settings.get(key).and_then(Value::as_bool) == Some(*wanted),
            Scalar::Number(wanted) => {
                settings.number(key).is_some_and(|found| (wanted - found).abs() <= 1e-9 * wanted.abs())
            }
        };
        match self {
            Self::Value(value) => equals(value),
            Self::OneOf(values) => values.iter().any(equals),
            Self::Range(Range { above, below, from, to }) => settings.number(key).is_some_and(|found| {
                let near = 1e-9 * found.abs();
                above.is_none_or(|bound| found > bound + near)
                    && below.is_none_or(|bound| found < bound - near)
                    && from.is_none_or(|bound| found >= bound - near)
                    && to.is_none_or(|bound| found <= bound + near)
            }),
        }
    }
}

impl Wanted {
    fn text(&self, key: &str) -> String {
        let symbol = super::contrasts::symbol(key);
        let values = |values: &[Scalar]| values.iter().map(Scalar::text).collect::<Vec<_>>().join(" or ");
        match self {
            Self::Value(value) if key == REGIME => format!("{} batches", value.text()),
            Self::OneOf(several) if key == REGIME => format!("{} batches", values(several)),
            Self::Value(value) => format!("{symbol} = {}", value.text()),
            Self::OneOf(several) => format!("{symbol} = {}", values(several)),
            Self::Range(Range { above, below, from, to }) => {
                let bounds = [(">", *above), ("≥", *from), ("<", *below), ("≤", *to)];
                let bounds = bounds.into_iter().filter_map(|(sign, bound)| Some((sign, bound?)));
                let texts = bounds
                    .map(|(sign, bound)| format!("{symbol} {sign} {}", super::judge::number_text(bound)));
                texts.collect::<Vec<_>>().join(", ")
            }
        }
    }
}

impl Scalar {
    fn text(&self) -> String {
        match self {
            Self::Number(number) => super::judge::number_text(*number),
            Self::Flag(flag) => flag.to_string(),
            Self::Text(text) => text.clone(),
        }
    }
}

/// What settings must be, by their names.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(transparent)]
pub(super) struct Filter(BTreeMap<String, Wanted>);

impl Filter {
    pub(super) fn allows(&self, cell: &Cell) -> bool {
        self.0.iter().all(|(key, wanted)| wanted.allows(cell, key))
    }

    /// As people read it: `small batches, η ≥ 0.05`; empty if anything will do.
    pub(super) fn text(&self) -> String {
        self.0.iter().map(|(key, wanted)| wanted.text(key)).collect::<Vec<_>>().join(", ")
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

/// Whether a finding may name the setting.
pub(super) fn is_setting(key: &str) -> bool {
    let is_column =
        crate::store::RunTable::COLUMNS.iter().any(|(name, _)| name.strip_prefix("config.") == Some(key));
    key == RATIO || key == REGIME || (is_column && key != "seed" && !FURTHER.contains(&key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_regime_is_a_share_of_the_training_set() {
        let of = |batch, examples| Regime::of(batch, examples);
        assert_eq!(of(100.0, 50_000.0), Some(Regime::Small), "the paper's small batch");
        assert_eq!(of(500.0, 50_000.0), Some(Regime::Small), "the largest in Figure 4");
        assert_eq!(of(1000.0, 50_000.0), Some(Regime::Large), "Fixup's large batch");
        assert_eq!(of(5000.0, 50_000.0), Some(Regime::Large), "the paper's large batch, also alone");
        assert_eq!(of(128.0, 60_000.0), Some(Regime::Small), "128 is small where there are 60,000 examples");
        assert_eq!(of(750.0, 50_000.0), None, "between both");
    }

    #[test]
    fn a_filter_compares_numbers_and_text() {
        let settings = BTreeMap::from([
            ("model.arch".to_owned(), "vgg11".into()),
            ("training.learning_rate".to_owned(), 0.05.into()),
            ("training.batch_size".to_owned(), 100.0.into()),
        ]);
        let cell = Cell {
            settings: Settings(settings),
            train_examples: 50_000.0,
            test_examples: 10_000.0,
            runs: Vec::new(),
            published: crate::claims::Published::default(),
        };
        let allows = |text: &str| toml::from_str::<Filter>(text).unwrap().allows(&cell);
        assert!(allows("regime = 'small'") && !allows("regime = 'large'"), "the regime");
        assert!(allows("'model.arch' = 'vgg11'"), "text");
        assert!(allows("'model.arch' = ['mlp', 'vgg11']"), "one of several");
        assert!(allows("'training.learning_rate' = { from = 0.05 }"), "a closed bound");
        assert!(!allows("'training.learning_rate' = { above = 0.05 }"), "an open one");
        assert!(allows("'training.batch_size' = 100"), "an integer equals a double");
        assert!(allows("'batch_size / learning_rate' = 2000"), "the ratio");
        assert!(!allows("'training.momentum' = 0.9"), "a setting that is not there");
        assert!(toml::from_str::<Filter>("'model.dropout' = { over = 1 }").is_err(), "no such bound");
    }

    #[test]
    fn a_filter_is_told_in_words() {
        let text = "regime = ['small', 'large']\n'model.arch' = 'mlp'\n'training.learning_rate' = { from = 0.05, below = 1 }";
        let told = toml::from_str::<Filter>(text).unwrap().text();
        assert_eq!(told, "arch = mlp, small or large batches, η ≥ 0.05, η < 1");
    }
}
