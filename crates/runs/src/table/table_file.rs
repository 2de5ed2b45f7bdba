//! Reads exported tables.

use std::path::Path;

use bytes::Bytes;
use parquet::file::reader::{FileReader as _, SerializedFileReader};
use parquet::record::Field;
use serde_json::Value;

use sharpness_network::files;
use sharpness_training::ColumnType;

use super::Column;
use super::export::{RunTable, holds};
use crate::migrate::renamed_key;
use crate::{Error, Result};

/// The columns that every table of runs has.
const NEEDED: [&str; 6] = [
    "config.seed",
    "config.data.name",
    "config.model.arch",
    "config.training.learning_rate",
    "config.training.batch_size",
    "training.outcome",
];
/// The first bytes of a Parquet file.
const PARQUET: &[u8] = b"PAR1";
/// Larger files are not tables of runs.
const MOST_BYTES: u64 = 1 << 30;

impl RunTable {
    /// The table in a file written by `sharpness runs export` as CSV or Parquet. Missing columns are null and unknown
    /// ones are left out, since older versions wrote other columns.
    ///
    /// # Errors
    /// [`Error::Table`] if it is not such a table, with the row and the column; [`Error::Io`] if it cannot be read.
    pub fn read(path: &Path) -> Result<Self> {
        let (names, rows) = read(path).map_err(|error| error.of("runs", path))?;
        if let Some(missing) = NEEDED.iter().find(|needed| !names.iter().any(|name| name == *needed)) {
            let problem = format!("it has no column {missing}; `sharpness runs export` writes one");
            return Err(Unreadable::Table(problem).of("runs", path));
        }
        let names: Vec<String> = names.iter().map(|name| column_of_today(name)).collect();
        let rows = typed_rows(Self::columns(), &names, rows).map_err(|problem| problem.of("runs", path))?;
        Ok(Self { rows })
    }
}

/// Why a file is not a table.
pub(super) enum Unreadable {
    Io(std::io::Error),
    Table(String),
}

impl Unreadable {
    /// The error of reading `path` as a table of `things`.
    pub(super) fn of(self, things: &str, path: &Path) -> Error {
        match self {
            Self::Io(error) => Error::io("read", path)(error),
            Self::Table(problem) => {
                Error::Table(format!("{} is not a table of {things}: {problem}", path.display()))
            }
        }
    }
}

/// The names of the columns of a CSV or Parquet file, and its rows.
pub(super) fn read(path: &Path) -> std::result::Result<Rows, Unreadable> {
    let bytes = files::read(path, MOST_BYTES).map_err(Unreadable::Io)?;
    let rows = if bytes.starts_with(PARQUET) {
        parquet_rows(bytes).map_err(|error| error.to_string())
    } else {
        String::from_utf8(bytes).map_err(|error| error.to_string()).and_then(|text| csv_rows(&text))
    };
    rows.map_err(Unreadable::Table)
}

/// The cells of `rows`, whose columns are `names`, in the order and with the types of `columns`.
pub(super) fn typed_rows(
    columns: &[Column],
    names: &[String],
    rows: Vec<Vec<Value>>,
) -> std::result::Result<Vec<Vec<Value>>, Unreadable> {
    let places: Vec<Option<usize>> =
        columns.iter().map(|(column, _)| names.iter().position(|name| name == column)).collect();
    let cells = |(number, row): (usize, Vec<Value>)| {
        let cell = |((name, kind), place): (&Column, &Option<usize>)| {
            let cell = place.and_then(|place| row.get(place).cloned()).unwrap_or_default();
            let cell = typed(*kind, if name.starts_with("config.") { setting(cell) } else { cell });
            cell.map_err(|cell| Unreadable::Table(format!("row {}: {name} is {cell}", number + 1)))
        };
        columns.iter().zip(&places).map(cell).collect()
    };
    rows.into_iter().enumerate().map(cells).collect()
}

type Rows = (Vec<String>, Vec<Vec<Value>>);

fn csv_rows(text: &str) -> std::result::Result<Rows, String> {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let names = reader.headers().map_err(|error| error.to_string())?.iter().map(str::to_owned).collect();
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|error| error.to_string())?;
        let cell = |text: &str| if text.is_empty() { Value::Null } else { text.into() };
        rows.push(record.iter().map(cell).collect());
    }
    Ok((names, rows))
}

fn parquet_rows(bytes: Vec<u8>) -> parquet::errors::Result<Rows> {
    let file = SerializedFileReader::new(Bytes::from(bytes))?;
    let schema = file.metadata().file_metadata().schema();
    let names = schema.get_fields().iter().map(|field| field.name().to_owned()).collect();
    let mut rows = Vec::new();
    for row in file.get_row_iter(None)? {
        rows.push(row?.get_column_iter().map(|(_, field)| cell(field)).collect());
    }
    Ok((names, rows))
}

fn cell(field: &Field) -> Value {
    match field {
        Field::Bool(value) => (*value).into(),
        Field::Int(value) => (*value).into(),
        Field::Long(value) => (*value).into(),
        Field::Float(value) => (*value).into(),
        Field::Double(value) => (*value).into(),
        Field::Str(text) => text.as_str().into(),
        Field::Null => Value::Null,
        other => other.to_string().into(),
    }
}

/// A setting that may be a number or a word, such as the tolerance of a bound, is a number if it reads as one.
fn setting(cell: Value) -> Value {
    let number = cell.as_str().and_then(|text| text.parse::<f64>().ok()).filter(|number| number.is_finite());
    match number {
        // The digits of a whole number are kept for columns of integers.
        Some(number) if number.fract() != 0.0 => number.into(),
        _ => cell,
    }
}

/// A cell as a value of this type, or the cell itself if it is not one. Text columns may hold any type.
fn typed(kind: ColumnType, cell: Value) -> std::result::Result<Value, Value> {
    let Value::String(text) = &cell else {
        return if holds(kind, &cell) { Ok(cell) } else { Err(cell) };
    };
    let parsed = match kind {
        ColumnType::Text => return Ok(cell),
        ColumnType::Integer => text.parse::<i64>().ok().map(Value::from),
        // JSON has no numbers that are not finite.
        ColumnType::Double => text.parse::<f64>().ok().map(Value::from),
        ColumnType::Boolean => text.to_ascii_lowercase().parse::<bool>().ok().map(Value::from),
    };
    parsed.ok_or(cell)
}

/// The current name of a column of an older version.
fn column_of_today(name: &str) -> String {
    const MEASURES: [(&str, &str); 2] =
        [("measure.trace", "measure.trace.probes"), ("measure.sam_bound", "measure.sam_bound.rho")];
    let Some(key) = name.strip_prefix("config.") else { return name.to_owned() };
    let measure = MEASURES.iter().find(|(old, _)| *old == key);
    let key = measure.map_or_else(|| renamed_key(key), |(_, today)| (*today).to_owned());
    format!("config.{key}")
}
