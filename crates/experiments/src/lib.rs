//! Data sets, optimizers, training, measures and runs.

pub mod bench;
pub mod config;
pub mod data;
mod error;
pub mod measures;
pub mod optimizers;
mod run;
pub mod seeds;
pub mod store;
pub mod training;

pub use error::{Error, Result};
pub use run::{Run, RunOptions, TrainReport, Trained, network, next_weights, train_run, trained_examples};
pub use sharpness_network as network;
