//! Data sets, optimizers, training, measures and runs.

pub mod config;
pub mod data;
mod error;

pub use error::{Error, Result};
