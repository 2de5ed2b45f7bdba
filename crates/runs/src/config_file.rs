//! A run's configuration in TOML: the file of `--config`, and `config.toml` in a run's directory.
//!
//! A file may omit any key, which then keeps its default. Errors name the file, the line and the key.

use std::ops::Range;
use std::path::{Path, PathBuf};

use sharpness_network::files;
use sharpness_training::settings::RunConfig;
use toml::Table;
use toml::de::{DeTable, DeValue};

use crate::migrate;
use crate::{Error, Result};

/// The size of the largest configuration or recipe, in bytes.
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
        let mut file = Self::parse_raw(path, text)?;
        // A run's own config.toml states it.
        file.table.remove(migrate::SCHEMA_KEY);
        Ok(Self { table: migrate::renamed_keys(file.table), ..file })
    }

    /// As [`Self::parse`], with the keys as they are written.
    ///
    /// # Errors
    /// As there.
    pub(crate) fn parse_raw(path: &Path, text: String) -> Result<Self> {
        match text.parse() {
            Ok(table) => Ok(Self { path: path.to_owned(), text, table }),
            Err(error) => {
                let line = error.span().map_or(1, |span| line_of(&text, &span));
                let problem = format!("invalid TOML: {}", error.message());
                Err(Error::File { file: path.to_owned(), line, problem })
            }
        }
    }

    /// The `config.toml` of a run, possibly written by an older version.
    ///
    /// # Errors
    /// As [`Self::parse`].
    pub(crate) fn stored(path: &Path, text: String) -> Result<Self> {
        let file = Self::parse_raw(path, text)?;
        let (table, _) = migrate::stored_settings(file.table);
        Ok(Self { table, ..file })
    }

    /// The content of the file.
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

    /// The configuration `base`, overlaid with the file.
    ///
    /// # Errors
    /// [`Error::File`] for an unknown key, or a value of the wrong type.
    pub fn over(&self, base: &RunConfig) -> Result<RunConfig> {
        base.overlaid(&self.table).map_err(|(key, problem)| {
            let line = self.span(&key).map_or(1, |span| line_of(&self.text, &span));
            Error::File { file: self.path.clone(), line, problem: format!("key {key}: {problem}") }
        })
    }

    /// The file and the line of a key such as `training.batch_size`, if the file has it.
    pub fn place(&self, key: &str) -> Option<String> {
        let span = self.has(key).then(|| self.span(key))??;
        Some(format!("{}, line {}", self.path.display(), line_of(&self.text, &span)))
    }

    /// The span of a key in the text, under its current name or an older one; that of its innermost table if the text has only
    /// that.
    fn span(&self, key: &str) -> Option<Range<usize>> {
        let document = DeTable::parse(&self.text).ok()?;
        let (span, is_whole) = innermost(document.get_ref(), key);
        let old = || innermost(document.get_ref(), &migrate::old_key(key)?).0;
        if is_whole { span } else { old().or(span) }
    }
}

/// The span of a key, or of the innermost of its tables that exists, and whether it is that of the key itself.
fn innermost(mut table: &DeTable<'_>, key: &str) -> (Option<Range<usize>>, bool) {
    let mut span = None;
    let mut names = key.split('.').peekable();
    while let Some(name) = names.next() {
        let Some((found, value)) = table.get_key_value(name) else { return (span, false) };
        span = Some(found.span());
        match value.get_ref() {
            DeValue::Table(inner) => table = inner,
            _ => return (span, names.peek().is_none()),
        }
    }
    (span, true)
}

/// The text of a configuration or a recipe.
///
/// # Errors
/// [`Error::Io`] if it is not a regular file of at most `LIMIT` bytes of UTF-8, or cannot be read.
pub fn read_text(path: &Path) -> Result<String> {
    files::read_text(path, LIMIT).map_err(Error::io("read", path))
}

/// The number of the line, from 1, where a part of a text begins.
pub fn line_of(text: &str, span: &Range<usize>) -> usize {
    text.bytes().take(span.start).filter(|&byte| byte == b'\n').count() + 1
}
