//! Reports from the rows of a table.

use serde_json::{Map, Value};

use sharpness_training::ColumnType;

use super::Column;
use super::export::RunTable;
use crate::provenance::Start;
use crate::report::Report;
use crate::{Error, Result};

impl RunTable {
    /// The report of each row. What has no column, such as the costs of measures, is empty.
    ///
    /// # Errors
    /// [`Error::Table`] with the name of the run whose cells are not those of a report of this version.
    pub fn reports(&self) -> Result<Vec<Report>> {
        let columns = Self::columns();
        self.rows.iter().map(|row| report(columns, row)).collect()
    }

    /// The last process that worked on the run of each row; none if the table does not tell.
    pub fn starts(&self) -> Vec<Option<Start>> {
        self.rows.iter().map(|row| start(Self::columns(), row)).collect()
    }
}

fn start(columns: &[Column], row: &[Value]) -> Option<Start> {
    let known = columns.iter().zip(row).filter(|(_, cell)| !cell.is_null());
    let fields: Map<String, Value> = known
        .filter_map(|((name, kind), cell)| {
            Some((name.strip_prefix("provenance.")?.to_owned(), value(name, *kind, cell)))
        })
        .collect();
    serde_json::from_value(Value::Object(fields)).ok()
}

fn report(columns: &[Column], row: &[Value]) -> Result<Report> {
    let mut fields = Map::new();
    let known = columns.iter().zip(row).filter(|(_, cell)| !cell.is_null());
    for ((name, kind), cell) in known.filter(|((name, _), _)| !name.starts_with("provenance.")) {
        let keys: Vec<&str> = name.split('.').collect();
        insert(&mut fields, &keys, value(name, *kind, cell));
    }
    // A run that was not measured has no cells of a measurement.
    fields.entry("measurement").or_insert(Value::Null);
    let id = fields.get("id").and_then(Value::as_str).unwrap_or("without a name").to_owned();
    serde_json::from_value(Value::Object(fields)).map_err(|error| {
        Error::Table(format!("the row of run {id} is not a report of this version: {error}"))
    })
}

/// Sets the value at the end of a path of keys.
fn insert(fields: &mut Map<String, Value>, keys: &[&str], value: Value) {
    match keys {
        [] => {}
        [last] => _ = fields.insert((*last).to_owned(), value),
        [first, rest @ ..] => {
            let inner = fields.entry(*first).or_insert_with(|| Map::new().into());
            if let Value::Object(inner) = inner {
                insert(inner, rest, value);
            }
        }
    }
}

/// A cell as the value it was written from: lists and numbers among words are text in files.
fn value(name: &str, kind: ColumnType, cell: &Value) -> Value {
    let text = cell.as_str().filter(|_| kind == ColumnType::Text && name != "id" && name != "training_id");
    let parsed = text.and_then(|text| serde_json::from_str::<Value>(text).ok());
    parsed.filter(|value| value.is_array() || value.is_number()).unwrap_or_else(|| cell.clone())
}
