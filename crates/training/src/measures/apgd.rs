//! APGD, projected gradient ascent with momentum and a step size that adapts (Croce, Hein 2020, arXiv 2003.01690, algorithm 1), over
//! perturbations `v ⊙ |w|` of the weights `w`.

use sharpness_network::backend::Backend;

use super::adaptive_points::Norm;
use super::problem::norm;
use super::value::Objective;
use crate::Result;

/// The weight of the new point against the momentum.
const ALPHA: f64 = 0.75;
/// The step is halved at a checkpoint if fewer than this fraction of the steps since the last one raised the largest loss.
const IMPROVING: f64 = 0.75;

/// The ascent and its vectors. Those of length `dim` are in the coordinates `v`, except `moved`.
pub(super) struct Apgd<'w, 'p, 'a, B: Backend> {
    objective: Objective<'p, 'a, B>,
    parameters: &'w [f64],
    iterations: usize,
    point: Vec<f64>,
    previous: Vec<f64>,
    best: Vec<f64>,
    gradient: Vec<f64>,
    moved: Vec<f64>,
}

impl<'w, 'p, 'a, B: Backend> Apgd<'w, 'p, 'a, B> {
    /// Ascents of `iterations` iterations around `parameters`.
    pub(super) fn new(objective: Objective<'p, 'a, B>, parameters: &'w [f64], iterations: usize) -> Self {
        let zeros = || vec![0.0; parameters.len()];
        let [point, previous, best, gradient, moved] = [zeros(), zeros(), zeros(), zeros(), zeros()];
        Self { objective, parameters, iterations, point, previous, best, gradient, moved }
    }

    /// The largest rise of the mean loss of `batch` that was found within `rho`, and the drop of the accuracy there. Starts at 0; ends
    /// early where the loss or its gradient is not finite. Not finite if the loss is not at 0.
    ///
    /// # Errors
    /// [`Error::MeasureStopped`](crate::Error::MeasureStopped).
    pub(super) fn largest_rise(&mut self, batch: &[u32], shape: Norm, rho: f64) -> Result<[f64; 2]> {
        for vector in [&mut self.point, &mut self.previous, &mut self.best] {
            vector.fill(0.0);
        }
        let start = self.here(batch, true)?;
        if !start[0].is_finite() {
            return Ok([f64::NAN; 2]);
        }
        let checkpoints = checkpoints(self.iterations);
        let (mut largest, mut step, mut raised, mut last) = (start, 2.0 * rho, 0, 0);
        // The step and the largest loss at the last checkpoint.
        let mut at_checkpoint = (f64::NAN, f64::NAN);
        for iteration in 1..=self.iterations {
            if !norm(&self.gradient).is_finite() {
                break;
            }
            self.advance(shape, rho, step, if iteration == 1 { 1.0 } else { ALPHA });
            let here = self.here(batch, iteration < self.iterations)?;
            if !here[0].is_finite() {
                break;
            }
            if here[0] > largest[0] {
                largest = here;
                raised += 1;
                self.best.copy_from_slice(&self.point);
            }
            if iteration < self.iterations && checkpoints.contains(&iteration) {
                let few = f64::from(raised) < IMPROVING * (iteration - last) as f64;
                let stuck = at_checkpoint == (step, largest[0]);
                (at_checkpoint, raised, last) = ((step, largest[0]), 0, iteration);
                if few || stuck {
                    step *= 0.5;
                    self.point.copy_from_slice(&self.best);
                    self.previous.copy_from_slice(&self.best);
                    self.here(batch, true)?;
                }
            }
        }
        Ok([largest[0] - start[0], start[1] - largest[1]])
    }

    /// The loss and the accuracy at the point, and its gradient in `v` if wanted.
    fn here(&mut self, batch: &[u32], with_gradient: bool) -> Result<[f64; 2]> {
        let Self { objective, parameters, point, gradient, moved, .. } = self;
        for (moved, (w, v)) in moved.iter_mut().zip(parameters.iter().zip(&*point)) {
            *moved = w + v * w.abs();
        }
        let sums = if with_gradient {
            let sums = objective.gradient(batch, moved, gradient)?;
            gradient.iter_mut().zip(*parameters).for_each(|(g, w)| *g *= w.abs());
            sums
        } else {
            objective.value(batch, moved)?
        };
        Ok([sums.loss, sums.correct])
    }

    /// A step: `z = P(v + step · direction)`, then `v ← P(v + α (z - v) + (1 - α) (v - previous))`.
    fn advance(&mut self, shape: Norm, rho: f64, step: f64, alpha: f64) {
        let Self { point, previous, gradient, .. } = self;
        let length = norm(gradient);
        for (g, v) in gradient.iter_mut().zip(&*point) {
            let direction = match shape {
                Norm::L2 if length > 0.0 => *g / length,
                Norm::L2 => 0.0,
                // Not `signum`, which is 1 at 0.
                Norm::Linf if *g > 0.0 => 1.0,
                Norm::Linf if *g < 0.0 => -1.0,
                Norm::Linf => 0.0,
            };
            *g = v + step * direction;
        }
        project(gradient, shape, rho);
        for (v, (z, before)) in point.iter_mut().zip(gradient.iter().zip(previous)) {
            let next = *v + alpha * (z - *v) + (1.0 - alpha) * (*v - *before);
            (*before, *v) = (*v, next);
        }
        project(point, shape, rho);
    }
}

/// The point of the ball that is nearest in the Euclidean norm.
fn project(vector: &mut [f64], shape: Norm, rho: f64) {
    match shape {
        Norm::L2 => {
            let length = norm(vector);
            if length > rho {
                vector.iter_mut().for_each(|v| *v *= rho / length);
            }
        }
        Norm::Linf => vector.iter_mut().for_each(|v| *v = v.clamp(-rho, rho)),
    }
}

/// The checkpoints of algorithm 1: at the fractions 0.22, then each interval 0.03 shorter than the one before and at least 0.06.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a fraction of the iterations is no larger"
)]
fn checkpoints(iterations: usize) -> Vec<usize> {
    let (mut before, mut fraction) = (0.0, 0.22);
    let mut checkpoints = Vec::new();
    while fraction <= 1.0 {
        checkpoints.push((fraction * iterations as f64).ceil() as usize);
        (before, fraction) = (fraction, fraction + f64::max(fraction - before - 0.03, 0.06));
    }
    checkpoints.dedup();
    checkpoints
}
