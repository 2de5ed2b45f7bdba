//! The bound of the paper's appendix A.1 on the objective of sharpness-aware minimization:
//! `max_{‖ε‖ ≤ ρ} L(w + ε) ≤ L(w) + ρ ‖∇L(w)‖ + ρ² λ_max / 2`, which holds as far as the second-order expansion of `L` does.

use serde::{Deserialize, Serialize};
use sharpness_network::Weights;
use sharpness_network::backend::Backend;

use super::problem::{Problem, norm};
use crate::Result;

/// Steps of an ascent.
const STEPS: usize = 20;
/// An ascent ends when a step gains less than this fraction of what the ascent has gained.
const GAIN: f64 = 1e-4;

/// The largest loss that was found near the weights, and the bound on it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct SamBound {
    /// The radius ρ.
    pub rho: f64,
    /// The largest `L(w + ε)` with `‖ε‖ ≤ ρ` that was found, by projected gradient ascent on the measured examples. The maximum is at
    /// least this.
    pub maximum: f64,
    /// `L(w) + ρ ‖∇L(w)‖ + ρ² λ_max / 2`.
    pub bound: f64,
    /// Whether the bound lies above what was found.
    pub holds: bool,
    /// `(maximum - L) / (bound - L)`: 1 is a bound that is reached. Absent where the bound does not lie above the loss.
    pub tightness: Option<f64>,
    /// Gradients that the ascents took.
    pub gradients: usize,
}

/// A point of the loss: `L`, `∇L`, `λ_max` and its eigenvector.
pub(super) struct Solution<'a> {
    pub(super) loss: f64,
    pub(super) gradient: &'a [f64],
    pub(super) lambda_max: f64,
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
    let bound = at.loss + rho * norm(at.gradient) + 0.5 * rho * rho * at.lambda_max;
    let tightness = (bound > at.loss).then(|| (maximum - at.loss) / (bound - at.loss));
    Ok(SamBound { rho, maximum, bound, holds: maximum <= bound, tightness, gradients })
}

/// Gives a vector the length `rho`. Says whether it has a direction.
fn scale_to(vector: &mut [f64], rho: f64) -> bool {
    let length = norm(vector);
    if length > 0.0 {
        vector.iter_mut().for_each(|x| *x *= rho / length);
    }
    length > 0.0
}
