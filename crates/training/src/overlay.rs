//! Settings laid over each other: defaults, a file, flags.

use sharpness_data::DatasetName;
use sharpness_network::architectures::Architecture;
use toml::{Table, Value};

use crate::measures;
use crate::optimizers::SamConfig;
use crate::settings::RunConfig;
use crate::tagged::NAME;

impl RunConfig {
    /// The configuration that `table` holds, which has the form of `config.toml`; what it leaves out has its default.
    ///
    /// # Errors
    /// As [`Self::overlaid`]; a table without an architecture or a data set.
    pub fn of_table(table: Table) -> Result<Self, (String, String)> {
        for (section, key) in [("model", "arch"), ("data", "name")] {
            if table.get(section).and_then(|section| section.get(key)).is_none() {
                return Err((format!("{section}.{key}"), "is missing".to_owned()));
            }
        }
        Self::new(DatasetName::Digits, Architecture::Mlp).overlaid(&table)
    }

    /// This configuration with the choices of `table`, which has the form of `config.toml`, in place of its own.
    ///
    /// # Errors
    /// The key that no configuration has or whose value is wrong, and what is wrong with it.
    pub fn overlaid(&self, table: &Table) -> Result<Self, (String, String)> {
        let written = |error: toml::ser::Error| (String::new(), error.to_string());
        let mut merged = Table::try_from(self).map_err(written)?;
        let has_sam = table.get("training").and_then(|training| training.get("sam")).is_some();
        if let Some(Value::Table(training)) = merged.get_mut("training").filter(|_| has_sam) {
            let sam = Value::try_from(SamConfig::default()).map_err(written)?;
            training.entry("sam").or_insert(sam);
        }
        lay_over(&mut merged, table);
        let mut config: Self = serde_path_to_error::deserialize(Value::Table(merged)).map_err(|error| {
            // An element of a list is found by the key of the list.
            let path = error.path().to_string();
            let key = path.split('[').next().unwrap_or_default();
            (key.to_owned(), error.inner().message().to_owned())
        })?;
        config.measure.asked = measures::normalized(&config.measure.asked)
            .map_err(|(key, problem)| (format!("measure.{key}"), problem))?;
        Ok(config)
    }
}

/// Replaces what both tables have by the upper one's, table by table. A table of another kind replaces the lower one whole.
fn lay_over(lower: &mut Table, upper: &Table) {
    for (key, value) in upper {
        match (lower.get_mut(key), value) {
            (Some(Value::Table(lower)), Value::Table(upper)) if is_same_kind(lower, upper) => {
                lay_over(lower, upper);
            }
            // A user may write 1 for 1.0.
            (Some(Value::Float(lower)), Value::Integer(upper)) => {
                *lower = *upper as f64;
            }
            _ => {
                lower.insert(key.clone(), value.clone());
            }
        }
    }
}

/// Whether a table adds to the settings of another, and does not name another kind.
fn is_same_kind(lower: &Table, upper: &Table) -> bool {
    match (lower.get(NAME), upper.get(NAME)) {
        (Some(Value::String(lower)), Some(Value::String(upper))) => lower == upper,
        _ => true,
    }
}
