//! Draws conclusions from runs: figures, findings and verdicts. Reads runs and never writes one.

pub mod claims;
mod error;
pub mod figures;
pub mod page;

pub use error::{Error, Result};
