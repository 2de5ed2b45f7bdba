//! The names of trainings and measurements, and the differences of two runs.
//!
//! The name of a training is a hash of the schema version and the settings that differ from `defaults.toml`. The name
//! of a measurement is a hash of the training's name and the measurement's own settings. So figures share trainings,
//! another measurement does not train again, and a new setting renames no run if its old value is pinned in that file.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::OnceLock;

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use sharpness_training::Tagged as _;
use sharpness_training::measures::tracking_settings;
use sharpness_training::optimizers::{OptimizerConfig, ScheduleConfig};
use sharpness_training::settings::RunConfig;

use crate::migrate::SCHEMA;
use crate::{Error, Result};

/// The pinned defaults. Names leave out settings with these values; the current defaults may differ.
const DEFAULTS: &str = include_str!("defaults.toml");

/// The first letters of names: digits alone, such as 5326726303349359 or 1234e567, look like numbers.
const TRAINING: char = 't';
const MEASUREMENT: char = 'r';
/// The key of a table that names its kind.
const NAME: &str = "name";
/// Hexadecimal digits of a name after the letter.
const DIGITS: usize = 16;

/// The names of a run.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Identity {
    /// The name of the training and of its directory in a store.
    pub training: String,
    /// The name of the run: of the measurement at the end of the training.
    pub run: String,
}

impl Identity {
    /// The names of the run with these settings.
    ///
    /// # Errors
    /// [`Config`](sharpness_training::Error::Config) if a number is not finite.
    pub fn of(config: &RunConfig) -> Result<Self> {
        let (training, measure) = parts(config)?;
        let training = name(TRAINING, &json!({ "schema": SCHEMA, "training": differing(training)? }));
        let measure = json!({ "schema": SCHEMA, "training": training, "measure": differing(measure)? });
        Ok(Self { run: name(MEASUREMENT, &measure), training })
    }
}

/// The settings of training and of measuring that have an effect, as leaves.
fn parts(config: &RunConfig) -> Result<(BTreeMap<String, Value>, BTreeMap<String, Value>)> {
    let mut training = leaves(config)?;
    let measure = training.split_off("measure.");
    // Keys are sorted; those after `measure.` belong to the training.
    let (measure, after): (BTreeMap<_, _>, BTreeMap<_, _>) =
        measure.into_iter().partition(|(key, _)| key.starts_with("measure."));
    training.extend(after);
    if let Some(settings) = tracking_settings(config) {
        // What is measured through training is part of it.
        let effective = RunConfig { measure: settings, ..config.clone() };
        let tracked = leaves(&effective)?.into_iter().filter(|(key, _)| key.starts_with("measure."));
        training.extend(tracked.map(|(key, value)| (format!("tracked.{key}"), value)));
    }
    Ok((training, measure))
}

/// The leaves that differ from the pinned defaults, and a mark for each optional table that is present.
fn differing(leaves: BTreeMap<String, Value>) -> Result<Map<String, Value>> {
    let defaults = pinned()?;
    let mut differing = Map::new();
    for (key, value) in pinned_keys(leaves) {
        if let Some(table) = optional_table(&key) {
            differing.insert(table.to_owned(), true.into());
        }
        if defaults.get(&key) != Some(&value) {
            differing.insert(key, value);
        }
    }
    Ok(differing)
}

/// Leaves under the keys of `defaults.toml`: the name of a kind is part of the keys of its settings, since kinds may have different
/// defaults.
fn pinned_keys(leaves: BTreeMap<String, Value>) -> BTreeMap<String, Value> {
    let kinds = kinds(&leaves);
    let pinned = |key: String| match kinds
        .iter()
        .find_map(|(table, kind)| Some((table, kind, key.strip_prefix(table)?)))
    {
        Some((table, kind, setting)) if setting != NAME => format!("{table}{kind}.{setting}"),
        _ => key,
    };
    leaves.into_iter().map(|(key, value)| (pinned(key), value)).collect()
}

/// The key of a configuration of these kinds for a key of `defaults.toml`; none for a setting of another kind.
fn unpinned_key(key: &str, kinds: &[(String, String)]) -> Option<String> {
    let Some((table, kind, setting)) =
        kinds.iter().find_map(|(table, kind)| Some((table, kind, key.strip_prefix(table)?)))
    else {
        return Some(key.to_owned());
    };
    let setting = if setting == NAME { NAME } else { setting.strip_prefix(kind)?.strip_prefix('.')? };
    Some(format!("{table}{setting}"))
}

/// The tables whose settings depend on their kind, such as `training.optimizer.`, each with the kind that `leaves` names.
fn kinds(leaves: &BTreeMap<String, Value>) -> [(String, String); 2] {
    [OptimizerConfig::KEY, ScheduleConfig::KEY].map(|table| {
        let kind = leaves.get(&format!("{table}.{NAME}")).and_then(Value::as_str).map(str::to_owned);
        (format!("{table}."), kind.unwrap_or_default())
    })
}

/// Adds the settings of the network and the training that an older table of runs lacks, with the values that its runs
/// had.
///
/// # Errors
/// [`Config`](sharpness_training::Error::Config) if the pinned defaults cannot be read.
pub fn add_left_out(leaves: &mut BTreeMap<String, Value>) -> Result<()> {
    let pinned = pinned()?;
    // A subset was once drawn by the seed of the run, so a missing `data.seed` has no one value.
    let is_optional = |key: &str| {
        optional_table(key).is_some()
            || ["measure.", "data.", "seed"].iter().any(|start| key.starts_with(start))
    };
    // The names of kinds first, since they determine the other settings.
    for names_kinds in [true, false] {
        let kinds = kinds(leaves);
        for (key, value) in
            pinned.iter().filter(|(key, _)| !is_optional(key) && key.ends_with(".name") == names_kinds)
        {
            if let Some(key) = unpinned_key(key, &kinds) {
                leaves.entry(key).or_insert_with(|| value.clone());
            }
        }
    }
    Ok(())
}

/// The table of SAM or of a measure to which a key belongs.
fn optional_table(key: &str) -> Option<&str> {
    let (table, _) = key.rsplit_once('.')?;
    (table == "training.sam" || table.starts_with("measure.")).then_some(table)
}

/// The pinned defaults as leaves, read once: thousands of runs are named in a row.
fn pinned() -> Result<&'static BTreeMap<String, Value>> {
    static PINNED: OnceLock<std::result::Result<BTreeMap<String, Value>, String>> = OnceLock::new();
    let read = || {
        let table: BTreeMap<String, toml::Value> =
            toml::from_str(DEFAULTS).map_err(|error| error.to_string())?;
        let value = |(key, value)| match serde_json::to_value(value) {
            Ok(value) => Ok((key, value)),
            Err(error) => Err(error.to_string()),
        };
        table.into_iter().map(value).collect()
    };
    PINNED.get_or_init(read).as_ref().map_err(|error| config_error("defaults.toml", error.clone()))
}

fn name(letter: char, content: &Value) -> String {
    // The keys of a JSON object are sorted.
    let mut name = hex(&Sha256::digest(content.to_string()));
    name.truncate(DIGITS);
    name.insert(0, letter);
    name
}

/// The keys of settings that differ between two runs, each with both values: `training.learning_rate (0.05 and 0.1)`.
///
/// # Errors
/// [`Config`](sharpness_training::Error::Config) if a number is not finite.
pub fn differences(one: &RunConfig, other: &RunConfig) -> Result<Vec<String>> {
    Ok(different(&leaves(one)?, &leaves(other)?))
}

/// As [`differences`], of the trainings alone.
///
/// # Errors
/// As there.
pub(crate) fn training_differences(one: &RunConfig, other: &RunConfig) -> Result<Vec<String>> {
    Ok(different(&parts(one)?.0, &parts(other)?.0))
}

fn different(one: &BTreeMap<String, Value>, other: &BTreeMap<String, Value>) -> Vec<String> {
    let keys: std::collections::BTreeSet<&String> = one.keys().chain(other.keys()).collect();
    let shown = |value: Option<&Value>| value.map_or_else(|| "unset".to_owned(), ToString::to_string);
    let different = keys.into_iter().filter(|key| one.get(*key) != other.get(*key));
    different.map(|key| format!("{key} ({} and {})", shown(one.get(key)), shown(other.get(key)))).collect()
}

/// `config` with derived settings filled in, and settings without effect reset.
fn effective(config: &RunConfig) -> RunConfig {
    let mut effective = RunConfig { measure: config.measurement(), ..config.clone() };
    if config.data.train_examples.is_none() {
        effective.data.seed = 0;
    }
    let training = &mut effective.training;
    training.micro_batch_size = training.micro_batch_size.min(training.batch_size);
    effective.measure.examples = effective.measure.examples.min(config.data.trained_examples());
    effective
}

/// All settings that have an effect, under keys such as `training.sam.rho`.
///
/// # Errors
/// [`Config`](sharpness_training::Error::Config) if a number is not finite.
pub fn leaves(config: &RunConfig) -> Result<BTreeMap<String, Value>> {
    let mut leaves = BTreeMap::new();
    let value = serde_json::to_value(effective(config))
        .map_err(|error| config_error("the configuration", error.to_string()))?;
    flatten("", &value, &mut leaves);
    Ok(leaves)
}

/// Collects the leaves of `value` under keys such as `training.sam.rho`.
pub fn flatten(prefix: &str, value: &Value, leaves: &mut BTreeMap<String, Value>) {
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

/// Lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn config_error(key: &str, problem: String) -> Error {
    sharpness_training::Error::Config { key: key.to_owned(), problem }.into()
}

#[cfg(test)]
mod tests {
    use sharpness_data::DatasetName;
    use sharpness_network::architectures::Architecture;
    use sharpness_training::flags::{self, insert};
    use toml::Table;

    use super::*;

    /// The default of every setting that has one, under the keys of `defaults.toml`, including those of every kind, of
    /// SAM and of every measure.
    fn todays_defaults() -> BTreeMap<String, Value> {
        let base = RunConfig::new(DatasetName::Digits, Architecture::Mlp);
        let mut tables = vec![Table::new()];
        let mut with = |key: &str, value: toml::Value| {
            let mut table = Table::new();
            insert(&mut table, key, value);
            tables.push(table);
        };
        with("training.sam.bn_stats", "first".into());
        for arg in flags::command().get_arguments() {
            let key = arg.get_id().as_str();
            if [OptimizerConfig::KEY, ScheduleConfig::KEY].iter().any(|table| key == format!("{table}.name"))
            {
                arg.get_possible_values().iter().for_each(|value| with(key, value.get_name().into()));
            }
            if flags::keys().keys().any(|other| other.starts_with(&format!("{key}."))) {
                with(key, true.into());
            }
        }
        let mut all = BTreeMap::new();
        for table in tables {
            let config = base.overlaid(&table).unwrap();
            let mut leaves = BTreeMap::new();
            flatten("", &serde_json::to_value(config).unwrap(), &mut leaves);
            for (key, value) in pinned_keys(leaves) {
                // The first table has the defaults of the kinds themselves.
                all.entry(key).or_insert(value);
            }
        }
        // These have no default that a run could leave out.
        all.retain(|key, _| key != "data.name" && key != "model.arch");
        all
    }

    #[test]
    fn every_default_is_pinned() {
        let (pinned, today) = (pinned().unwrap(), todays_defaults());
        let missing: Vec<String> = today
            .iter()
            .filter(|(key, _)| !pinned.contains_key(*key))
            .map(|(key, value)| format!("{key:?} = {value}"))
            .collect();
        assert!(
            missing.is_empty(),
            "add to crates/runs/src/identity/defaults.toml the value with which earlier runs were made:\n{}",
            missing.join("\n")
        );
    }
}
