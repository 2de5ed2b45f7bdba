//! A measurement at given weights: λ_max, and every requested measure.

use std::time::Instant;

use sharpness_curvature::{Which, eigenpairs};
use sharpness_network::Weights;
use sharpness_network::backend::Backend;
use sharpness_network::operators::Matrix;

use super::double::check;
use super::eigenvalue::Eigenvalue;
use super::list::held_bytes;
use super::measure::Solution;
use super::measurement::{Cost, LAMBDA_MAX, Measurement};
use super::memory::weights_bytes;
use super::outcomes::{Taken, conclude, take_products};
use super::problem::{Problem, Subject, norm, solver_error};
use super::target::Target;
use crate::Result;
use crate::observer::Watcher;
use crate::optimizers::Preconditioner;
use crate::progress::Phase;

/// The weights to measure at, and the next iterate of their training if [`BetweenIterates`](super::BetweenIterates) is
/// requested.
#[derive(Clone, Copy, Debug)]
pub struct Iterates<'a> {
    /// The weights.
    pub weights: &'a Weights,
    /// The next ones.
    pub next: Option<&'a Weights>,
    /// How the optimizer of their training scales the gradient, if it does.
    pub preconditioner: Option<&'a Preconditioner>,
}

impl<'a> Iterates<'a> {
    /// Weights without a known next iterate.
    pub const fn only(weights: &'a Weights) -> Self {
        Self { weights, next: None, preconditioner: None }
    }
}

/// Measures the loss at the given weights.
///
/// Linearizations and the solver's vectors share the rest of the budget. Less memory costs time (chunks are recomputed
/// in each product, the solver restarts), not accuracy. A solver that misses its tolerances is not an error: the report
/// says `converged: false`.
///
/// # Errors
/// [`Error::NotFinite`](crate::Error::NotFinite) if the loss or its gradient is not finite at the weights; [`Error::Memory`](crate::Error::Memory) if there is too
/// little memory; [`Error::MeasureStopped`](crate::Error::MeasureStopped) if the watcher stops it; [`Error::MeasureSetting`](crate::Error::MeasureSetting), [`Error::Config`](crate::Error::Config),
/// [`EmptySubset`](sharpness_data::Error::EmptySubset) and [`Error::Eigenvalue`](crate::Error::Eigenvalue) if the settings are impossible.
///
/// # Panics
/// If the weights or the data do not have the sizes of the network.
pub fn measure<B: Backend>(
    subject: Subject<'_, B>,
    at: Iterates<'_>,
    watcher: &dyn Watcher,
) -> Result<Measurement> {
    let start = Instant::now();
    let of_next = at.next.map_or(0, |_| weights_bytes(&subject.engine.network));
    let held = held_bytes(&subject.engine.network, subject.settings);
    let subject = Subject { budget: subject.budget.less(of_next.saturating_add(held)), ..subject };
    let problem = Problem::new(subject, watcher)?;
    problem.report(Phase::Gradient, (0, f64::NAN, f64::NAN));
    let mut operator = problem.linearize(at.weights, "the given weights")?;
    let params = problem.params_from_gradient(&operator);
    let largest = eigenpairs(&mut operator, &params, &mut |p| {
        problem.report(Phase::LambdaMax, (p.products, p.value, p.residual));
    })
    .map_err(solver_error)?;
    let mut shared = start.elapsed().as_secs_f64();
    let (chunks, cached_chunks) = operator.chunks();
    let taken = take_products(&problem, operator, at.weights, at.preconditioner)?;
    let Taken { loss, accuracy, gradient, vectors, conclusions } = taken;
    let checking = Instant::now();
    let target = Target::whole(LAMBDA_MAX, Matrix::Hessian);
    let largest = check(&problem, at.weights, &target, Which::LargestAlgebraic, largest)?;
    shared += checking.elapsed().as_secs_f64();
    let top = Eigenvalue::all(&largest, Which::LargestAlgebraic, subject.settings);
    let lambda_max = top[0].clone();
    let (problem, Iterates { weights, next, .. }) = (&problem, at);
    let solution = Solution { problem, weights, next, loss, gradient, largest, lambda_max };
    let (outcomes, mut costs) = conclude(conclusions, &solution)?;
    costs.insert(0, Cost { name: LAMBDA_MAX.to_owned(), seconds: shared, alone_seconds: shared });
    let eigenvectors = solution.largest.solved.pairs.iter().enumerate();
    let eigenvectors = eigenvectors.map(|(i, pair)| (format!("eigenvector.{i}"), pair.vector.clone()));
    Ok(Measurement {
        loss,
        accuracy,
        gradient_norm: norm(&solution.gradient),
        parameter_norm: Some(norm(&weights.parameters)),
        examples: problem.count(),
        subset: subject.settings.subset,
        batch_norm: problem.batch_norm().to_owned(),
        batch_norm_chunk: problem.batch_norm_chunk(),
        precision: problem.network().backend().precision().to_owned(),
        parameters: problem.network().parameters().len(),
        top: if subject.settings.top_k > 1 { top } else { Vec::new() },
        chunks,
        cached_chunks,
        ranks: problem.network().ranks().size(),
        memory: problem.memory(),
        seconds: start.elapsed().as_secs_f64(),
        costs,
        vectors: eigenvectors.chain(vectors).collect(),
        outcomes,
        lambda_max: solution.lambda_max,
    })
}
