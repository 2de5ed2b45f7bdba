//! All rows of the page's table, as one JSON document.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use sharpness_runs::{Plan, RunStore};

use super::row::Row;

/// The trainings of a store, and those that recipes still need.
#[derive(Clone, Debug, Default)]
pub struct Board {
    /// The rows, in the order of their names.
    pub rows: BTreeMap<String, Row>,
    /// Settings that rows are compared with: those of the first training that had any.
    base: BTreeMap<String, Value>,
}

impl Board {
    /// Reads a whole store.
    ///
    /// # Errors
    /// [`sharpness_runs::Error::Io`] if its directory cannot be read.
    pub fn read(store: &RunStore, plans: &[Plan]) -> crate::Result<Self> {
        let mut board = Self::default();
        for id in store.trainings()? {
            let mut row = Row::read(store, &id);
            row.set_updated(store.stamp(&id).latest());
            board.insert(row);
        }
        board.add_planned(plans);
        board.finish();
        Ok(board)
    }

    /// Adds or replaces a row.
    pub fn insert(&mut self, row: Row) {
        if self.base.is_empty() {
            self.base = row.settings.clone();
        }
        self.rows.insert(row.id.clone(), row);
    }

    /// Adds the trainings of recipes that have not started, and names them.
    pub fn add_planned(&mut self, plans: &[Plan]) -> Vec<String> {
        let mut added = Vec::new();
        for run in plans.iter().flat_map(Plan::distinct) {
            let id = &run.identity.training;
            if !self.rows.contains_key(id) {
                self.insert(Row::to_do(id.clone(), &run.config));
                added.push(id.clone());
            }
        }
        added
    }

    /// Estimates times left. Call it after rows have changed.
    pub fn finish(&mut self) {
        let running: Vec<String> =
            self.rows.values().filter(|row| row.seconds_left.is_some()).map(|row| row.id.clone()).collect();
        for id in running {
            let Some(mut row) = self.rows.remove(&id) else { continue };
            row.estimate_time_left(self.rows.values());
            self.rows.insert(id, row);
        }
    }

    /// The settings that rows are compared with.
    pub fn base(&self) -> &BTreeMap<String, Value> {
        &self.base
    }

    /// A row as JSON: its settings are those that differ from [`Self::base`].
    pub fn row_json(&self, row: &Row) -> Value {
        row.json(&self.base)
    }

    /// The document, with those rows that `is_wanted` selects.
    pub fn json(&self, is_wanted: impl Fn(&Row) -> bool) -> Value {
        let rows: Vec<Value> =
            self.rows.values().filter(|row| is_wanted(row)).map(|row| self.row_json(row)).collect();
        json!({ "base": self.base, "rows": rows })
    }
}
