//! λ_max through training (Kaur, Cohen, Lipton 2022, figure 5): each measurement starts from the eigenvector of the one before, so
//! that a few products suffice.

use serde::{Deserialize, Serialize};
use sharpness_curvature::{EigenParams, Which, eigenpairs};
use sharpness_network::backend::Backend;
use sharpness_network::{Network, Weights};

use super::problem::{Problem, solver_error};
use super::{MeasureProgress, Phase, default_memory_bytes};
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
    /// Whether the residual reached the tolerance that was asked for.
    pub converged: bool,
}

/// Measures λ_max again and again.
#[derive(Debug)]
pub(crate) struct Tracker<'a, B: Backend> {
    problem: Problem<'a, B>,
    precision: Precision,
    /// The last eigenvector, in the precision of the run, so that a checkpoint holds it exactly.
    eigenvector: Option<Vec<f64>>,
}

impl<'a, B: Backend> Tracker<'a, B> {
    /// A tracker that goes on from `eigenvector`, on the examples of the run's measurement; `None` where the run asks for none.
    pub(crate) fn new(
        config: &RunConfig,
        network: &'a Network<B>,
        data: &'a Standardized,
        trained: &[u32],
        eigenvector: Option<Vec<f64>>,
    ) -> Result<Option<Self>> {
        let Some(rtol) = config.measure.through_training else { return Ok(None) };
        let settings =
            MeasureConfig { rtol, top_k: 1, bound_rtol: BoundRtol(Some(0.1)), ..config.measure.clone() };
        let problem = Problem::new(network, data, trained, &settings, config.seed, default_memory_bytes())?;
        Ok(Some(Self { problem, precision: config.precision, eigenvector }))
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
        let params = match &self.eigenvector {
            Some(vector) => {
                let start = vec![vector.clone()];
                EigenParams { start, ..self.problem.params(Which::LargestAlgebraic, 1) }
            }
            None => self.problem.params_from_gradient(&operator),
        };
        let memory = self.problem.memory();
        let mut solved = eigenpairs(&mut operator, &params, &mut |p| {
            let (phase, point) = (Phase::LambdaMax, None);
            let (products, value, residual) = (p.products, p.value, p.residual);
            observer(&MeasureProgress { phase, products, value, residual, point, memory });
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

#[expect(clippy::cast_possible_truncation, reason = "it is rounded on purpose")]
fn rounded(mut vector: Vec<f64>, precision: Precision) -> Vec<f64> {
    if precision == Precision::F32 {
        for value in &mut vector {
            *value = f64::from(*value as f32);
        }
    }
    vector
}
