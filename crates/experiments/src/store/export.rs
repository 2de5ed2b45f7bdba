//! Runs as a table: one row for each, one column for each setting and number.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::config::identity::{flatten, lettered_id};
use crate::{Error, Report, Result};

/// The type of a column. Every column but the name of the run may have nulls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnType {
    /// Whole numbers of 64 bits.
    Integer,
    /// Numbers in double precision.
    Double,
    /// True or false.
    Boolean,
    /// Text; lists are JSON.
    Text,
}

use ColumnType::{Boolean, Double, Integer, Text};

/// Reports as rows of cells, under [`Self::COLUMNS`] whatever the reports hold.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RunTable {
    /// For each run a cell for each column; null if the run has no such value. Lists are lists.
    pub rows: Vec<Vec<Value>>,
}

impl RunTable {
    /// The names of all columns, each the key of a value in a report, and their types.
    pub const COLUMNS: &[(&str, ColumnType)] = &[
        ("id", Text),
        ("config.seed", Integer),
        ("config.precision", Text),
        ("config.convolution", Text),
        ("config.data.name", Text),
        ("config.data.standardize", Text),
        ("config.data.train_examples", Integer),
        ("config.data.seed", Integer),
        ("config.model.arch", Text),
        ("config.model.activation", Text),
        ("config.model.hidden", Text),
        ("config.model.dropout", Double),
        ("config.model.width_divisor", Integer),
        ("config.training.loss", Text),
        ("config.training.learning_rate", Double),
        ("config.training.batch_size", Integer),
        ("config.training.micro_batch_size", Integer),
        ("config.training.momentum", Double),
        ("config.training.nesterov", Boolean),
        ("config.training.weight_decay", Double),
        ("config.training.sam.rho", Double),
        ("config.training.sam.adaptive", Boolean),
        ("config.training.sam.m", Integer),
        ("config.training.sam.bn_stats", Text),
        ("config.training.target_accuracy", Double),
        ("config.training.max_epochs", Integer),
        ("config.measure.examples", Integer),
        ("config.measure.subset", Text),
        ("config.measure.bn", Text),
        ("config.measure.chunk", Integer),
        ("config.measure.top_k", Integer),
        ("config.measure.lambda_min", Boolean),
        ("config.measure.between_iterates", Boolean),
        ("config.measure.rtol", Double),
        ("config.measure.bound_rtol", Double),
        ("config.measure.max_products", Integer),
        ("config.measure.trace", Integer),
        ("config.measure.sam_bound", Double),
        ("config.measure.through_training", Double),
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
        ("measurement.loss", Double),
        ("measurement.accuracy", Double),
        ("measurement.gradient_norm", Double),
        ("measurement.examples", Integer),
        ("measurement.subset", Text),
        ("measurement.batch_norm", Text),
        ("measurement.batch_norm_chunk", Integer),
        ("measurement.precision", Text),
        ("measurement.parameters", Integer),
        ("measurement.lambda_max.value", Double),
        ("measurement.lambda_max.residual", Double),
        ("measurement.lambda_max.lower", Double),
        ("measurement.lambda_max.lower_failure_probability", Double),
        ("measurement.lambda_max.upper", Double),
        ("measurement.lambda_max.upper_failure_probability", Double),
        ("measurement.lambda_max.interval", Text),
        ("measurement.lambda_max.products", Integer),
        ("measurement.lambda_max.converged", Boolean),
        ("measurement.lambda_max.certified", Boolean),
        ("measurement.top", Text),
        ("measurement.lambda_min.value", Double),
        ("measurement.lambda_min.residual", Double),
        ("measurement.lambda_min.lower", Double),
        ("measurement.lambda_min.lower_failure_probability", Double),
        ("measurement.lambda_min.upper", Double),
        ("measurement.lambda_min.upper_failure_probability", Double),
        ("measurement.lambda_min.interval", Text),
        ("measurement.lambda_min.products", Integer),
        ("measurement.lambda_min.converged", Boolean),
        ("measurement.lambda_min.certified", Boolean),
        ("measurement.trace.value", Double),
        ("measurement.trace.standard_error", Double),
        ("measurement.trace.probes", Integer),
        ("measurement.sam_bound.rho", Double),
        ("measurement.sam_bound.maximum", Double),
        ("measurement.sam_bound.bound", Double),
        ("measurement.sam_bound.refuted", Boolean),
        ("measurement.sam_bound.tightness", Double),
        ("measurement.sam_bound.gradients", Integer),
        ("measurement.between_iterates.points", Text),
        ("measurement.between_iterates.maximum", Double),
        ("measurement.between_iterates.at", Double),
        ("measurement.chunks", Integer),
        ("measurement.cached_chunks", Integer),
        ("measurement.memory.predicted_bytes", Integer),
        ("measurement.memory.operator_bytes", Integer),
        ("measurement.memory.solver_bytes", Integer),
        ("measurement.seconds", Double),
    ];

    /// The table of some reports.
    ///
    /// # Errors
    /// As [`Self::push`].
    pub fn new(reports: &[Report]) -> Result<Self> {
        let mut table = Self::default();
        reports.iter().try_for_each(|report| table.push(report))?;
        Ok(table)
    }

    /// Appends the row of a report. A run of an old store gets the letter that names begin with today.
    ///
    /// # Errors
    /// [`Error::Table`] if the report has a value that no column can hold; the table is as it was then.
    pub fn push(&mut self, report: &Report) -> Result<()> {
        self.rows.push(row(report)?);
        Ok(())
    }
}

fn row(report: &Report) -> Result<Vec<Value>> {
    let report = Report { id: lettered_id(&report.id), ..report.clone() };
    let value = serde_json::to_value(report).map_err(|error| Error::Table(error.to_string()))?;
    let mut cells = BTreeMap::new();
    flatten("", &value, &mut cells);
    // A null stands for one value or for a whole table of them: in both cases the cells are null.
    cells.retain(|_, cell| !cell.is_null());
    let mut row = Vec::new();
    for (name, kind) in RunTable::COLUMNS {
        let cell = cells.remove(*name).unwrap_or_default();
        if !kind.holds(&cell) {
            return Err(Error::Table(format!("{name} is {cell}, which its column cannot hold")));
        }
        row.push(cell);
    }
    match cells.first_key_value() {
        None => Ok(row),
        Some((name, _)) => Err(Error::Table(format!("it has no column for {name}"))),
    }
}

impl ColumnType {
    pub(super) fn holds(self, cell: &Value) -> bool {
        cell.is_null()
            || match self {
                Integer => cell.is_i64(),
                Double => cell.is_number(),
                Boolean => cell.is_boolean(),
                Text => cell.is_string() || cell.is_array(),
            }
    }
}
