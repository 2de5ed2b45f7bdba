//! The epochs of runs as a table: one row per epoch of a training.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::LazyLock;

use serde_json::{Map, Value};

use sharpness_training::ColumnType::{self, Double, Integer, Text};
use sharpness_training::EpochMetrics;

use super::Column;
use super::export::plain;
use super::parquet_file;
use super::table_file::{Unreadable, read, typed_rows};
use crate::{Error, Result};

/// The columns: the name of the training, and the fields of [`EpochMetrics`] without λ_max, which is a column of the table of runs.
const COLUMNS: &[(&str, ColumnType)] = &[
    ("training_id", Text),
    ("epoch", Integer),
    ("steps", Integer),
    ("batch_loss", Double),
    ("batch_accuracy", Double),
    ("train_loss", Double),
    ("train_accuracy", Double),
    ("test_loss", Double),
    ("test_accuracy", Double),
];

/// The epochs of some trainings as rows of cells, under [`Self::columns`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EpochTable {
    /// For each epoch a cell for each column; null if the epoch has no such value.
    pub rows: Vec<Vec<Value>>,
}

impl EpochTable {
    /// The names of all columns, and their types.
    pub fn columns() -> &'static [Column] {
        static NAMED: LazyLock<Vec<Column>> = LazyLock::new(|| plain(COLUMNS));
        &NAMED
    }

    /// Appends the epochs of a training.
    ///
    /// # Errors
    /// [`Error::Table`] if one has a value that is not finite.
    pub fn push(&mut self, training_id: &str, epochs: &[EpochMetrics]) -> Result<()> {
        for epoch in epochs {
            let value = serde_json::to_value(epoch).map_err(|error| Error::Table(error.to_string()))?;
            let cell = |(name, _): &(&str, ColumnType)| match *name {
                "training_id" => training_id.into(),
                name => value.get(name).cloned().unwrap_or_default(),
            };
            self.rows.push(COLUMNS.iter().map(cell).collect());
        }
        Ok(())
    }

    /// The content of a Parquet file.
    ///
    /// # Errors
    /// [`Error::Table`] if it cannot be written.
    pub fn parquet(&self) -> Result<Vec<u8>> {
        parquet_file::parquet("epochs", Self::columns(), &self.rows)
    }

    /// The table in a file written by `sharpness runs export --epochs` as CSV or Parquet.
    ///
    /// # Errors
    /// [`Error::Table`] if it is not such a table, with the row and the column; [`Error::Io`] if it cannot be read.
    pub fn read(path: &Path) -> Result<Self> {
        let wrong = |error: Unreadable| error.of("epochs", path);
        let (names, rows) = read(path).map_err(wrong)?;
        let needed = ["training_id", "epoch", "steps", "train_loss", "train_accuracy"];
        if let Some(missing) = needed.iter().find(|needed| !names.iter().any(|name| name == *needed)) {
            let problem = format!("it has no column {missing}; `sharpness runs export --epochs` writes one");
            return Err(wrong(Unreadable::Table(problem)));
        }
        Ok(Self { rows: typed_rows(Self::columns(), &names, rows).map_err(wrong)? })
    }

    /// The epochs of each training, in the order of their rows.
    ///
    /// # Errors
    /// [`Error::Table`] with the row that is not that of an epoch.
    pub fn epochs(&self) -> Result<BTreeMap<String, Vec<EpochMetrics>>> {
        let mut trainings: BTreeMap<String, Vec<EpochMetrics>> = BTreeMap::new();
        for (number, row) in self.rows.iter().enumerate() {
            let known = COLUMNS.iter().zip(row).filter(|(_, cell)| !cell.is_null());
            let mut fields: Map<String, Value> =
                known.map(|((name, _), cell)| ((*name).to_owned(), cell.clone())).collect();
            let id = fields.remove("training_id");
            let id = id.as_ref().and_then(Value::as_str).unwrap_or_default().to_owned();
            let metrics = serde_json::from_value(Value::Object(fields)).map_err(|error| {
                Error::Table(format!("row {} is not that of an epoch: {error}", number + 1))
            })?;
            trainings.entry(id).or_default().push(metrics);
        }
        Ok(trainings)
    }
}
