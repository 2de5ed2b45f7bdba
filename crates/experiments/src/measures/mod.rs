//! What is measured at given weights: the loss on examples of the training set, its gradient, and the extreme eigenvalues and
//! the trace of its Hessian.
//!
//! λ_max is the algebraically largest eigenvalue of the Hessian of the **mean** loss over the measured examples, with
//! dropout off. Batch norm uses either the statistics of each chunk, as the training objective has them, and is
//! differentiated through them; or the running ones, as constants. The report names which.
//!
//! | file | subject |
//! | --- | --- |
//! | `measurement.rs` | the report, and what each number means |
//! | `problem.rs` | the examples, the operator and the solver |
//! | `double.rs` | the rounding of single precision |
//! | `between_iterates.rs` | λ_max along the step between two iterates |
//! | `sam_bound.rs` | the bound of appendix A.1 on the objective of SAM |
//! | `through_training.rs` | λ_max again and again while the network is trained |
//! | `subset_sizes.rs` | how far λ_max moves with the examples |
//! | `memory.rs` | how its memory is shared, and what it will take |
//! | `budget.rs`, `available.rs` | the bound on the memory of the process, and how much there is |

mod available;
mod between_iterates;
mod budget;
mod double;
mod measurement;
mod memory;
mod problem;
mod sam_bound;
mod subset_sizes;
mod through_training;

use std::time::Instant;

use sharpness_curvature::{Eigenpairs, Progress, Which, eigenpairs, trace};
use sharpness_network::backend::Backend;
use sharpness_network::operators::Curvature;
use sharpness_network::{Network, Weights};

pub use available::peak_bytes;
pub use between_iterates::{BetweenIterates, Iterate, between_iterates, interpolate};
pub use budget::Budget;
pub use measurement::{Eigenvalue, Measurement, Trace};
pub use memory::Memory;
pub use sam_bound::SamBound;
pub use subset_sizes::{SubsetSize, subset_sizes};
pub use through_training::TrackedLambdaMax;
pub(crate) use through_training::Tracker;

use crate::Result;
use crate::config::MeasureConfig;
use crate::data::Standardized;
use double::check;
pub(crate) use problem::{Problem, least_bytes, norm, solver_error, weights_bytes};
use sam_bound::{Solution, sam_bound};

/// What a measurement is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// The loss and its gradient.
    Gradient,
    /// The largest eigenvalues.
    LambdaMax,
    /// The smallest eigenvalue.
    LambdaMin,
    /// The trace; its products are counted as probes, and its residual is the standard error.
    Trace,
    /// The largest loss near the weights.
    SamBound,
}

/// Where a measurement is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MeasureProgress {
    /// What it is doing.
    pub phase: Phase,
    /// Hessian-vector products of this phase so far.
    pub products: usize,
    /// The current estimate of the eigenvalue; NaN before the first one.
    pub value: f64,
    /// The current residual, as estimated; NaN before the first one.
    pub residual: f64,
    /// Between iterates: which point this is, counted from 1, and how many there are.
    pub point: Option<(usize, usize)>,
    /// The memory that the measurement is predicted to take.
    pub memory: Memory,
}

impl MeasureProgress {
    /// Of a solve for λ_max at one point.
    pub(crate) fn lambda_max(solver: &Progress, memory: Memory) -> Self {
        let &Progress { products, value, residual, .. } = solver;
        Self { phase: Phase::LambdaMax, products, value, residual, point: None, memory }
    }
}

/// Measures the loss of `network` at `weights` on the examples that `config` takes from `train_indices`, the training set in
/// use (indices into the training split).
///
/// `seed` draws the random subset and the solver's start vector; equal seeds give equal bits for any number of threads.
/// Linearizations and the solver's vectors share what `budget` leaves; less memory costs time (chunks are recomputed in each
/// product, the solver restarts), not accuracy. `observer` is called now and then; `stop` is asked between chunks. A solver that does
/// not reach `config.rtol` and `config.bound_rtol` is no error: the report says `converged: false`. [`Measurement::between_iterates`] is left empty;
/// [`between_iterates()`] makes it.
///
/// # Errors
/// [`Error::NotFinite`](crate::Error::NotFinite) if the loss or its gradient is not finite at `weights`;
/// [`Error::Memory`](crate::Error::Memory) if the memory does not suffice;
/// [`Error::MeasureStopped`](crate::Error::MeasureStopped) if `stop` said so;
/// [`Error::MeasureSetting`](crate::Error::MeasureSetting), [`Error::EmptySubset`](crate::Error::EmptySubset) and
/// [`Error::Eigenvalue`](crate::Error::Eigenvalue) if `config` asks for something impossible.
///
/// # Panics
/// If `weights` or the data do not have the sizes of the network.
#[expect(clippy::too_many_arguments, reason = "none of these belongs to another")]
pub fn measure<B: Backend>(
    network: &Network<B>,
    data: &Standardized,
    train_indices: &[u32],
    weights: &Weights,
    config: &MeasureConfig,
    seed: u64,
    budget: Budget,
    observer: &mut dyn FnMut(&MeasureProgress),
    stop: &dyn Fn() -> bool,
) -> Result<Measurement> {
    let start = Instant::now();
    let problem = Problem::new(network, data, train_indices, config, seed, budget)?;
    let (point, memory) = (None, problem.memory());
    let mut report = |phase, products, value, residual| {
        observer(&MeasureProgress { phase, products, value, residual, point, memory });
    };
    report(Phase::Gradient, 0, f64::NAN, f64::NAN);
    let mut operator = problem.linearize(weights, "the given weights", stop)?;
    let params = problem.params_from_gradient(&operator);
    let largest = eigenpairs(&mut operator, &params, &mut |p| {
        report(Phase::LambdaMax, p.products, p.value, p.residual);
    })
    .map_err(solver_error)?;
    let (smallest, trace) = further(&problem, &mut operator, config, &mut report)?;
    let (chunks, cached_chunks) = operator.chunks();
    let (loss, accuracy, gradient) = (operator.loss(), operator.accuracy(), operator.gradient().to_vec());
    // Its linearizations make room for those of other points and precisions.
    drop(operator);
    let largest = check(&problem, weights, Which::LargestAlgebraic, largest, stop)?;
    let lambda_min = checked_smallest(&problem, weights, smallest, stop)?;
    let top = Eigenvalue::largest(&largest, config);
    let sam_bound = config.sam_bound.map(|rho| {
        report(Phase::SamBound, 0, f64::NAN, f64::NAN);
        let (lambda_max, eigenvector) = (&top[0], &largest.solved.pairs[0].vector);
        let at = Solution { loss, gradient: &gradient, lambda_max, eigenvector };
        sam_bound(&problem, weights, &at, rho, stop)
    });
    Ok(Measurement {
        loss,
        accuracy,
        gradient_norm: norm(&gradient),
        examples: problem.count(),
        subset: config.subset,
        batch_norm: problem.batch_norm().to_owned(),
        batch_norm_chunk: problem.batch_norm_chunk(),
        precision: network.backend().precision().to_owned(),
        parameters: network.parameters().len(),
        lambda_max: top[0].clone(),
        top: if config.top_k > 1 { top } else { Vec::new() },
        lambda_min,
        trace,
        sam_bound: sam_bound.transpose()?,
        between_iterates: None,
        chunks,
        cached_chunks,
        memory,
        seconds: start.elapsed().as_secs_f64(),
    })
}

/// The smallest eigenvalue after its check, if it was asked for.
fn checked_smallest<B: Backend>(
    problem: &Problem<'_, B>,
    weights: &Weights,
    found: Option<Eigenpairs>,
    stop: &dyn Fn() -> bool,
) -> Result<Option<Eigenvalue>> {
    let Some(found) = found else { return Ok(None) };
    let checked = check(problem, weights, Which::SmallestAlgebraic, found, stop)?;
    Ok(Some(Eigenvalue::smallest(&checked, problem.config())))
}

/// The smallest eigenvalue and the trace, if they are asked for.
fn further<B: Backend>(
    problem: &Problem<'_, B>,
    operator: &mut Curvature<'_, B>,
    config: &MeasureConfig,
    report: &mut dyn FnMut(Phase, usize, f64, f64),
) -> Result<(Option<Eigenpairs>, Option<Trace>)> {
    let mut found_smallest = None;
    if config.lambda_min {
        let params = problem.params(Which::SmallestAlgebraic, 1);
        let smallest = eigenpairs(operator, &params, &mut |p| {
            report(Phase::LambdaMin, p.products, p.value, p.residual);
        });
        found_smallest = Some(smallest.map_err(solver_error)?);
    }
    let mut estimate = None;
    if let Some(probes) = config.trace {
        let params = problem.trace_params(operator, probes);
        let found = trace(operator, &params, &mut |p| {
            report(Phase::Trace, p.probes, p.value, p.standard_error);
        });
        estimate = Some(Trace::from(found.map_err(solver_error)?));
    }
    Ok((found_smallest, estimate))
}
