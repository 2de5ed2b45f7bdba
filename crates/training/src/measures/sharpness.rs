//! The numbers of all measures that measure sharpness, as the measures declare them.

use std::sync::LazyLock;

use serde::Deserialize as _;
use serde_json::Value;

use super::list::{Visitor, each};
use super::measure::Measure;

/// A number of the outcome of a measure that measures sharpness, the larger the sharper.
pub struct SharpnessNumber {
    /// The name of the measure.
    pub measure: &'static str,
    /// The keys that lead to it in the outcome, joined by dots.
    pub key: &'static str,
    label: &'static str,
    /// The settings of the measure that follow from those of the training with the same key.
    pub of_training: &'static [&'static str],
    is_converged: fn(&Value) -> Option<bool>,
}

static ALL: LazyLock<Vec<SharpnessNumber>> = LazyLock::new(|| {
    struct All(Vec<SharpnessNumber>);
    impl Visitor for All {
        fn visit<M: Measure>(&mut self) {
            let number = |(key, label): &(&'static str, &'static str)| SharpnessNumber {
                measure: M::NAME,
                key,
                label,
                of_training: M::OF_TRAINING,
                is_converged: |outcome| {
                    M::Outcome::deserialize(outcome).ok().map(|found| M::is_converged(&found))
                },
            };
            self.0.extend(M::SHARPNESS.iter().map(number));
        }
    }
    let mut all = All(Vec::new());
    each(&mut all);
    all.0
});

impl SharpnessNumber {
    /// Those of all measures, in the order of reports.
    pub fn all() -> &'static [Self] {
        &ALL
    }

    /// The measure and the key: `trace.value`.
    pub fn name(&self) -> String {
        format!("{}.{}", self.measure, self.key)
    }

    /// What people call it, with the measure if another measure has a number of the same label.
    pub fn label(&self) -> String {
        let is_shared = ALL.iter().filter(|other| other.label == self.label).count() > 1;
        if is_shared { format!("{} ({})", self.label, self.measure) } else { self.label.to_owned() }
    }

    /// Its value in an outcome of its measure.
    pub fn value(&self, outcome: &Value) -> Option<f64> {
        find(outcome, self.key)?.as_f64()
    }

    /// The error that the outcome reports beside the value: a standard error, a residual, or the larger part of an interval. Its key
    /// is that of the value followed by `_standard_error`, `_residual` or `_interval`; that of `value` may be the bare word.
    pub fn error(&self, outcome: &Value) -> Option<f64> {
        let value = self.value(outcome)?;
        let (parents, last) =
            self.key.rsplit_once('.').map_or(("", self.key), |(parents, last)| (parents, last));
        let table = if parents.is_empty() { outcome } else { find(outcome, parents)? };
        let of = |word: &str| {
            let bare = (last == "value").then(|| table.get(word)).flatten();
            table.get(format!("{last}_{word}")).or(bare).filter(|found| !found.is_null())
        };
        let number = ["standard_error", "residual"].into_iter().find_map(|word| of(word)?.as_f64());
        let ends = || of("interval")?.as_array()?.iter().map(Value::as_f64).collect::<Option<Vec<f64>>>();
        let of_ends = |ends: Vec<f64>| ends.iter().map(|end| (end - value).abs()).fold(0.0, f64::max);
        number.or_else(|| ends().map(of_ends))
    }

    /// Whether the measure met its tolerances; true if the outcome does not say.
    pub fn is_converged(&self, outcome: &Value) -> bool {
        (self.is_converged)(outcome).unwrap_or(true)
    }
}

/// The value at keys joined by dots; a number is a place in a list.
fn find<'a>(value: &'a Value, keys: &str) -> Option<&'a Value> {
    keys.split('.').try_fold(value, |value, key| match value {
        Value::Array(list) => list.get(key.parse::<usize>().ok()?),
        value => value.get(key),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const fn number(key: &'static str) -> SharpnessNumber {
        SharpnessNumber {
            measure: "made_up",
            key,
            label: "made up",
            of_training: &[],
            is_converged: |_| None,
        }
    }

    #[test]
    fn values_are_found_with_their_errors() {
        let outcome = json!({
            "value": 2.0, "standard_error": 0.1, "rank": 7.0, "rank_interval": [6.0, 9.0],
            "largest": { "value": 3.0, "residual": 1e-3 }, "radii": [{ "value": 4.0 }], "text": "a", "none": null,
        });
        for (key, value, error) in [
            ("value", Some(2.0), Some(0.1)),
            ("rank", Some(7.0), Some(2.0)),
            ("largest.value", Some(3.0), Some(1e-3)),
            ("radii.0.value", Some(4.0), None),
            ("radii.1.value", None, None),
            ("text", None, None),
            ("none", None, None),
            ("absent.value", None, None),
        ] {
            assert_eq!((number(key).value(&outcome), number(key).error(&outcome)), (value, error), "{key}");
        }
    }

    #[test]
    fn every_number_is_a_column_of_its_measure() {
        struct Columns;
        impl Visitor for Columns {
            fn visit<M: Measure>(&mut self) {
                for (key, _) in M::SHARPNESS {
                    let holds = |column: &str| column == *key || key.starts_with(&format!("{column}."));
                    assert!(M::COLUMNS.iter().any(|(column, _)| holds(column)), "{}.{key}", M::NAME);
                }
            }
        }
        each(&mut Columns);
        let names: Vec<String> = SharpnessNumber::all().iter().map(SharpnessNumber::name).collect();
        assert!(names.contains(&"trace.value".to_owned()), "the trace is one: {names:?}");
    }

    #[test]
    fn outcomes_say_whether_they_converged() {
        let all = SharpnessNumber::all();
        let maximum = all.iter().find(|number| number.measure == "between_iterates").unwrap();
        let outcome = |converged: bool| {
            let numbers = json!({
                "t": 0.5, "lambda_max": 1.0, "residual": 0.1, "loss": 0.2, "products": 9, "converged": converged,
            });
            json!({ "points": [numbers], "maximum": 1.0, "at": 0.5 })
        };
        assert!(!maximum.is_converged(&outcome(false)), "one point did not");
        assert!(maximum.is_converged(&outcome(true)) && maximum.is_converged(&json!({})), "yes, or unknown");
    }
}
