//! The search for the largest loss in a ball around the weights.

use sharpness_network::backend::Backend;

use super::measure::Solution;
use super::problem::norm;
use super::value::Objective;
use crate::{Error, Result};

/// An ascent ends when a step gains less than this fraction of what the ascent has gained.
const GAIN: f64 = 1e-4;

/// The place of an error at moved weights.
pub(super) const NEARBY: &str = "a point near the weights";

/// The largest loss that was found.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ascent {
    /// The largest `L(w + ε)`; the maximum is at least this.
    pub(super) maximum: f64,
    /// Gradients that it took.
    pub(super) gradients: usize,
}

/// Searches the ball `‖ε‖ ≤ ρ` around the weights for the largest loss of the measured examples by projected gradient ascents of up to
/// `steps` steps each: in the direction of the gradient and in both of the eigenvector of λ_max.
///
/// # Errors
/// [`Error::NotFinite`] if the loss or its gradient is not finite somewhere in the ball; [`Error::MeasureStopped`].
pub(super) fn largest_loss<B: Backend>(at: &Solution<'_, '_, B>, rho: f64, steps: usize) -> Result<Ascent> {
    let (problem, weights, eigenvector) = (at.problem, at.weights, &at.largest.solved.pairs[0].vector);
    let mut objective = Objective::gradients(problem, weights);
    let (mut maximum, mut gradients) = (at.loss, 0);
    let mut moved = vec![0.0; eigenvector.len()];
    for (start, sign) in [(&at.gradient, 1.0), (eigenvector, 1.0), (eigenvector, -1.0)] {
        let mut direction: Vec<f64> = start.iter().map(|x| sign * x).collect();
        let mut reached = at.loss;
        for _ in 0..steps {
            // The step of projected ascent in the limit of large steps, which ends at the maximum of a quadratic loss.
            if !scale_to(&mut direction, rho) {
                break;
            }
            add(&weights.parameters, &direction, &mut moved);
            let loss = objective.gradient(problem.numbers(), &moved, &mut direction)?.loss;
            gradients += 1;
            for (quantity, value) in [("loss", loss), ("norm of the loss's gradient", norm(&direction))] {
                if !value.is_finite() {
                    return Err(Error::NotFinite { quantity, value, place: NEARBY.to_owned() });
                }
            }
            let gain = loss - reached;
            reached = loss;
            maximum = maximum.max(reached);
            if gain <= GAIN * (reached - at.loss).abs() {
                break;
            }
        }
    }
    Ok(Ascent { maximum, gradients })
}

/// `sum = a + b`.
pub(super) fn add(a: &[f64], b: &[f64], sum: &mut [f64]) {
    for (sum, (a, b)) in sum.iter_mut().zip(a.iter().zip(b)) {
        *sum = a + b;
    }
}

/// Scales a vector to the length `rho`. Returns whether it has a direction.
pub(super) fn scale_to(vector: &mut [f64], rho: f64) -> bool {
    let length = norm(vector);
    if length > 0.0 {
        vector.iter_mut().for_each(|x| *x *= rho / length);
    }
    length > 0.0
}
