//! The bound of the paper's appendix A.1 on the objective of sharpness-aware minimization:
//! `max_{‖ε‖ ≤ ρ} L(w + ε) ≤ L(w) + ρ ‖∇L(w)‖ + ρ² max(λ_max, 0) / 2`, which holds as far as the second-order expansion of `L` does.
//!
//! The maximum is not known: ascents find points in the ball, so that they can refute the bound but not prove it.

use serde::{Deserialize, Serialize};
use sharpness_network::Weights;
use sharpness_network::backend::Backend;

use super::Eigenvalue;
use super::problem::{Problem, norm};
use crate::Result;

/// Steps of an ascent.
const STEPS: usize = 20;
/// An ascent ends when a step gains less than this fraction of what the ascent has gained.
const GAIN: f64 = 1e-4;
/// The rounding of a mean loss, in units of the precision.
const LOSS_ROUNDING: f64 = 8.0;

/// The largest loss that was found near the weights, and the bound on it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct SamBound {
    /// The radius ρ.
    pub rho: f64,
    /// The largest `L(w + ε)` with `‖ε‖ ≤ ρ` that was found, by projected gradient ascent on the measured examples. The maximum is at
    /// least this.
    pub maximum: f64,
    /// `L(w) + ρ ‖∇L(w)‖ + ρ² max(λ_max, 0) / 2` with the value found of λ_max.
    pub bound: f64,
    /// Whether a point was found whose loss exceeds the bound, also if λ_max is as large as its upper bound and losses are wrong by
    /// their rounding. If not, the bound may still fail at a point that was not tried.
    pub refuted: bool,
    /// `(maximum - L) / (bound - L)`: 1 is a bound that is reached. Absent where the bound does not lie above the loss.
    pub tightness: Option<f64>,
    /// Gradients that the ascents took.
    pub gradients: usize,
}

/// A point of the loss: `L`, `∇L`, λ_max and its eigenvector.
pub(super) struct Solution<'a> {
    pub(super) loss: f64,
    pub(super) gradient: &'a [f64],
    pub(super) lambda_max: &'a Eigenvalue,
    pub(super) eigenvector: &'a [f64],
}

/// Searches the ball of radius `rho` around `weights`, from the direction of the gradient and both of the eigenvector.
pub(super) fn sam_bound<B: Backend>(
    problem: &Problem<'_, B>,
    weights: &Weights,
    at: &Solution<'_>,
    rho: f64,
    stop: &dyn Fn() -> bool,
) -> Result<SamBound> {
    let (mut maximum, mut gradients) = (at.loss, 0);
    let opposite: Vec<f64> = at.eigenvector.iter().map(|x| -x).collect();
    for start in [at.gradient, at.eigenvector, &opposite] {
        let mut direction = start.to_vec();
        let mut reached = at.loss;
        for _ in 0..STEPS {
            // The step of projected ascent in the limit of large steps, which ends at the maximum of a quadratic loss.
            if !scale_to(&mut direction, rho) {
                break;
            }
            let moved = weights.parameters.iter().zip(&direction).map(|(w, e)| w + e).collect();
            let moved = Weights { parameters: moved, state: weights.state.clone() };
            let here = problem.linearize(&moved, "a point near the weights", stop)?;
            gradients += 1;
            let gain = here.loss() - reached;
            reached = here.loss();
            maximum = maximum.max(reached);
            if gain <= GAIN * (reached - at.loss).abs() {
                break;
            }
            direction.copy_from_slice(here.gradient());
        }
    }
    let bound = |lambda_max: f64| at.loss + rho * norm(at.gradient) + 0.5 * rho * rho * lambda_max.max(0.0);
    let most = bound(at.lambda_max.upper.unwrap_or(at.lambda_max.value));
    let rounding = if problem.is_double() { f64::EPSILON } else { f64::from(f32::EPSILON) };
    let refuted = maximum > most + LOSS_ROUNDING * rounding * (maximum.abs() + most.abs());
    let bound = bound(at.lambda_max.value);
    let tightness = (bound > at.loss).then(|| (maximum - at.loss) / (bound - at.loss));
    Ok(SamBound { rho, maximum, bound, refuted, tightness, gradients })
}

/// Gives a vector the length `rho`. Says whether it has a direction.
fn scale_to(vector: &mut [f64], rho: f64) -> bool {
    let length = norm(vector);
    if length > 0.0 {
        vector.iter_mut().for_each(|x| *x *= rho / length);
    }
    length > 0.0
}
