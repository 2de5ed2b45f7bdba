//! λ_max through training (Kaur, Cohen, Lipton 2022, figure 5): each measurement starts from the eigenvector of the one before, so
//! that a few products suffice.

use serde::{Deserialize, Serialize};
use sharpness_curvature::{EigenParams, Which, eigenpairs};
use sharpness_network::backend::Backend;
use sharpness_network::{Network, Weights};

use super::problem::{Problem, least_bytes, solver_error, weights_bytes};
use super::{Budget, MeasureProgress, Memory};
use crate::Result;
use crate::config::{BoundRtol, MeasureConfig, Precision, RunConfig};
use crate::data::Standardized;

/// λ_max after a step of the training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrackedLambdaMax {
    /// Steps since the start of the run.
    pub step: u32,
    /// The largest eigenvalue, as [`Eigenvalue::value`](super::Eigenvalue::value).
    pub value: f64,
    /// Its residual.
    pub residual: f64,
    /// Hessian-vector products that it took.
    pub products: usize,
    /// Whether the residual reached the tolerance that was asked for, and the bound `bound_rtol` or 0.1, whichever is
    /// less.
    pub converged: bool,
}

/// How closely the bound shows, at least, that a tracked eigenvalue is the largest. Where the top two eigenvalues change places, the
/// last eigenvector is blind to the new one: by a tolerance of 1e-2 for the residual and a random start alone, values on the digits
/// were up to 9 % low. Of 4,255 values, 4 (of the first 2,146) were low by more than 1e-2 with a bound of 0.5, 1 with 0.2, and none with
/// this one, for 8.0, 9.9 and 11.3 products on average.
const TRACKING_BOUND_RTOL: f64 = 0.1;

/// Measures λ_max again and again.
#[derive(Debug)]
pub(crate) struct Tracker<'a, B: Backend> {
    problem: Problem<'a, B>,
    precision: Precision,
    /// The last eigenvector, in the precision of the run, so that a checkpoint holds it exactly.
    eigenvector: Option<Vec<f64>>,
}

impl<'a, B: Backend> Tracker<'a, B> {
    /// A tracker that resumes from `eigenvector`, on the examples of the run's measurement; `None` where the run asks for none.
    pub(crate) fn new(
        config: &RunConfig,
        network: &'a Network<B>,
        data: &'a Standardized,
        trained: &[u32],
        eigenvector: Option<Vec<f64>>,
        budget: Budget,
    ) -> Result<Option<Self>> {
        let Some(settings) = settings(config) else { return Ok(None) };
        let budget = budget.less(weights_bytes(network));
        let problem = Problem::new(network, data, trained, &settings, config.seed, budget)?;
        Ok(Some(Self { problem, precision: config.precision, eigenvector }))
    }

    /// The least memory that it needs where there are `available` training examples, in bytes.
    pub(crate) fn least_bytes(config: &RunConfig, network: &Network<B>, available: usize) -> usize {
        let least = |settings| least_bytes(network, &settings, available) + weights_bytes(network);
        settings(config).map_or(0, least)
    }

    /// The memory that it is predicted to take.
    pub(crate) const fn memory(&self) -> Memory {
        self.problem.memory()
    }

    /// λ_max at `weights`, which are those after `step` steps.
    pub(crate) fn measure(
        &mut self,
        weights: &Weights,
        step: u32,
        observer: &mut dyn FnMut(&MeasureProgress),
        stop: &dyn Fn() -> bool,
    ) -> Result<TrackedLambdaMax> {
        let place = format!("the weights after {step} steps");
        let mut operator = self.problem.linearize(weights, &place, stop)?;
        let mut params = match &self.eigenvector {
            Some(vector) => {
                let start = vec![vector.clone()];
                EigenParams { start, ..self.problem.params(Which::LargestAlgebraic, 1) }
            }
            None => self.problem.params_from_gradient(&operator),
        };
        // Another random part each time: one that is blind to the top eigenvector would stay so for many steps.
        params.seed = params.seed.wrapping_add(u64::from(step));
        let memory = self.problem.memory();
        let mut solved = eigenpairs(&mut operator, &params, &mut |p| {
            observer(&MeasureProgress::lambda_max(p, memory));
        })
        .map_err(solver_error)?;
        let converged = solved.converged();
        let pair = solved.pairs.swap_remove(0);
        let (value, residual, products) = (pair.value, pair.residual, solved.products);
        self.eigenvector = Some(rounded(pair.vector, self.precision));
        Ok(TrackedLambdaMax { step, value, residual, products, converged })
    }

    /// The last eigenvector.
    pub(crate) fn eigenvector(&self) -> Option<Vec<f64>> {
        self.eigenvector.clone()
    }
}

/// What is measured through training; nothing if it is not asked for.
fn settings(config: &RunConfig) -> Option<MeasureConfig> {
    let measure = config.measurement();
    let rtol = measure.through_training?;
    let bound_rtol = measure.bound_rtol.0.map_or(TRACKING_BOUND_RTOL, |asked| asked.min(TRACKING_BOUND_RTOL));
    let bound_rtol = BoundRtol(Some(bound_rtol));
    Some(MeasureConfig { rtol, top_k: 1, bound_rtol, between_iterates: false, ..measure })
}

#[expect(clippy::cast_possible_truncation, reason = "it is rounded on purpose")]
fn rounded(mut vector: Vec<f64>, precision: Precision) -> Vec<f64> {
    if precision == Precision::F32 {
        for value in &mut vector {
            *value = f64::from(*value as f32);
        }
    }
    vector
}
