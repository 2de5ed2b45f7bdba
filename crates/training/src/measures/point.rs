//! A measurement at given weights: λ_max, and every requested measure.

use std::collections::BTreeMap;
use std::time::Instant;

use serde_json::Value;
use sharpness_curvature::{Which, eigenpairs};
use sharpness_network::Weights;
use sharpness_network::backend::Backend;

use super::double::check;
use super::eigenvalue::Eigenvalue;
use super::list::{Visitor, asked, each};
use super::measure::{AtWeights, Measure, Solution};
use super::measurement::Measurement;
use super::memory::weights_bytes;
use super::problem::{Problem, Subject, norm, solver_error};
use crate::observer::Watcher;
use crate::progress::Phase;
use crate::{Error, Result};

/// The weights to measure at, and the next iterate of their training if [`BetweenIterates`](super::BetweenIterates) is
/// requested.
#[derive(Clone, Copy, Debug)]
pub struct Iterates<'a> {
    /// The weights.
    pub weights: &'a Weights,
    /// The next ones.
    pub next: Option<&'a Weights>,
}

impl<'a> Iterates<'a> {
    /// Weights without a known next iterate.
    pub const fn only(weights: &'a Weights) -> Self {
        Self { weights, next: None }
    }
}

/// Measures the loss at the given weights.
///
/// Linearizations and the solver's vectors share the rest of the budget. Less memory costs time (chunks are recomputed
/// in each product, the solver restarts), not accuracy. A solver that misses its tolerances is not an error: the report
/// says `converged: false`.
///
/// # Errors
/// [`Error::NotFinite`] if the loss or its gradient is not finite at the weights; [`Error::Memory`] if there is too
/// little memory; [`Error::MeasureStopped`] if the watcher stops it; [`Error::MeasureSetting`], [`Error::Config`],
/// [`EmptySubset`](sharpness_data::Error::EmptySubset) and [`Error::Eigenvalue`] if the settings are impossible.
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
    let subject = Subject { budget: subject.budget.less(of_next), ..subject };
    let problem = Problem::new(subject, watcher)?;
    problem.report(Phase::Gradient, (0, f64::NAN, f64::NAN));
    let mut operator = problem.linearize(at.weights, "the given weights")?;
    let params = problem.params_from_gradient(&operator);
    let largest = eigenpairs(&mut operator, &params, &mut |p| {
        problem.report(Phase::LambdaMax, (p.products, p.value, p.residual));
    })
    .map_err(solver_error)?;
    let mut products =
        Products { at: AtWeights { problem: &problem, operator }, conclusions: Vec::new(), error: None };
    each(&mut products);
    let Products { at: AtWeights { operator, .. }, conclusions, error } = products;
    error.map_or(Ok(()), Err)?;
    let (chunks, cached_chunks) = operator.chunks();
    let (loss, accuracy, gradient) = (operator.loss(), operator.accuracy(), operator.gradient().to_vec());
    // Free its linearizations for those of other points and precisions.
    drop(operator);
    let largest = check(&problem, at.weights, Which::LargestAlgebraic, largest)?;
    let top = Eigenvalue::all(&largest, Which::LargestAlgebraic, subject.settings);
    let lambda_max = top[0].clone();
    let (problem, Iterates { weights, next }) = (&problem, at);
    let solution = Solution { problem, weights, next, loss, gradient, largest, lambda_max };
    let mut outcomes = BTreeMap::new();
    for (name, conclude) in conclusions {
        outcomes.insert(name.to_owned(), conclude(&solution)?);
    }
    Ok(Measurement {
        loss,
        accuracy,
        gradient_norm: norm(&solution.gradient),
        examples: problem.count(),
        subset: subject.settings.subset,
        batch_norm: problem.batch_norm().to_owned(),
        batch_norm_chunk: problem.batch_norm_chunk(),
        precision: problem.network().backend().precision().to_owned(),
        parameters: problem.network().parameters().len(),
        lambda_max: solution.lambda_max,
        top: if subject.settings.top_k > 1 { top } else { Vec::new() },
        chunks,
        cached_chunks,
        memory: problem.memory(),
        seconds: start.elapsed().as_secs_f64(),
        outcomes,
    })
}

/// Computes the outcome of a measure.
type Conclusion<'p, 'a, B> = Box<dyn FnOnce(&Solution<'p, 'a, B>) -> Result<Value>>;

/// Computes the products of every requested measure.
struct Products<'p, 'a, B: Backend> {
    at: AtWeights<'p, 'a, B>,
    conclusions: Vec<(&'static str, Conclusion<'p, 'a, B>)>,
    error: Option<Error>,
}

impl<'p, 'a, B: Backend> Visitor for Products<'p, 'a, B> {
    fn visit<M: Measure>(&mut self) {
        if self.error.is_none() {
            self.error = self.add::<M>().err();
        }
    }
}

impl<'p, 'a, B: Backend> Products<'p, 'a, B> {
    fn add<M: Measure>(&mut self) -> Result<()> {
        let settings = asked::<M>(&self.at.problem.subject().settings.asked)
            .map_err(|(key, problem)| Error::Config { key: format!("measure.{key}"), problem })?;
        let Some(settings) = settings else { return Ok(()) };
        let found = settings.products(&mut self.at)?;
        let conclude = move |at: &Solution<'p, 'a, B>| {
            let outcome = settings.conclude(found, at)?;
            let unwritable = |error: serde_json::Error| Error::Config {
                key: format!("measure.{}", M::NAME),
                problem: format!("has an outcome that cannot be written: {error}"),
            };
            serde_json::to_value(outcome).map_err(unwritable)
        };
        self.conclusions.push((M::NAME, Box::new(conclude)));
        Ok(())
    }
}
