//! Data sets, optimizers, training, measures and runs.

pub mod data;
mod error;

pub use error::{Error, Result};
