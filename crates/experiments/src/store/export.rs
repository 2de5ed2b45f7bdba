//! Runs as a table: one row for each, one column for each number and setting.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::config::identity::flatten;
use crate::{Error, Report, Result};

/// Reports as rows of cells.
#[derive(Clone, Debug, PartialEq)]
pub struct RunTable {
    /// The names of the columns: keys of the report such as `config.training.learning_rate` or `measurement.lambda_max.value`.
    pub columns: Vec<String>,
    /// For each run a cell for each column; null where the run has no such value. Lists are JSON.
    pub rows: Vec<Vec<Value>>,
}

impl RunTable {
    /// The table of some reports.
    ///
    /// # Errors
    /// [`Error::Config`] if a report cannot be written as JSON.
    pub fn new(reports: &[Report]) -> Result<Self> {
        let mut cells: Vec<BTreeMap<String, Value>> = Vec::new();
        for report in reports {
            let value = serde_json::to_value(report)
                .map_err(|e| Error::Config { key: "the report".to_owned(), problem: e.to_string() })?;
            let mut leaves = BTreeMap::new();
            flatten("", &value, &mut leaves);
            cells.push(leaves);
        }
        let columns: BTreeSet<&String> = cells.iter().flat_map(BTreeMap::keys).collect();
        let mut columns: Vec<String> = columns.into_iter().cloned().collect();
        // The name of the run comes first.
        columns.sort_by_key(|column| column != "id");
        let cell =
            |cells: &BTreeMap<String, Value>, column: &String| cells.get(column).cloned().unwrap_or_default();
        let rows = cells.iter().map(|cells| columns.iter().map(|column| cell(cells, column)).collect());
        Ok(Self { rows: rows.collect(), columns })
    }
}
