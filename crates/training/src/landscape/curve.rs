//! Trains a curve of low loss between two weights (Garipov et al. 2018).

use rand::{RngExt as _, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use sharpness_network::backend::Backend;
use sharpness_network::op::BatchNorm;

use super::path::{BetweenEnds, bezier, segment};
use crate::measures::{Objective, Problem, Subject, weights_bytes};
use crate::observer::Watcher;
use crate::seeds::{Purpose, shuffle};
use crate::settings::MeasureConfig;
use crate::{Error, Result};

/// The momentum of the code of Garipov et al.
const MOMENTUM: f64 = 0.9;

/// How a curve is trained.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct CurveSettings {
    /// Steps of SGD.
    pub steps: usize,
    /// The learning rate of the first half of the steps. It then falls linearly to a hundredth, which the last tenth has.
    pub learning_rate: f64,
    /// Examples of a batch.
    pub batch_size: usize,
}

impl CurveSettings {
    /// The learning rate of a step, from 0: the schedule of the code of Garipov et al.
    fn learning_rate(&self, step: usize) -> f64 {
        let part = step as f64 / self.steps as f64;
        let factor = match part {
            part if part <= 0.5 => 1.0,
            part if part <= 0.9 => 1.0 - (part - 0.5) / 0.4 * 0.99,
            _ => 0.01,
        };
        self.learning_rate * factor
    }

    fn check(&self, trained: usize) -> Result<()> {
        let wrong = |name, problem| Err(Error::MeasureSetting { name, problem });
        match *self {
            Self { steps: 0, .. } => wrong("--curve-steps", "it must be at least 1"),
            Self { batch_size, .. } if batch_size == 0 || batch_size > trained => {
                wrong("--curve-batch-size", "it must be from 1 to the number of training examples")
            }
            Self { learning_rate, .. } if !(learning_rate > 0.0 && learning_rate.is_finite()) => {
                wrong("--curve-lr", "it must be positive and finite")
            }
            _ => Ok(()),
        }
    }
}

/// A curve in training. With the settings and the ends, it determines everything that follows.
#[derive(Clone, Debug, PartialEq)]
pub struct CurveState {
    /// Steps so far.
    pub step: usize,
    /// The middle point, in the layout of the parameters.
    pub middle: Vec<f64>,
    /// The velocity of SGD.
    pub velocity: Vec<f64>,
}

impl CurveState {
    /// The middle of the segment, at rest.
    pub fn start(ends: BetweenEnds<'_>) -> Self {
        let (from, to) = (&ends.from.parameters, &ends.to.parameters);
        Self { step: 0, middle: segment(from, to, 0.5), velocity: vec![0.0; from.len()] }
    }

    /// One step along the gradient at the place `t` of the curve.
    fn update(&mut self, t: f64, rate: f64, gradient: &[f64]) {
        // ∂θ(t) / ∂m.
        let share = 2.0 * t * (1.0 - t);
        for ((m, v), g) in self.middle.iter_mut().zip(&mut self.velocity).zip(gradient) {
            *v = MOMENTUM * *v + share * g;
            *m -= rate * *v;
        }
        self.step += 1;
    }
}

/// Trains the middle point of the quadratic Bézier curve between two weights, from `state` on: SGD with momentum 0.9 on the loss of batches of the
/// whole training set at uniform places `t` of the curve (Garipov et al. 2018, section 3.2, equation 2). Without weight decay. Batch norm uses the
/// statistics of a batch.
///
/// `report` is given the state after each step, and the loss of its batch before. Deterministic in the seed of `subject`. Cost: a gradient of a batch
/// per step. The iterate is kept in double precision.
///
/// # Errors
/// [`Error::MeasureSetting`] if the settings are impossible or the training diverges; [`Error::MeasureStopped`]; [`Error::Memory`]; those of `report`.
///
/// # Panics
/// If the vectors do not have the sizes of the network.
pub fn train_curve<B: Backend, E: From<Error>>(
    subject: Subject<'_, B>,
    ends: BetweenEnds<'_>,
    settings: &CurveSettings,
    mut state: CurveState,
    watcher: &dyn Watcher,
    report: &mut dyn FnMut(&CurveState, f64) -> std::result::Result<(), E>,
) -> std::result::Result<Vec<f64>, E> {
    settings.check(subject.trained.len())?;
    let batch = settings.batch_size;
    // The number of examples limits the chunk.
    let examples = batch.max(subject.settings.examples);
    let measured =
        MeasureConfig { chunk: Some(batch), bn: BatchNorm::Batch, examples, ..subject.settings.clone() };
    // The other end, the middle, its velocity, a point, and its gradient.
    let budget = subject.budget.less(5 * weights_bytes(&subject.engine.network));
    let problem = Problem::new(Subject { settings: &measured, budget, ..subject }, watcher)?;
    let (a, b) = (&ends.from.parameters[..], &ends.to.parameters[..]);
    let mut objective = Objective::gradients(&problem, ends.from);
    let mut gradient = vec![0.0; a.len()];
    let seed = Purpose::Curve.seed(subject.seed);
    let mut order = Vec::new();
    let batches = subject.trained.len() / batch;
    while state.step < settings.steps {
        let (epoch, place) = (state.step / batches, state.step % batches);
        if place == 0 || order.is_empty() {
            shuffle(seed, u32::try_from(epoch).unwrap_or(u32::MAX), subject.trained, &mut order);
        }
        // A stream for each step, so that a resumed training needs no state of the generator.
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        random.set_stream(state.step as u64);
        let t: f64 = random.random();
        let numbers = &order[place * batch..][..batch];
        let sums = objective.gradient(numbers, &bezier((a, &state.middle, b), t), &mut gradient)?;
        if !sums.loss.is_finite() {
            let problem = "the training of the curve diverged; choose a smaller one";
            return Err(Error::MeasureSetting { name: "--curve-lr", problem }.into());
        }
        state.update(t, settings.learning_rate(state.step), &gradient);
        report(&state, sums.loss)?;
    }
    Ok(state.middle)
}
