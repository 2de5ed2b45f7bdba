//! Runs as a table: one row per run, one column per setting and result.

mod export;
mod parquet_file;
mod reports;
mod table_file;

pub use export::RunTable;
