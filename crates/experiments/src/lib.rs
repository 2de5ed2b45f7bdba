//! Data sets, optimizers, training, measures and runs.

pub mod config;
pub mod data;
mod error;
pub mod measures;

pub use error::{Error, Result};
