//! Runs as a table: one row per run, one column per setting and result.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde_json::Value;

use sharpness_training::ColumnType::{self, Boolean, Double, Integer, Text};
use sharpness_training::flags;
use sharpness_training::measures::Measurement;

use super::Column;
use super::parquet_file;
use crate::identity::{flatten, leaves};
use crate::provenance::Start;
use crate::report::Report;
use crate::{Error, Result};

/// Reports as rows of cells, under [`Self::columns`] whatever the reports hold.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RunTable {
    /// For each run a cell for each column; null if the run has no such value. Lists are lists.
    pub rows: Vec<Vec<Value>>,
}

impl RunTable {
    /// The names of all columns, each the key of a value in a report, and their types.
    pub fn columns() -> &'static [Column] {
        static COLUMNS: LazyLock<Vec<Column>> = LazyLock::new(RunTable::list_columns);
        &COLUMNS
    }

    fn list_columns() -> Vec<Column> {
        let mut columns = plain(&[("id", Text), ("training_id", Text)]);
        let keys = flags::keys();
        // A measure with settings is its settings.
        let is_table = |key: &str| keys.keys().any(|other| other.starts_with(&format!("{key}.")));
        let settings = keys.iter().filter(|(key, _)| !is_table(key));
        columns.extend(settings.map(|(key, kind)| (format!("config.{key}"), *kind)));
        columns.extend(plain(TRAINING));
        let of_measurement = |(name, kind)| (format!("measurement.{name}"), kind);
        columns.extend(Measurement::columns().into_iter().map(of_measurement));
        columns.extend(plain(PROVENANCE));
        columns
    }

    /// The table of some reports, without provenance.
    ///
    /// # Errors
    /// As [`Self::push`].
    pub fn new(reports: &[Report]) -> Result<Self> {
        let mut table = Self::default();
        reports.iter().try_for_each(|report| table.push(report, None))?;
        Ok(table)
    }

    /// Appends the row of a report, with the last process that worked on its run if it is known.
    ///
    /// # Errors
    /// [`Error::Table`] if the report has a value that no column can hold; the table is then unchanged.
    pub fn push(&mut self, report: &Report, last: Option<&Start>) -> Result<()> {
        self.rows.push(row(report, last)?);
        Ok(())
    }

    /// The content of a Parquet file: nullable columns of the types that [`Self::columns`] states. Lists are JSON in text columns.
    ///
    /// # Errors
    /// [`Error::Table`] if it cannot be written.
    pub fn parquet(&self) -> Result<Vec<u8>> {
        parquet_file::parquet("runs", Self::columns(), &self.rows)
    }
}

/// Columns with these names.
pub(super) fn plain(list: &[(&str, ColumnType)]) -> Vec<Column> {
    list.iter().map(|(name, kind)| ((*name).to_owned(), *kind)).collect()
}

/// The columns of a training.
const TRAINING: &[(&str, ColumnType)] = &[
    ("training.outcome", Text),
    ("training.epochs", Integer),
    ("training.steps", Integer),
    ("training.train_accuracy", Double),
    ("training.train_loss", Double),
    ("training.test_accuracy", Double),
    ("training.test_loss", Double),
    ("training.last_batch_loss", Double),
    ("training.seconds", Double),
    ("training.parameters", Integer),
    ("training.train_examples", Integer),
    ("training.test_examples", Integer),
    ("training.lambda_max", Text),
];

/// The columns of the last process that worked on a run.
const PROVENANCE: &[(&str, ColumnType)] = &[
    ("provenance.version", Text),
    ("provenance.commit", Text),
    ("provenance.command", Text),
    ("provenance.host", Text),
    ("provenance.processor", Text),
    ("provenance.instruction_set", Text),
    ("provenance.threads", Integer),
    ("provenance.ranks", Integer),
    ("provenance.backend", Text),
    ("provenance.time", Integer),
];

fn row(report: &Report, last: Option<&Start>) -> Result<Vec<Value>> {
    let unwritable = |error: serde_json::Error| Error::Table(error.to_string());
    let value = serde_json::to_value(report).map_err(unwritable)?;
    let mut cells = BTreeMap::new();
    flatten("", &value, &mut cells);
    if let Some(last) = last {
        flatten("provenance", &serde_json::to_value(last).map_err(unwritable)?, &mut cells);
    }
    // Settings as they take effect.
    cells.retain(|key, _| !key.starts_with("config."));
    // Times are no results; those of the whole are in `seconds`.
    cells.retain(|key, _| !key.starts_with("measurement.costs."));
    cells.extend(leaves(&report.config)?.into_iter().map(|(key, cell)| (format!("config.{key}"), cell)));
    // A null stands for a value or for a whole table; the cells are null in both cases.
    cells.retain(|_, cell| !cell.is_null());
    let mut row = Vec::new();
    for (name, kind) in RunTable::columns() {
        let cell = cells.remove(name).unwrap_or_default();
        if !holds(*kind, &cell) {
            return Err(Error::Table(format!(
                "cannot write the table: {name} is {cell}, which its column cannot hold"
            )));
        }
        row.push(cell);
    }
    match cells.first_key_value() {
        None => Ok(row),
        Some((name, _)) => Err(Error::Table(format!("cannot write the table: it has no column for {name}"))),
    }
}

/// Whether a column may hold a cell.
pub(super) fn holds(kind: ColumnType, cell: &Value) -> bool {
    cell.is_null()
        || match kind {
            Integer => cell.is_i64(),
            Double => cell.is_number(),
            Boolean => cell.is_boolean(),
            // A setting that may be a number or a word.
            Text => cell.is_string() || cell.is_array() || cell.is_number(),
        }
}
