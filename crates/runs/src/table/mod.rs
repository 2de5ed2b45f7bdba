//! Runs and epochs as tables.

mod epochs;
mod export;
mod parquet_file;
mod reports;
mod table_file;

pub use epochs::EpochTable;
pub use export::RunTable;

use sharpness_training::ColumnType;

/// The name of a column and the type of its cells.
pub type Column = (String, ColumnType);
