//! λ_max and other measures through training (Kaur, Cohen, Lipton 2022, figure 5). Each measurement starts from the previous eigenvector,
//! so a few products suffice.

use sharpness_curvature::{EigenParams, Which, eigenpairs};
use sharpness_data::Standardized;
use sharpness_network::Weights;
use sharpness_network::backend::Backend;

use super::adam_sharpness::AdamSharpness;
use super::double::Checked;
use super::eigenvalue::Eigenvalue;
use super::list::{filled, held_bytes, tracked};
use super::measure::{Measure as _, Solution};
use super::memory::{least_bytes, weights_bytes};
use super::outcomes::{Taken, conclude, take_products};
use super::problem::{Problem, Subject, norm, solver_error};
use crate::Result;
use crate::engine::Engine;
use crate::memory::Budget;
use crate::observer::Watcher;
use crate::optimizers::Preconditioner;
use crate::progress::{MeasureProgress, Memory, TrackedLambdaMax};
use crate::settings::{BoundRtol, MeasureConfig, Precision, RunConfig};

/// How closely the bound shows, at least, that a tracked eigenvalue is the largest. Where the top two eigenvalues change places, the
/// last eigenvector is blind to the new one: by a tolerance of 1e-2 for the residual and a random start alone, values on the digits
/// were up to 9 % low. Of 4,255 values, 4 (of the first 2,146) were low by more than 1e-2 with a bound of 0.5, 1 with 0.2, and none with
/// this one, for 8.0, 9.9 and 11.3 products on average.
const TRACKING_BOUND_RTOL: f64 = 0.1;

/// What a tracker measures on.
#[derive(Debug)]
pub(crate) struct Tracked<'a, B: Backend> {
    pub(crate) config: &'a RunConfig,
    pub(crate) engine: &'a Engine<B>,
    pub(crate) data: &'a Standardized,
    pub(crate) trained: &'a [u32],
    pub(crate) budget: Budget,
}

/// Measures λ_max repeatedly.
#[derive(Debug)]
pub(crate) struct Tracker<'a, B: Backend> {
    on: Tracked<'a, B>,
    settings: MeasureConfig,
    /// The last eigenvector, in the precision of the run, so that a checkpoint holds it exactly.
    eigenvector: Option<Vec<f64>>,
}

impl<'a, B: Backend> Tracker<'a, B> {
    /// A tracker that resumes from `eigenvector`, on the examples of the run's measurement; `None` if the run does not ask for one.
    ///
    /// # Errors
    /// [`Error::Memory`](crate::Error::Memory) if there is too little memory.
    pub(crate) fn new(on: Tracked<'a, B>, eigenvector: Option<Vec<f64>>) -> Result<Option<Self>> {
        let Some(settings) = settings(on.config) else { return Ok(None) };
        let tracker = Self { on, settings, eigenvector };
        tracker.memory()?;
        Ok(Some(tracker))
    }

    /// The least memory that it needs with `available` training examples, in bytes.
    pub(crate) fn least_bytes(config: &RunConfig, engine: &Engine<B>, available: usize) -> usize {
        let network = &engine.network;
        let least = |settings| {
            let beside = weights_bytes(network).saturating_add(held_bytes(network, &settings));
            least_bytes(engine, &settings, available).saturating_add(beside)
        };
        settings(config).map_or(0, least)
    }

    fn subject(&self) -> Subject<'_, B> {
        let Tracked { config, engine, data, trained, budget } = self.on;
        let held = held_bytes(&engine.network, &self.settings);
        let budget = budget.less(weights_bytes(&engine.network).saturating_add(held));
        Subject { engine, data, trained, settings: &self.settings, seed: config.seed, budget }
    }

    /// The predicted memory.
    pub(crate) fn memory(&self) -> Result<Memory> {
        struct Nobody;
        impl Watcher for Nobody {
            fn report(&self, _: &MeasureProgress) {}
            fn should_stop(&self) -> bool {
                false
            }
        }
        Ok(Problem::new(self.subject(), &Nobody)?.memory())
    }

    /// λ_max and the requested measures at `weights`, those after `step` steps, where the optimizer scales the gradient as
    /// `preconditioner` says.
    pub(crate) fn measure(
        &mut self,
        at: (&Weights, Option<&Preconditioner>),
        step: u32,
        watcher: &dyn Watcher,
    ) -> Result<TrackedLambdaMax> {
        let (tracked, eigenvector) = self.solve(at, step, watcher)?;
        self.eigenvector = Some(eigenvector);
        Ok(tracked)
    }

    /// What is measured, and the eigenvector.
    fn solve(
        &self,
        (weights, preconditioner): (&Weights, Option<&Preconditioner>),
        step: u32,
        watcher: &dyn Watcher,
    ) -> Result<(TrackedLambdaMax, Vec<f64>)> {
        let mut settings = self.settings.clone();
        if preconditioner.is_none() {
            // Before the first step there is none.
            settings.asked.remove(AdamSharpness::NAME);
        }
        let problem = Problem::new(Subject { settings: &settings, ..self.subject() }, watcher)?;
        let place = format!("the weights after {step} steps");
        let mut operator = problem.linearize(weights, &place)?;
        let mut params = match &self.eigenvector {
            Some(vector) => {
                let start = vec![vector.clone()];
                EigenParams { start, ..problem.params(Which::LargestAlgebraic, 1) }
            }
            None => problem.params_from_gradient(&operator),
        };
        // Another random part each time: one that is orthogonal to the top eigenvector would stay so for many steps.
        params.seed = params.seed.wrapping_add(u64::from(step));
        let memory = problem.memory();
        let solved = eigenpairs(&mut operator, &params, &mut |p| {
            watcher.report(&MeasureProgress::lambda_max(p, memory));
        })
        .map_err(solver_error)?;
        let converged = solved.converged();
        let (value, residual, products) = (solved.pairs[0].value, solved.pairs[0].residual, solved.products);
        let taken = take_products(&problem, operator, weights, preconditioner)?;
        let Taken { loss, gradient, conclusions, .. } = taken;
        // Not checked in double precision.
        let largest = Checked { solved, rounding: None };
        let lambda_max = Eigenvalue::all(&largest, Which::LargestAlgebraic, &settings).remove(0);
        let mut solution =
            Solution { problem: &problem, weights, next: None, loss, gradient, largest, lambda_max };
        let (outcomes, _) = conclude(conclusions, &solution)?;
        let eigenvector =
            rounded(solution.largest.solved.pairs.swap_remove(0).vector, self.on.config.precision);
        let overlap = self.eigenvector.as_ref().map(|last| overlap(last, &eigenvector));
        let tracked = TrackedLambdaMax {
            step,
            value,
            residual,
            products,
            converged,
            loss: Some(loss),
            gradient_norm: Some(norm(&solution.gradient)),
            overlap,
            outcomes,
        };
        Ok((tracked, eigenvector))
    }

    /// The last eigenvector.
    pub(crate) fn eigenvector(&self) -> Option<Vec<f64>> {
        self.eigenvector.clone()
    }
}

/// The settings of λ_max through training; none if it is not measured.
pub fn settings(config: &RunConfig) -> Option<MeasureConfig> {
    let measure = config.measurement();
    let rtol = config.training.through_training?;
    let bound_rtol = measure.bound_rtol.0.map_or(TRACKING_BOUND_RTOL, |asked| asked.min(TRACKING_BOUND_RTOL));
    let bound_rtol = BoundRtol(Some(bound_rtol));
    // `validate` reports names of no measures.
    let asked = tracked(&config.training.through_measures, &measure.asked).unwrap_or_default();
    let asked = filled(&asked, &config.training);
    Some(MeasureConfig { rtol, top_k: 1, bound_rtol, asked, ..measure })
}

/// The cosine of the angle between two directions, without its sign.
fn overlap(x: &[f64], y: &[f64]) -> f64 {
    let dot: f64 = x.iter().zip(y).map(|(x, y)| x * y).sum();
    dot.abs() / (norm(x) * norm(y))
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
