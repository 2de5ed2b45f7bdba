//! The outcomes of the requested measures: first the products of all of them at the weights, then what each concludes.

use std::collections::BTreeMap;
use std::time::Instant;

use serde_json::Value;
use sharpness_curvature::{Probes, ProbesParams};
use sharpness_network::Weights;
use sharpness_network::backend::Backend;
use sharpness_network::operators::Curvature;

use super::list::{Visitor, asked, each, shared_probes};
use super::measure::{AtWeights, Measure, Solution};
use super::measurement::Cost;
use super::problem::{Problem, solver_error};
use super::shared_probes::SharedProbes;
use crate::optimizers::Preconditioner;
use crate::{Error, Result};

/// What products have found at the weights.
pub(super) struct Taken<'p, 'a, B: Backend> {
    pub(super) loss: f64,
    pub(super) accuracy: f64,
    pub(super) gradient: Vec<f64>,
    pub(super) vectors: Vec<(String, Vec<f64>)>,
    pub(super) conclusions: Vec<Conclusion<'p, 'a, B>>,
}

/// The rest of a measure after its products.
pub(super) struct Conclusion<'p, 'a, B: Backend> {
    /// What the products took.
    cost: Cost,
    conclude: Concluding<'p, 'a, B>,
}

/// Computes the outcome of a measure.
type Concluding<'p, 'a, B> = Box<dyn FnOnce(&Solution<'p, 'a, B>) -> Result<Value>>;

/// Computes the products of every requested measure, and frees the operator's linearizations for those of other points and precisions.
///
/// # Errors
/// Those of the products and of settings.
pub(super) fn take_products<'p, 'a, B: Backend>(
    problem: &'p Problem<'a, B>,
    operator: Curvature<'p, B>,
    weights: &'p Weights,
    preconditioner: Option<&'p Preconditioner>,
) -> Result<Taken<'p, 'a, B>> {
    let probes = probes(problem, &operator)?;
    let at = AtWeights { problem, operator, weights, preconditioner, probes, vectors: Vec::new() };
    let mut products = Products { at, conclusions: Vec::new(), error: None };
    each(&mut products);
    let Products { at: AtWeights { operator, vectors, .. }, conclusions, error } = products;
    error.map_or(Ok(()), Err)?;
    let (loss, accuracy, gradient) = (operator.loss(), operator.accuracy(), operator.gradient().to_vec());
    Ok(Taken { loss, accuracy, gradient, vectors, conclusions })
}

/// Computes the outcomes, by name, and what each took.
///
/// # Errors
/// Those of further products.
pub(super) fn conclude<'p, 'a, B: Backend>(
    conclusions: Vec<Conclusion<'p, 'a, B>>,
    at: &Solution<'p, 'a, B>,
) -> Result<(BTreeMap<String, Value>, Vec<Cost>)> {
    let (mut outcomes, mut costs) = (BTreeMap::new(), Vec::new());
    for Conclusion { cost, conclude } in conclusions {
        let start = Instant::now();
        outcomes.insert(cost.name.clone(), conclude(at)?);
        let seconds = start.elapsed().as_secs_f64();
        costs.push(Cost {
            seconds: cost.seconds + seconds,
            alone_seconds: cost.alone_seconds + seconds,
            ..cost
        });
    }
    Ok((outcomes, costs))
}

/// The products with random signs that the requested measures share; none are computed yet.
fn probes<B: Backend>(problem: &Problem<'_, B>, operator: &Curvature<'_, B>) -> Result<SharedProbes> {
    let (settings, seed) = (problem.subject().settings, problem.subject().seed);
    let params = ProbesParams { seed, block: problem.block(operator), ..ProbesParams::default() };
    let params = shared_probes(&settings.asked, problem.network(), params);
    let probes = Probes::new(problem.network().parameters().len(), params).map_err(solver_error)?;
    Ok(SharedProbes::new(probes))
}

/// Computes the products of every requested measure.
struct Products<'p, 'a, B: Backend> {
    at: AtWeights<'p, 'a, B>,
    conclusions: Vec<Conclusion<'p, 'a, B>>,
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
        let seconds = start.elapsed().as_secs_f64();
        let alone = seconds + self.at.probes.take_saved().as_secs_f64();
        let conclude = move |at: &Solution<'p, 'a, B>| {
            let outcome = settings.conclude(found, at)?;
            let unwritable = |error: serde_json::Error| Error::Config {
                key: format!("measure.{}", M::NAME),
                problem: format!("has an outcome that cannot be written: {error}"),
            };
            serde_json::to_value(outcome).map_err(unwritable)
        };
        self.conclusions.push(Conclusion {
            cost: Cost { name: M::NAME.to_owned(), seconds, alone_seconds: alone },
            conclude: Box::new(conclude),
        });
        Ok(())
    }
}
