//! Training runs on disk: the directory of a run, stores of many runs, recipes, and sweeps that execute them.
//!
//! | module | subject |
//! | --- | --- |
//! | `layout.rs`, `atomic.rs`, `damage.rs` | all paths; files that are replaced whole, locks, and damaged files |
//! | `identity/` | the names of trainings and measurements |
//! | `config_file.rs`, `migrate.rs` | settings in TOML, including those of older versions |
//! | `report.rs`, `provenance.rs` | the results of a run, and the processes that produced it |
//! | `store/` | the directory of a run, and stores of many |
//! | `run.rs` | a run from its settings to its report |
//! | `table/` | runs as a table |
//! | `points.rs` | the journal of a computation at many points |
//! | `recipes/` | files that list runs |
//! | `trackers/` | showing runs in TensorBoard and MLflow |
//! | `sweep/` | executing the runs of a recipe |
//! | `launch/`, `shell.rs` | handing them to a scheduler |
//!
//! [`complete_run`] trains and measures what is not in the run's directory yet:
//!
//! ```
//! use sharpness_data::{Dataset, DatasetName, Locations, Standardized};
//! use sharpness_network::architectures::Architecture;
//! use sharpness_runs::{Completion, Existing, Identity, RunOptions, complete_run};
//! use sharpness_training::settings::RunConfig;
//!
//! let mut config = RunConfig::new(DatasetName::Digits, Architecture::Mlp);
//! (config.model.hidden, config.training.max_epochs, config.measure.examples) = (vec![16], 2, 200);
//! let digits = Dataset::load(config.data.name, &Locations::default())?;
//! let data = Standardized::new(digits, config.data.standardize);
//!
//! let store = tempfile::tempdir().expect("a temporary directory");
//! let out = store.path().join(Identity::of(&config)?.training);
//! let options = RunOptions { out: Some(out), existing: Existing::Resume, ..RunOptions::default() };
//! let Completion::Made(made) = complete_run(&config, &data, &options, true, &mut ())? else {
//!     panic!("nothing was there, and nothing interrupts it");
//! };
//! let Completion::Known(known) = complete_run(&config, &data, &options, true, &mut ())? else {
//!     panic!("the run is done");
//! };
//! let lambda_max = made.measurement.expect("it was measured").lambda_max.value;
//! assert!(lambda_max > 0.0 && known.measurement.expect("it was read").lambda_max.value == lambda_max);
//! # Ok::<(), sharpness_runs::Error>(())
//! ```

mod atomic;
mod characters;
mod config_file;
mod damage;
mod error;
mod filter;
mod from_first;
mod identity;
mod json;
mod launch;
mod layout;
mod migrate;
mod points;
mod provenance;
mod recipes;
mod report;
mod run;
mod shell;
mod store;
mod sweep;
mod table;
mod trackers;

pub use atomic::replace as write_file;
pub use characters::is_unprintable;
pub use config_file::{ConfigFile, line_of, read_text};
pub use damage::Damage;
pub use error::{Error, Result};
pub use filter::Filter;
pub use identity::{Identity, add_left_out, differences, flatten, leaves};
pub use launch::{
    AfterStop, Attempt, AttemptEnd, Cluster, Commands, Installed, JobEnd, JobState, LastTask, Launch,
    LaunchTask, Launcher, LocalLaunch, Overview, Program, QueuedTask, Reason, ReasonKind, Script, Slurm,
    Submission, Submitted, TaskPhase, TaskStatus, unmade_tasks,
};
pub use layout::{LaunchLayout, RunLayout};
pub use migrate::renamed_key;
pub use points::PointJournal;
pub use provenance::{Provenance, Start, set_command_line, set_ranks};
pub use recipes::{
    FIGURES, FigureKind, FigureSpec, LEARNING_RATE, PaperFigure, Plan, PlannedBlock, PlannedRun,
    PublishedLine, Resources, Scale,
};
pub use report::{Report, TrainReport};
pub use run::{Completion, LastStep, Past, RunObserver, RunOptions, complete_run, last_step};
pub use shell::shell_word;
pub use store::{
    CheckpointEvery, Epochs, Existing, Holder, Opened, RunDir, RunStatus, RunStore, Stamp, run_config,
};
pub use sweep::{CompareExamples, Cost, Costs, RunEnd, Spent, Sweep, SweepObserver, TimeLeft};
pub use table::{Column, EpochTable, RunTable};
pub use trackers::{Tracked, TrackerTarget, Trackers, Undelivered, track_finished};
