//! Data sets, optimizers, training, measures and runs.

pub mod bench;
mod characters;
pub mod claims;
pub mod config;
pub mod data;
mod error;
pub mod figures;
mod instances;
pub mod measures;
pub mod optimizers;
mod report;
pub mod reproduce;
mod run;
pub mod seeds;
pub mod store;
pub mod sweep;
pub mod training;

pub use characters::is_unprintable;
pub use error::{Error, Result};
pub use report::{Completion, Report, Work, check_memory, complete_run, measure_run};
pub use run::{
    Run, RunOptions, TrainReport, Trained, last_step, network, next_weights, train_run, trained_examples,
};
pub use {sharpness_kernels as kernels, sharpness_network as network};
