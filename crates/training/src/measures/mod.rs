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
//! | every other file | one measure each, as `list.rs` names them |
//! | `target.rs`, `spectrum.rs`, `of_matrix.rs`, `estimate.rs` | eigenvalues and traces of other matrices, means with standard errors |
//! | `ascent.rs`, `apgd.rs`, `adaptive_points.rs`, `crossing.rs`, `draws.rs` | what the measures that move the weights share |
//! | `problem.rs` | the examples, the operator and the solver |
//! | `value.rs` | the loss and its gradient at any weights |
//! | `statistics.rs` | batch norm's statistics at any weights |
//! | `double.rs` | the rounding of single precision |
//! | `memory.rs` | how memory is shared, and how much a measurement takes |
//! | `sharpness.rs` | the numbers of all measures that measure sharpness |
//! | `through_training.rs` | λ_max from epoch to epoch of a training |
//! | `subset_sizes.rs` | how λ_max depends on the measured examples |

mod adam_sharpness;
mod adaptive_average;
mod adaptive_hessian;
mod adaptive_points;
mod adaptive_worst;
mod apgd;
mod ascent;
mod batch_sharpness;
mod between_iterates;
mod critical_step_size;
mod crossing;
mod density;
mod diagonal;
mod double;
mod draws;
mod effective_rank;
mod eigenvalue;
mod empirical_fisher;
mod estimate;
mod filled;
mod first_order_flatness;
mod fisher_rao;
mod foret;
mod frobenius;
mod gauss_newton;
mod gradient_overlap;
mod lambda_min;
mod list;
mod local_volume;
mod m_sharpness;
mod measure;
mod measurement;
mod memory;
mod monte_carlo_fisher;
mod of_matrix;
mod outcomes;
mod pac_bayes;
mod per_layer;
mod point;
mod problem;
mod relative_flatness;
mod sam_bound;
mod shared_probes;
mod sharpness;
mod spectrum;
mod statistics;
mod subset_sizes;
mod target;
mod through_training;
mod trace;
mod value;

pub use adam_sharpness::{AdamSharpness, AdamSharpnessOutcome};
pub use adaptive_average::AdaptiveAverage;
pub use adaptive_hessian::{AdaptiveHessian, AdaptiveHessianMatrix};
pub use adaptive_points::{AdaptiveOutcome, AdaptivePoint};
pub use adaptive_worst::AdaptiveWorst;
pub use batch_sharpness::{BatchSharpness, BatchSharpnessOutcome};
pub use between_iterates::{BetweenIterates, BetweenIteratesOutcome, Iterate, interpolate};
pub use critical_step_size::{CriticalStepSize, CriticalStepSizeOutcome};
pub use density::{Density, DensityOutcome};
pub use diagonal::{Diagonal, DiagonalOutcome};
pub use effective_rank::{EffectiveRank, EffectiveRankOutcome};
pub use eigenvalue::Eigenvalue;
pub use empirical_fisher::{EmpiricalFisher, EmpiricalFisherMatrix};
pub use estimate::Estimate;
pub use first_order_flatness::{FirstOrderFlatness, FirstOrderFlatnessOutcome};
pub use fisher_rao::{FisherRao, FisherRaoOutcome};
pub use foret::{Foret, ForetOutcome};
pub use frobenius::{Frobenius, FrobeniusOutcome};
pub use gauss_newton::{GaussNewton, GaussNewtonMatrix};
pub use gradient_overlap::{GradientOverlap, GradientOverlapOutcome};
pub use lambda_min::LambdaMin;
pub use list::{Visitor, asked, each};
pub(crate) use list::{augment, held_bytes, keys, normalized, tracked};
pub use local_volume::{LocalVolume, LocalVolumeOutcome};
pub use m_sharpness::{MSharpness, MSharpnessOutcome};
pub use measure::{AtWeights, Definition, Flag, Measure, Solution};
pub use measurement::{Cost, Measurement};
pub(crate) use memory::{least_bytes, weights_bytes};
pub use monte_carlo_fisher::{MonteCarloFisher, MonteCarloFisherMatrix};
pub use of_matrix::{MeasuredMatrix, OfMatrix};
pub use pac_bayes::{PacBayes, PacBayesOutcome};
pub use per_layer::{Layer, LayerOutcome, PerLayer, PerLayerOutcome};
pub use point::{Iterates, measure};
pub use problem::Subject;
pub(crate) use problem::{Problem, norm, solver_error};
pub use relative_flatness::{RelativeFlatness, RelativeFlatnessOutcome};
pub use sam_bound::{SamBound, SamBoundOutcome};
pub use shared_probes::SharedProbes;
pub use sharpness::SharpnessNumber;
pub use spectrum::{Found, SpectrumOutcome};
pub use subset_sizes::{SubsetSize, subset_sizes};
pub use target::{Form, Target};
pub use through_training::settings as tracking_settings;
pub(crate) use through_training::{Tracked, Tracker};
pub use trace::{Trace, TraceMethod, TraceOutcome};
pub(crate) use value::Objective;
