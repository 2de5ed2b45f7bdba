//! A run's configuration in TOML: the file of `--config`, and `config.toml` in a run's directory.
//!
//! A file may leave out any key; what it leaves out keeps its default. Errors name the file, the line and the key.

use std::ops::Range;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use sharpness_experiments::config::{BnStats, RunConfig, SamConfig};
use toml::de::{DeTable, DeValue};
use toml::{Table, Value};

/// A file that is well-formed TOML.
pub(crate) struct ConfigFile {
    path: PathBuf,
    text: String,
    table: Table,
}

impl ConfigFile {
    /// Reads a file.
    ///
    /// # Errors
    /// The file cannot be read or is no TOML.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let text =
            std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        match text.parse() {
            Ok(table) => Ok(Self { path: path.to_owned(), text, table }),
            Err(error) => {
                let line = error.span().map_or(1, |span| line_of(&text, &span));
                Err(anyhow!("{}, line {line}: this is no TOML: {}", path.display(), error.message()))
            }
        }
    }

    /// Whether the file has a key such as `training.batch_size`.
    pub(crate) fn has(&self, key: &str) -> bool {
        let (tables, last) = key.rsplit_once('.').map_or((None, key), |(tables, last)| (Some(tables), last));
        let mut tables = tables.into_iter().flat_map(|tables| tables.split('.'));
        let table = tables.try_fold(&self.table, |table, key| table.get(key)?.as_table());
        table.is_some_and(|table| table.contains_key(last))
    }

    /// The configuration `base` with the file's choices in place of its own.
    ///
    /// # Errors
    /// A key that no configuration has, or a value of the wrong type.
    pub(crate) fn over(&self, base: &RunConfig) -> Result<RunConfig> {
        let mut merged = Table::try_from(base).context("cannot write the default configuration as TOML")?;
        if self.has("training.sam") {
            let sam = SamConfig { rho: 0.05, adaptive: false, m: None, bn_stats: BnStats::First };
            let sam = Value::try_from(sam).context("cannot write the default of SAM as TOML")?;
            if let Some(training) = merged.get_mut("training").and_then(Value::as_table_mut) {
                training.entry("sam").or_insert(sam);
            }
        }
        lay_over(&mut merged, &self.table);
        serde_path_to_error::deserialize(Value::Table(merged)).map_err(|error| self.located(&error))
    }

    /// The file and the line in which a key such as `training.batch_size` stands, if it does.
    pub(crate) fn place(&self, key: &str) -> Option<String> {
        let keys: Vec<&str> = key.split('.').collect();
        let span = self.has(key).then(|| self.span(&keys))??;
        Some(format!("{}, line {}", self.path.display(), line_of(&self.text, &span)))
    }

    /// An error with the file, the line and the key that it is about.
    fn located(&self, error: &serde_path_to_error::Error<toml::de::Error>) -> anyhow::Error {
        let path = error.path().to_string();
        let keys: Vec<&str> = path.split('.').collect();
        let line = self.span(&keys).map_or(1, |span| line_of(&self.text, &span));
        anyhow!("{}, line {line}, key {path}: {}", self.path.display(), error.inner().message())
    }

    /// Where a key stands in the text; its innermost table that the text has, where it is not there itself.
    fn span(&self, keys: &[&str]) -> Option<Range<usize>> {
        let document = DeTable::parse(&self.text).ok()?;
        let mut table = document.get_ref();
        let mut span = None;
        for key in keys {
            let Some((name, value)) = table.get_key_value(*key) else { break };
            span = Some(name.span());
            match value.get_ref() {
                DeValue::Table(inner) => table = inner,
                _ => break,
            }
        }
        span
    }
}

/// Replaces what both tables have by the upper one's, table by table.
fn lay_over(lower: &mut Table, upper: &Table) {
    for (key, value) in upper {
        match (lower.get_mut(key), value) {
            (Some(Value::Table(lower)), Value::Table(upper)) => lay_over(lower, upper),
            // A user may write 1 for 1.0.
            (Some(Value::Float(lower)), Value::Integer(upper)) => {
                *lower = i32::try_from(*upper).map_or(f64::INFINITY, f64::from);
            }
            _ => {
                lower.insert(key.clone(), value.clone());
            }
        }
    }
}

/// The number of the line, from 1, in which a part of a text begins.
fn line_of(text: &str, span: &Range<usize>) -> usize {
    text.bytes().take(span.start).filter(|&byte| byte == b'\n').count() + 1
}
