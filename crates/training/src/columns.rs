//! The types of columns of a table of runs.

/// The type of a column. Every column but the name of the run may hold nulls.
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
