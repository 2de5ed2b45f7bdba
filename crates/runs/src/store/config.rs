//! The settings in the directory of a run.

use sharpness_training::settings::RunConfig;
use toml::{Table, Value};

use crate::config_file::{ConfigFile, line_of};
use crate::identity::training_differences;
use crate::json::read_file;
use crate::layout::RunLayout;
use crate::migrate::{SCHEMA, SCHEMA_KEY, stored_settings};
use crate::{Error, Result};

/// The settings that a run started with.
pub(crate) struct StoredConfig {
    text: String,
    /// The settings.
    pub(crate) config: RunConfig,
    /// Whether an older version wrote them.
    pub(crate) is_old: bool,
}

/// The file with the settings of a run; `None` if there is none.
///
/// # Errors
/// [`Error::DamagedRun`] if it does not hold the settings of a run; [`Error::Io`] if it cannot be read.
pub fn run_config(layout: &RunLayout) -> Result<Option<ConfigFile>> {
    let of = |stored: StoredConfig| ConfigFile::stored(&layout.config(), stored.text);
    read_config(layout)?.map(of).transpose()
}

/// The settings of the run in a directory.
///
/// # Errors
/// [`Error::Io`] if they cannot be read; [`Error::DamagedRun`] if they are missing or not those of a run.
pub(crate) fn stored_config(layout: &RunLayout) -> Result<StoredConfig> {
    let missing = || Error::damaged(layout.config(), "it is missing".to_owned());
    read_config(layout)?.ok_or_else(missing)
}

/// The text of a `config.toml` with these settings.
///
/// # Errors
/// [`Config`](sharpness_training::Error::Config) if TOML cannot express a value.
pub(super) fn config_text(config: &RunConfig) -> Result<String> {
    let text = Table::try_from(config).and_then(|mut table| {
        table.insert(SCHEMA_KEY.to_owned(), Value::Integer(SCHEMA));
        toml::to_string(&table)
    });
    let unwritable = |error: toml::ser::Error| sharpness_training::Error::Config {
        key: "the configuration".to_owned(),
        problem: format!("cannot be written as TOML: {error}"),
    };
    Ok(text.map_err(unwritable)?)
}

/// The settings of a run; `None` if it has none yet.
pub(super) fn read_config(layout: &RunLayout) -> Result<Option<StoredConfig>> {
    let path = layout.config();
    let damaged = |problem: String| Error::damaged(path.clone(), problem);
    // Checked first, since another process writes the configuration before any other file of the run.
    let is_begun = layout.checkpoint().exists() || layout.result().exists();
    let bytes = match read_file(&path)? {
        Some(bytes) => bytes,
        None if is_begun => return Err(damaged("it is missing".to_owned())),
        None => return Ok(None),
    };
    let text = String::from_utf8(bytes).map_err(|_| damaged("it is not text in UTF-8".to_owned()))?;
    if text.trim().is_empty() {
        return Err(damaged("it is empty".to_owned()));
    }
    let table: Table = text.parse().map_err(|error: toml::de::Error| {
        let line = error.span().map_or(1, |span| line_of(&text, &span));
        damaged(format!("line {line} is not that of a run's configuration ({})", error.message()))
    })?;
    let (table, is_old) = stored_settings(table);
    let config = RunConfig::of_table(table).map_err(|(key, problem)| {
        damaged(format!("it is not a run's configuration (key {key}: {problem})"))
    })?;
    Ok(Some(StoredConfig { text, config, is_old }))
}

/// Whether the directory has settings, which must be those of the same training.
pub(super) fn same_training(layout: &RunLayout, config: &RunConfig) -> Result<bool> {
    let Some(found) = read_config(layout)? else { return Ok(false) };
    let differences = training_differences(&found.config, config)?;
    if !differences.is_empty() {
        return Err(Error::OtherConfig { dir: layout.dir().to_owned(), differences });
    }
    if found.is_old { Err(Error::OldRun { dir: layout.dir().to_owned() }) } else { Ok(true) }
}
