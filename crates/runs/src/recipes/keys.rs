//! Resolves the keys of recipes.

use std::collections::BTreeMap;

use sharpness_training::{ColumnType, flags};

use crate::migrate::renamed_key;

/// Names with at least this similarity (Jaro-Winkler) are suggested.
const NEAR: f64 = 0.75;

/// Every key of a configuration, such as `training.learning_rate`, with the type of its values.
#[derive(Clone, Debug)]
pub(crate) struct Keys(&'static BTreeMap<String, ColumnType>);

impl Keys {
    pub(crate) fn new() -> Self {
        Self(flags::keys())
    }

    /// The full key for `given`: itself, or the only one that ends with it.
    ///
    /// # Errors
    /// A message if there is no such key, or more than one.
    pub(crate) fn resolve(&self, given: &str) -> Result<String, String> {
        let given = renamed_key(given);
        if self.0.contains_key(&given) {
            return Ok(given);
        }
        // The key of a table stands for its kind: `optimizer = "sgd"`.
        let ends = [format!(".{given}"), format!(".{given}.name")];
        let is_meant = |key: &&String| ends.iter().any(|end| key.ends_with(end)) && is_short_for(&given, key);
        match self.0.keys().filter(is_meant).collect::<Vec<_>>()[..] {
            [key] => Ok(key.clone()),
            [] => Err(format!("there is no setting '{given}'; {}", self.nearest(&given))),
            ref several => {
                let keys: Vec<&str> = several.iter().map(|key| key.as_str()).collect();
                Err(format!("'{given}' is ambiguous; write one of {}", keys.join(", ")))
            }
        }
    }

    /// Whether the values of a key are numbers.
    pub(crate) fn is_number(&self, key: &str) -> bool {
        matches!(self.0.get(key), Some(ColumnType::Integer | ColumnType::Double))
    }

    /// Whether the values of a key are whole numbers.
    pub(crate) fn is_whole(&self, key: &str) -> bool {
        self.0.get(key) == Some(&ColumnType::Integer)
    }

    fn nearest(&self, given: &str) -> String {
        let last = |key: &str| key.rsplit('.').next().unwrap_or(key).to_owned();
        let near = |key: &&String| strsim::jaro_winkler(&last(given), &last(key));
        let best = self.0.keys().max_by(|a, b| near(a).total_cmp(&near(b)));
        match best.filter(|best| near(best) >= NEAR) {
            Some(best) => format!("did you mean '{}' ({best})?", last(best)),
            None => format!("there are {}", self.0.keys().cloned().collect::<Vec<_>>().join(", ")),
        }
    }
}

/// Whether a name may stand for a full key. The settings of a measure need the name of the measure.
fn is_short_for(given: &str, key: &str) -> bool {
    given.contains('.') || !key.starts_with("measure.") || key.matches('.').count() < 2
}
