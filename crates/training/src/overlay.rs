//! Settings laid over each other: defaults, a file, flags.

use serde_json::Value as Json;
use sharpness_data::DatasetName;
use sharpness_network::architectures::Architecture;
use toml::{Table, Value};

use crate::flags::{insert, lookup};
use crate::measures;
use crate::optimizers::{OptimizerConfig, SamConfig, ScheduleConfig};
use crate::range::{Range as _, Seed};
use crate::settings::RunConfig;
use crate::tagged::{self, NAME, Tagged};

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
        let mut merged =
            Table::try_from(self).map_err(|error| too_large(self).unwrap_or_else(|| written(error)))?;
        let has_sam = table.get("training").and_then(|training| training.get("sam")).is_some();
        if let Some(Value::Table(training)) = merged.get_mut("training").filter(|_| has_sam) {
            let sam = Value::try_from(SamConfig::default()).map_err(written)?;
            training.entry("sam").or_insert(sam);
        }
        empty_other_kind::<OptimizerConfig>(&mut merged, table);
        empty_other_kind::<ScheduleConfig>(&mut merged, table);
        lay_over(&mut merged, table);
        check::<OptimizerConfig>(&merged)?;
        check::<ScheduleConfig>(&merged)?;
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

/// The first key with an integer that TOML does not have, and what is wrong with it.
fn too_large(config: &RunConfig) -> Option<(String, String)> {
    fn within(key: &str, value: &Json) -> Option<(String, String)> {
        match value {
            Json::Object(map) => map.iter().find_map(|(name, value)| {
                let key = if key.is_empty() { name.clone() } else { format!("{key}.{name}") };
                within(&key, value)
            }),
            Json::Array(list) => list.iter().find_map(|value| within(key, value)),
            Json::Number(number) => Some((key.to_owned(), Seed::check(number.as_u64()?).err()?)),
            _ => None,
        }
    }
    within("", &serde_json::to_value(config).ok()?)
}

/// Reads the table of a kind on its own, since the error of the whole configuration would name the table, not its key.
fn check<T: Tagged>(config: &Table) -> Result<(), (String, String)> {
    let Some(Value::Table(table)) = lookup(config, T::KEY) else { return Ok(()) };
    let read: Result<T, _> = tagged::of_table(table.clone());
    read.map(drop).map_err(|(key, problem)| (format!("{}.{key}", T::KEY), problem))
}

/// Empties the table of a kind if the upper one names another kind, whose settings are others.
fn empty_other_kind<T: Tagged>(lower: &mut Table, upper: &Table) {
    let key = format!("{}.{NAME}", T::KEY);
    if let (Some(below), Some(above)) = (lookup(lower, &key), lookup(upper, &key))
        && below != above
    {
        insert(lower, T::KEY, Value::Table(Table::new()));
    }
}

/// Replaces what both tables have by the upper one's, table by table.
fn lay_over(lower: &mut Table, upper: &Table) {
    for (key, value) in upper {
        match (lower.get_mut(key), value) {
            (Some(Value::Table(lower)), Value::Table(upper)) => lay_over(lower, upper),
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

#[cfg(test)]
mod tests {
    use super::*;

    /// The optimizers of two tables, one over the other.
    fn laid_over(lower: &str, upper: &str) -> Table {
        let [mut lower, upper] = [lower, upper].map(|text| text.parse().unwrap());
        empty_other_kind::<OptimizerConfig>(&mut lower, &upper);
        lay_over(&mut lower, &upper);
        lower
    }

    #[test]
    fn a_table_of_another_kind_replaces_the_lower_one() {
        let lower = "[training.optimizer]\nname = 'sgd'\nmomentum = 0.9\n";
        let other = "[training.optimizer]\nname = 'adam'\nbeta = 0.5\n";
        assert_eq!(
            laid_over(lower, other),
            other.parse().unwrap(),
            "none of the other kind's settings stays"
        );
        let same = "[training.optimizer]\nname = 'sgd'\nweight_decay = 0.5\n";
        let both = "[training.optimizer]\nname = 'sgd'\nmomentum = 0.9\nweight_decay = 0.5\n";
        assert_eq!(laid_over(lower, same), both.parse().unwrap(), "settings of one kind add up");
        let unnamed = "training.optimizer.weight_decay = 0.5";
        assert_eq!(laid_over(lower, unnamed), both.parse().unwrap(), "without a name the kind is the same");
    }
}
