//! A run's configuration in TOML: the file of `--config`, and `config.toml` in a run's directory.
//!
//! A file may leave out any key; what it leaves out keeps its default. Errors name the file, the line and the key.

use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};
use toml::{Table, Value};

use super::{BnStats, RunConfig, SamConfig};
use crate::network::files;
use crate::store::atomic::failed;
use crate::{Error, Result};

/// The size of the largest configuration or recipe that is read, in bytes.
const LIMIT: u64 = 4 << 20;

/// A file that is well-formed TOML.
#[derive(Clone, Debug)]
pub struct ConfigFile {
    path: PathBuf,
    text: String,
    table: Table,
}

impl ConfigFile {
    /// Reads a file.
    ///
    /// # Errors
    /// [`Error::Io`] if the file cannot be read; [`Error::File`] if it is invalid TOML.
    pub fn read(path: &Path) -> Result<Self> {
        Self::parse(path, read_text(path)?)
    }

    /// The file at `path`, which holds `text`.
    ///
    /// # Errors
    /// [`Error::File`] if it is invalid TOML.
    pub fn parse(path: &Path, text: String) -> Result<Self> {
        match text.parse() {
            Ok(table) => Ok(Self { path: path.to_owned(), text, table }),
            Err(error) => {
                let line = error.span().map_or(1, |span| line_of(&text, &span));
                let problem = format!("invalid TOML: {}", error.message());
                Err(Error::File { file: path.to_owned(), line, problem })
            }
        }
    }

    /// What the file holds.
    pub(crate) fn into_table(self) -> Table {
        self.table
    }

    /// Whether the file has a key such as `training.batch_size`.
    pub fn has(&self, key: &str) -> bool {
        let (tables, last) = key.rsplit_once('.').map_or((None, key), |(tables, last)| (Some(tables), last));
        let mut tables = tables.into_iter().flat_map(|tables| tables.split('.'));
        let table = tables.try_fold(&self.table, |table, key| table.get(key)?.as_table());
        table.is_some_and(|table| table.contains_key(last))
    }

    /// The configuration `base` with the file's choices in place of its own.
    ///
    /// # Errors
    /// [`Error::File`] for a key that no configuration has, or a value of the wrong type.
    pub fn over(&self, base: &RunConfig) -> Result<RunConfig> {
        base.overlaid(&self.table).map_err(|(key, problem)| {
            let keys: Vec<&str> = key.split('.').collect();
            let line = self.span(&keys).map_or(1, |span| line_of(&self.text, &span));
            Error::File { file: self.path.clone(), line, problem: format!("key {key}: {problem}") }
        })
    }

    /// The file and the line in which a key such as `training.batch_size` stands, if it does.
    pub fn place(&self, key: &str) -> Option<String> {
        let keys: Vec<&str> = key.split('.').collect();
        let span = self.has(key).then(|| self.span(&keys))??;
        Some(format!("{}, line {}", self.path.display(), line_of(&self.text, &span)))
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

impl RunConfig {
    /// This configuration with the choices of `table`, which has the form of `config.toml`, in place of its own.
    ///
    /// # Errors
    /// The key that no configuration has or whose value has the wrong type, and what is wrong with it.
    pub(crate) fn overlaid(&self, table: &Table) -> std::result::Result<Self, (String, String)> {
        let written = |error: toml::ser::Error| (String::new(), error.to_string());
        let mut merged = Table::try_from(self).map_err(written)?;
        let has_sam = table.get("training").and_then(|training| training.get("sam")).is_some();
        if let Some(Value::Table(training)) = merged.get_mut("training").filter(|_| has_sam) {
            let sam = SamConfig { rho: 0.05, adaptive: false, m: None, bn_stats: BnStats::First };
            training.entry("sam").or_insert(Value::try_from(sam).map_err(written)?);
        }
        lay_over(&mut merged, table);
        serde_path_to_error::deserialize(Value::Table(merged)).map_err(|error| {
            // An element of a list is found by the key of the list.
            let path = error.path().to_string();
            let key = path.split('[').next().unwrap_or_default();
            (key.to_owned(), error.inner().message().to_owned())
        })
    }
}

/// The text of a configuration or a recipe.
///
/// # Errors
/// [`Error::Io`] if it is not a regular file of at most [`LIMIT`] bytes of UTF-8, or cannot be read.
pub(crate) fn read_text(path: &Path) -> Result<String> {
    files::read_text(path, LIMIT).map_err(failed("read", path))
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

/// The number of the line, from 1, in which a part of a text begins.
pub(crate) fn line_of(text: &str, span: &Range<usize>) -> usize {
    text.bytes().take(span.start).filter(|&byte| byte == b'\n').count() + 1
}
