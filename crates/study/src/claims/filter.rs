//! Conditions on the settings of cells.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use sharpness_training::flags;

use super::cell::Cell;
use super::settings::{RATIO, REGIME, is_further};
use super::text::{number_text, symbol};

/// A condition on a setting.
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
        let symbol = symbol(key);
        let values = |values: &[Scalar]| values.iter().map(Scalar::text).collect::<Vec<_>>().join(" or ");
        match self {
            Self::Value(value) if key == REGIME => format!("{} batches", value.text()),
            Self::OneOf(several) if key == REGIME => format!("{} batches", values(several)),
            Self::Value(value) => format!("{symbol} = {}", value.text()),
            Self::OneOf(several) => format!("{symbol} = {}", values(several)),
            Self::Range(Range { above, below, from, to }) => {
                let bounds = [(">", *above), ("≥", *from), ("<", *below), ("≤", *to)];
                let bounds = bounds.into_iter().filter_map(|(sign, bound)| Some((sign, bound?)));
                let texts = bounds.map(|(sign, bound)| format!("{symbol} {sign} {}", number_text(bound)));
                texts.collect::<Vec<_>>().join(", ")
            }
        }
    }
}

impl Scalar {
    fn text(&self) -> String {
        match self {
            Self::Number(number) => number_text(*number),
            Self::Flag(flag) => flag.to_string(),
            Self::Text(text) => text.clone(),
        }
    }
}

/// Conditions on settings, by their names.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(transparent)]
pub(super) struct Filter(BTreeMap<String, Wanted>);

impl Filter {
    pub(super) fn allows(&self, cell: &Cell) -> bool {
        self.0.iter().all(|(key, wanted)| wanted.allows(cell, key))
    }

    /// The text form: `small batches, η ≥ 0.05`; empty if there is no condition.
    pub(super) fn text(&self) -> String {
        self.0.iter().map(|(key, wanted)| wanted.text(key)).collect::<Vec<_>>().join(", ")
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

/// Whether a finding may name the setting.
pub(super) fn is_setting(key: &str) -> bool {
    let is_of_run = flags::keys().contains_key(key) && key != "seed" && !is_further(key);
    key == RATIO || key == REGIME || is_of_run
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::claims::settings::{Regime, Settings};

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
        assert!(!allows("'training.optimizer.momentum' = 0.9"), "a setting that is not there");
        assert!(toml::from_str::<Filter>("'model.dropout' = { over = 1 }").is_err(), "no such bound");
    }

    #[test]
    fn a_filter_is_told_in_words() {
        let text = "regime = ['small', 'large']\n'model.arch' = 'mlp'\n'training.learning_rate' = { from = 0.05, below = 1 }";
        let told = toml::from_str::<Filter>(text).unwrap().text();
        assert_eq!(told, "arch = mlp, small or large batches, η ≥ 0.05, η < 1");
    }
}
