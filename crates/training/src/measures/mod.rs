//! What is measured at given weights: the loss on examples of the training set, its gradient, and the extreme eigenvalues and
//! the trace of its Hessian.
//!
//! λ_max is the algebraically largest eigenvalue of the Hessian of the **mean** loss over the measured examples, with
//! dropout off. Batch norm uses either the statistics of each chunk, as the training objective has them, and is
//! differentiated through them; or the running ones, as constants. The report names which.
//!
//! | file | subject |
//! | --- | --- |
//! | `point.rs` | a measurement at one point of the weights |
//! | `measurement.rs`, `eigenvalue.rs` | the report, and what each number means |
//! | `measure.rs`, `list.rs` | the trait of the measures besides λ_max, and their list |
//! | `filled.rs` | the settings of a measurement with everything filled in |
//! | `lambda_min.rs`, `trace.rs`, `frobenius.rs`, `sam_bound.rs`, `between_iterates.rs` | one measure each |
//! | `foret.rs`, `m_sharpness.rs`, `first_order_flatness.rs`, `critical_step_size.rs` | one measure each that moves the weights |
//! | `adaptive_worst.rs`, `adaptive_average.rs`, `pac_bayes.rs`, `local_volume.rs` | likewise |
//! | `ascent.rs`, `apgd.rs`, `adaptive.rs`, `crossing.rs`, `draws.rs` | what they share |
//! | `problem.rs` | the examples, the operator and the solver |
//! | `value.rs` | the loss and its gradient at any weights |
//! | `double.rs` | the rounding of single precision |
//! | `memory.rs` | how memory is shared, and how much a measurement takes |
//! | `through_training.rs` | λ_max from epoch to epoch of a training |
//! | `subset_sizes.rs` | how λ_max depends on the measured examples |

mod adaptive;
mod adaptive_average;
mod adaptive_worst;
mod apgd;
mod ascent;
mod between_iterates;
mod critical_step_size;
mod crossing;
mod double;
mod draws;
mod eigenvalue;
mod filled;
mod first_order_flatness;
mod foret;
mod frobenius;
mod lambda_min;
mod list;
mod local_volume;
mod m_sharpness;
mod measure;
mod measurement;
mod memory;
mod pac_bayes;
mod point;
mod problem;
mod sam_bound;
mod subset_sizes;
mod through_training;
mod trace;
mod value;

pub use adaptive::AdaptivePoint;
pub use adaptive_average::{AdaptiveAverage, AdaptiveAverageOutcome};
pub use adaptive_worst::{AdaptiveWorst, AdaptiveWorstOutcome};
pub use between_iterates::{BetweenIterates, BetweenIteratesOutcome, Iterate, interpolate};
pub use critical_step_size::{CriticalStepSize, CriticalStepSizeOutcome};
pub use eigenvalue::Eigenvalue;
pub use first_order_flatness::{FirstOrderFlatness, FirstOrderFlatnessOutcome};
pub use foret::{Foret, ForetOutcome};
pub use frobenius::{Frobenius, FrobeniusOutcome};
pub use lambda_min::LambdaMin;
pub use list::{Visitor, asked, each};
pub(crate) use list::{augment, keys, normalized};
pub use local_volume::{LocalVolume, LocalVolumeOutcome};
pub use m_sharpness::{MSharpness, MSharpnessOutcome};
pub use measure::{AtWeights, Definition, Flag, Measure, Solution};
pub use measurement::Measurement;
pub(crate) use memory::{least_bytes, weights_bytes};
pub use pac_bayes::{PacBayes, PacBayesOutcome};
pub use point::{Iterates, measure};
pub use problem::Subject;
pub(crate) use problem::{Problem, norm, solver_error};
pub use sam_bound::{SamBound, SamBoundOutcome};
pub use subset_sizes::{SubsetSize, subset_sizes};
pub use through_training::settings as tracking_settings;
pub(crate) use through_training::{Tracked, Tracker};
pub use trace::{Trace, TraceOutcome};
