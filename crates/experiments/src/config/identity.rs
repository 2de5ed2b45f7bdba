//! The name of a run, and what distinguishes two.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::RunConfig;
use crate::{Error, Result};

/// The letter that begins a run's name: digits alone, such as 5326726303349359 or 1234e567, read as numbers.
const ID_LETTER: char = 'r';
/// Hexadecimal digits of a run's name after the letter.
const ID_DIGITS: usize = 16;

impl RunConfig {
    /// The name of the run: `r` and the first 16 hexadecimal digits of the SHA-256 of [`Self::canonical_json`].
    ///
    /// # Errors
    /// [`Error::Config`] if a number is not finite.
    pub fn id(&self) -> Result<String> {
        let mut id = hex(&Sha256::digest(self.canonical_json()?));
        id.truncate(ID_DIGITS);
        id.insert(0, ID_LETTER);
        Ok(id)
    }

    /// The configuration as JSON in one line, with sorted keys and without those that are absent. Settings that follow from others
    /// are filled in, so that two configurations of the same run have the same text.
    ///
    /// # Errors
    /// [`Error::Config`] if a number is not finite.
    pub fn canonical_json(&self) -> Result<String> {
        let mut effective = self.effective();
        // The run's own seed drew the subset before `data.seed` existed. Runs in which both agree keep the names they had.
        effective.data.seed = effective.data.seed.filter(|seed| *seed != self.seed);
        let mut text = String::new();
        write_sorted(&effective.to_value()?, &mut text);
        Ok(text)
    }

    /// The keys in which `other` differs, each with both values: `training.learning_rate (0.05 and 0.1)`.
    ///
    /// # Errors
    /// [`Error::Config`] if a number is not finite.
    pub fn differences(&self, other: &Self) -> Result<Vec<String>> {
        let (own, others) = (leaves(self)?, leaves(other)?);
        let keys: std::collections::BTreeSet<&String> = own.keys().chain(others.keys()).collect();
        let shown = |value: Option<&Value>| value.map_or_else(|| "absent".to_owned(), ToString::to_string);
        let different = keys.into_iter().filter(|key| own.get(*key) != others.get(*key));
        Ok(different
            .map(|key| format!("{key} ({} and {})", shown(own.get(key)), shown(others.get(key))))
            .collect())
    }

    /// The same run with what follows from other settings filled in, and what has no effect left out.
    fn effective(&self) -> Self {
        let mut effective = Self { measure: self.measurement(), ..self.clone() };
        effective.data.seed = self.data.train_examples.map(|_| self.data_seed());
        effective
    }

    fn to_value(&self) -> Result<Value> {
        serde_json::to_value(self)
            .map_err(|e| Error::Config { key: "the configuration".to_owned(), problem: e.to_string() })
    }
}

/// The name that a run has in stores from before names began with a letter.
pub(crate) fn old_id(id: &str) -> &str {
    id.strip_prefix(ID_LETTER).unwrap_or(id)
}

/// Whether a run's name is one from such a store.
pub(crate) fn is_old_id(id: &str) -> bool {
    id.len() == ID_DIGITS && id.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The name under which a run appears in tables: its own, with the letter if it comes from such a store.
pub(crate) fn lettered_id(id: &str) -> String {
    format!("{ID_LETTER}{}", old_id(id))
}

/// Lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn write_sorted(value: &Value, text: &mut String) {
    match value {
        Value::Object(map) => {
            let sorted: BTreeMap<&String, &Value> = map.iter().collect();
            write_list(('{', '}'), sorted, text, |(key, value), text| {
                text.push_str(&Value::from(key.as_str()).to_string());
                text.push(':');
                write_sorted(value, text);
            });
        }
        Value::Array(list) => write_list(('[', ']'), list, text, write_sorted),
        scalar => text.push_str(&scalar.to_string()),
    }
}

fn write_list<T>(
    (open, close): (char, char),
    items: impl IntoIterator<Item = T>,
    text: &mut String,
    write: impl Fn(T, &mut String),
) {
    text.push(open);
    for (i, item) in items.into_iter().enumerate() {
        if i > 0 {
            text.push(',');
        }
        write(item, text);
    }
    text.push(close);
}

/// All settings that have an effect, under keys such as `training.sam.rho`.
pub(crate) fn leaves(config: &RunConfig) -> Result<BTreeMap<String, Value>> {
    let mut leaves = BTreeMap::new();
    flatten("", &config.effective().to_value()?, &mut leaves);
    Ok(leaves)
}

/// Collects the leaves of `value` under keys such as `training.sam.rho`.
pub(crate) fn flatten(prefix: &str, value: &Value, leaves: &mut BTreeMap<String, Value>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                let key = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
                flatten(&key, value, leaves);
            }
        }
        leaf => {
            leaves.insert(prefix.to_owned(), leaf.clone());
        }
    }
}
