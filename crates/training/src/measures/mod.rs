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
//! | `problem.rs` | the examples, the operator and the solver |
//! | `double.rs` | the rounding of single precision |
//! | `memory.rs` | how memory is shared, and how much a measurement takes |
//! | `sharpness.rs` | the numbers of all measures that measure sharpness |
//! | `through_training.rs` | λ_max from epoch to epoch of a training |
//! | `subset_sizes.rs` | how λ_max depends on the measured examples |

mod between_iterates;
mod double;
mod eigenvalue;
mod filled;
mod frobenius;
mod lambda_min;
mod list;
mod measure;
mod measurement;
mod memory;
mod point;
mod problem;
mod sam_bound;
mod sharpness;
mod subset_sizes;
mod through_training;
mod trace;

pub use between_iterates::{BetweenIterates, BetweenIteratesOutcome, Iterate, interpolate};
pub use eigenvalue::Eigenvalue;
pub use frobenius::{Frobenius, FrobeniusOutcome};
pub use lambda_min::LambdaMin;
pub use list::{Visitor, asked, each};
pub(crate) use list::{augment, keys, normalized};
pub use measure::{AtWeights, Definition, Flag, Measure, Solution};
pub use measurement::Measurement;
pub(crate) use memory::{least_bytes, weights_bytes};
pub use point::{Iterates, measure};
pub use problem::Subject;
pub(crate) use problem::{Problem, norm, solver_error};
pub use sam_bound::{SamBound, SamBoundOutcome};
pub use sharpness::SharpnessNumber;
pub use subset_sizes::{SubsetSize, subset_sizes};
pub use through_training::settings as tracking_settings;
pub(crate) use through_training::{Tracked, Tracker};
pub use trace::{Trace, TraceOutcome};
