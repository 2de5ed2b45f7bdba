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

/// The middle point of the quadratic Bézier curve between two weights after training: SGD with momentum 0.9 on the loss of batches of the whole
/// training set at uniform places `t` of the curve, starting from the middle of the segment (Garipov et al. 2018, section 3.2, equation 2). Without
/// weight decay. Batch norm uses the statistics of a batch.
///
/// `report` is told of each step, from 1, and its loss. Deterministic in the seed of `subject`. Cost: a gradient of a batch per step. The iterate is
/// kept in double precision.
///
/// # Errors
/// [`Error::MeasureSetting`] if the settings are impossible or the training diverges; [`Error::MeasureStopped`]; [`Error::Memory`].
pub fn train_curve<B: Backend>(
    subject: Subject<'_, B>,
    ends: BetweenEnds<'_>,
    settings: &CurveSettings,
    watcher: &dyn Watcher,
    report: &mut dyn FnMut(usize, f64),
) -> Result<Vec<f64>> {
    settings.check(subject.trained.len())?;
    let batch = settings.batch_size;
    let measured = MeasureConfig {
        chunk: Some(batch),
        bn: BatchNorm::Batch,
        // It limits the chunk.
        examples: batch.max(subject.settings.examples),
        ..subject.settings.clone()
    };
    // The other end, the middle, its velocity, a point, and its gradient.
    let budget = subject.budget.less(5 * weights_bytes(&subject.engine.network));
    let problem = Problem::new(Subject { settings: &measured, budget, ..subject }, watcher)?;
    let (a, b) = (&ends.from.parameters[..], &ends.to.parameters[..]);
    let mut middle = segment(a, b, 0.5);
    let mut objective = Objective::gradients(&problem, ends.from);
    let (mut velocity, mut gradient) = (vec![0.0; a.len()], vec![0.0; a.len()]);
    let seed = Purpose::Curve.seed(subject.seed);
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut order = Vec::new();
    let batches = subject.trained.len() / batch;
    for step in 0..settings.steps {
        let (epoch, place) = (step / batches, step % batches);
        if place == 0 {
            shuffle(seed, u32::try_from(epoch).unwrap_or(u32::MAX), subject.trained, &mut order);
        }
        let t: f64 = random.random();
        let numbers = &order[place * batch..][..batch];
        let sums = objective.gradient(numbers, &bezier((a, &middle, b), t), &mut gradient)?;
        if !sums.loss.is_finite() {
            let problem = "the training of the curve diverged; choose a smaller one";
            return Err(Error::MeasureSetting { name: "--curve-lr", problem });
        }
        // ∂θ(t) / ∂m.
        let share = 2.0 * t * (1.0 - t);
        let rate = settings.learning_rate(step);
        for ((m, v), g) in middle.iter_mut().zip(&mut velocity).zip(&gradient) {
            *v = MOMENTUM * *v + share * g;
            *m -= rate * *v;
        }
        report(step + 1, sums.loss);
    }
    Ok(middle)
}
