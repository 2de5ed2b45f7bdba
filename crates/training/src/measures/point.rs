//! A measurement at given weights: λ_max, and every requested measure.

use std::collections::BTreeMap;
use std::time::Instant;

use serde_json::Value;
use sharpness_curvature::{Probes, ProbesParams, Which, eigenpairs};
use sharpness_network::Weights;
use sharpness_network::backend::Backend;
use sharpness_network::operators::{Curvature, Matrix};

use super::double::check;
use super::eigenvalue::Eigenvalue;
use super::list::{Visitor, asked, each, shared_probes};
use super::measure::{AtWeights, Measure, Solution};
use super::measurement::Measurement;
use super::memory::weights_bytes;
use super::problem::{Problem, Subject, norm, solver_error};
use super::spectrum::Target;
use crate::observer::Watcher;
use crate::optimizers::Preconditioner;
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
    let mut shared = start.elapsed().as_secs_f64();
    let probes = probes(&problem, &operator)?;
    let Iterates { weights, preconditioner, .. } = at;
    let at_weights =
        AtWeights { problem: &problem, operator, weights, preconditioner, probes, vectors: Vec::new() };
    let mut products =
        Products { at: at_weights, conclusions: Vec::new(), seconds: BTreeMap::new(), error: None };
    each(&mut products);
    let Products { at: AtWeights { operator, vectors, .. }, conclusions, mut seconds, error } = products;
    error.map_or(Ok(()), Err)?;
    let (chunks, cached_chunks) = operator.chunks();
    let (loss, accuracy, gradient) = (operator.loss(), operator.accuracy(), operator.gradient().to_vec());
    // Free its linearizations for those of other points and precisions.
    drop(operator);
    let checking = Instant::now();
    let target = Target::whole("lambda_max", Matrix::Hessian);
    let largest = check(&problem, at.weights, &target, Which::LargestAlgebraic, largest)?;
    shared += checking.elapsed().as_secs_f64();
    let top = Eigenvalue::all(&largest, Which::LargestAlgebraic, subject.settings);
    let lambda_max = top[0].clone();
    let (problem, Iterates { weights, next, .. }) = (&problem, at);
    let solution = Solution { problem, weights, next, loss, gradient, largest, lambda_max };
    let outcomes = conclude(conclusions, &solution, &mut seconds)?;
    seconds.insert("lambda_max".to_owned(), shared);
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
        memory: problem.memory(),
        seconds: start.elapsed().as_secs_f64(),
        seconds_of: seconds,
        vectors: eigenvectors.chain(vectors).collect(),
        outcomes,
        lambda_max: solution.lambda_max,
    })
}

/// The products with random signs that the requested measures share; none are computed yet.
fn probes<B: Backend>(problem: &Problem<'_, B>, operator: &Curvature<'_, B>) -> Result<Probes> {
    let (settings, seed) = (problem.subject().settings, problem.subject().seed);
    let params = ProbesParams { seed, block: problem.block(operator), ..ProbesParams::default() };
    let params = shared_probes(&settings.asked, problem.network(), params);
    Probes::new(problem.network().parameters().len(), params).map_err(solver_error)
}

/// Computes the outcomes, and adds the time that each takes.
fn conclude<'p, 'a, B: Backend>(
    conclusions: Vec<(&'static str, Conclusion<'p, 'a, B>)>,
    at: &Solution<'p, 'a, B>,
    seconds: &mut BTreeMap<String, f64>,
) -> Result<BTreeMap<String, Value>> {
    let mut outcomes = BTreeMap::new();
    for (name, conclude) in conclusions {
        let start = Instant::now();
        outcomes.insert(name.to_owned(), conclude(at)?);
        *seconds.entry(name.to_owned()).or_default() += start.elapsed().as_secs_f64();
    }
    Ok(outcomes)
}

/// Computes the outcome of a measure.
type Conclusion<'p, 'a, B> = Box<dyn FnOnce(&Solution<'p, 'a, B>) -> Result<Value>>;

/// Computes the products of every requested measure.
struct Products<'p, 'a, B: Backend> {
    at: AtWeights<'p, 'a, B>,
    conclusions: Vec<(&'static str, Conclusion<'p, 'a, B>)>,
    /// What each takes, by name.
    seconds: BTreeMap<String, f64>,
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
        let start = Instant::now();
        let found = settings.products(&mut self.at)?;
        self.seconds.insert(M::NAME.to_owned(), start.elapsed().as_secs_f64());
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
