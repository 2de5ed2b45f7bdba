//! Selects runs by their settings.

use serde_json::Value;

use sharpness_training::settings::RunConfig;

use crate::Result;
use crate::identity::leaves;
use crate::recipes::Keys;

/// A setting that runs must have.
#[derive(Clone, Debug, PartialEq)]
pub struct Filter {
    key: String,
    value: Value,
}

impl Filter {
    /// Reads `learning_rate=0.1`: the short or full name of a key, and a value.
    ///
    /// # Errors
    /// [`Config`](sharpness_training::Error::Config) if the setting is unknown, with the nearest one, or the value is
    /// missing.
    pub fn parse(text: &str) -> Result<Self> {
        let wrong = |problem: String| sharpness_training::Error::Config { key: format!("'{text}'"), problem };
        let (key, value) = text.split_once('=').ok_or_else(|| {
            wrong("is not a setting with a value; an example is learning_rate=0.1".to_owned())
        })?;
        let key = Keys::new().resolve(key.trim()).map_err(wrong)?;
        let value = value.trim();
        Ok(Self { key, value: serde_json::from_str(value).unwrap_or_else(|_| value.into()) })
    }

    /// Whether a run has the setting.
    ///
    /// # Errors
    /// [`Config`](sharpness_training::Error::Config) if a number of the configuration is not finite.
    pub fn matches(&self, config: &RunConfig) -> Result<bool> {
        let leaves = leaves(config)?;
        Ok(leaves.get(&self.key).is_some_and(|found| match (found.as_f64(), self.value.as_f64()) {
            (Some(found), Some(wanted)) => found.total_cmp(&wanted).is_eq(),
            _ => *found == self.value,
        }))
    }
}
