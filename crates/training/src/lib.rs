//! Trains networks and measures the curvature of their loss. Writes no files and prints nothing.
//!
//! | module | subject |
//! | --- | --- |
//! | `settings/` | every choice that a run depends on |
//! | `flags.rs`, `overlay.rs`, `validation.rs` | flags and keys of all settings; overlaying them; valid combinations |
//! | `engine.rs` | the one place that picks a backend and a precision |
//! | `optimizers/` | optimizers, schedules, SAM |
//! | `measures/` | λ_max and the other measures |
//! | `landscape/` | the loss around weights and between two of them |
//! | `trainer.rs`, `step.rs` | the loop over epochs and steps |
//! | `memory/`, `training_bytes.rs` | the bound on memory, and how much each task takes |
//! | `progress.rs`, `observer.rs` | progress, and its observers |
//! | `bench.rs` | the time of a step, an epoch, a product and a measurement |
//!
//! The settings say which backend and precision a network runs on, so work with it is a [`Visitor`] that is generic over the backend:
//!
//! ```
//! use sharpness_data::{Dataset, DatasetName, Locations, Standardized};
//! use sharpness_network::architectures::Architecture;
//! use sharpness_network::backend::Backend;
//! use sharpness_training::settings::RunConfig;
//! use sharpness_training::{Budget, Engine, Job, Outcome, Result, TrainState, Visitor, trained_examples, with_engine};
//!
//! struct Train<'a>(&'a RunConfig, &'a Standardized);
//!
//! impl Visitor for Train<'_> {
//!     type Output = Result<(Outcome, TrainState)>;
//!     fn visit<B: Backend>(self, engine: &Engine<B>) -> Self::Output {
//!         let Self(config, data) = self;
//!         let trained = trained_examples(config, data.dataset())?;
//!         let job = Job { config, engine, data, trained: &trained, budget: Budget::of_process(None) };
//!         // No journal and no observer.
//!         job.train(job.initial_state(), &mut (), &mut ())
//!     }
//! }
//!
//! let mut config = RunConfig::new(DatasetName::Digits, Architecture::Mlp);
//! (config.training.learning_rate, config.training.max_epochs) = (0.1, 3);
//! let digits = Dataset::load(config.data.name, &Locations::default())?;
//! let data = Standardized::new(digits, config.data.standardize);
//! let (outcome, state) = with_engine(&config, Train(&config, &data))??;
//! assert_eq!(outcome, Outcome::MaxEpochs);
//! let metrics = state.progress.last_epoch.expect("three epochs have ended");
//! assert!(metrics.test_accuracy > Some(0.8));
//! # Ok::<(), sharpness_training::Error>(())
//! ```

pub mod bench;
mod columns;
mod engine;
mod error;
mod evaluation;
mod examples;
pub mod flags;
mod instances;
pub mod landscape;
pub mod measures;
mod memory;
pub mod number;
mod observer;
pub mod optimizers;
mod overlay;
mod pattern;
mod progress;
mod range;
pub mod seeds;
pub mod settings;
mod step;
mod tagged;
mod trainer;
mod training_bytes;
mod validation;
mod work;

pub use columns::ColumnType;
pub use engine::{Engine, Visitor, with_engine, with_shared_engine};
pub use error::{Error, Result};
pub use evaluation::evaluate;
pub use examples::{check_data, trained_examples};
pub use memory::{Budget, peak_bytes};
pub use observer::{Observer, Watch, Watcher};
pub use progress::{
    EpochMetrics, MeasureProgress, Memory, Outcome, Phase, Progress, StepReport, TrackedLambdaMax, TrainState,
};
pub use step::{Moment, Optimizer};
pub use tagged::{Kind, Tagged};
pub use trainer::{Job, Journal};
pub use training_bytes::training_bytes;
pub use work::{Work, beside_weights, check_memory, predicted_bytes};
