//! Runs as a table: one row for each, one column for each setting and number.

mod export;
mod parquet_file;
mod table_file;

pub use export::RunTable;
