//! The settings of a run. Each is declared once, at its field: type, default, range, help text and flag. The id of a flag is its
//! key in files, so that flags, keys of files and recipes, messages and the reference page derive from the same declaration.

mod bound_rtol;
mod cadence;
mod data;
mod defaults;
mod measure;
mod model;
mod run;
mod train;

pub use bound_rtol::BoundRtol;
pub use cadence::Cadence;
pub use data::DataConfig;
pub use measure::{ALL_EXAMPLES, MeasureConfig};
pub use model::ModelConfig;
pub use run::{Precision, RunConfig};
pub use train::TrainingConfig;
