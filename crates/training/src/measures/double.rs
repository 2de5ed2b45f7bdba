//! Eigenpairs of an engine in single precision, checked by products in double precision.
//!
//! A solver works on the Hessian that its engine computes. In `f32` it differs from the true one, usually by `1e-6`
//! relative, and by far more if the loss is sensitive to its activations, as with a saturated softmax. One product of
//! each eigenvector in `f64` gives the true Rayleigh quotient and residual, and reveals the difference.

use sharpness_curvature::{Eigenpairs, Which};
use sharpness_network::Weights;
use sharpness_network::backend::Backend;

use super::problem::Problem;
use super::target::Target;
use crate::Result;

/// Eigenpairs of the Hessian, and what is known of the rounding in them.
pub(super) struct Checked {
    /// The pairs, with values and residuals in double precision where they could be checked.
    pub(super) solved: Eigenpairs,
    /// What rounding may still have changed in the values; `None` if it is not known.
    pub(super) rounding: Option<f64>,
}

/// Checks eigenpairs of `target` at `weights`. Costs a linearization and a product per pair in double precision, unless the engine
/// already computes in double precision.
///
/// # Errors
/// [`Error::MeasureStopped`](crate::Error::MeasureStopped); a product that is not finite.
pub(super) fn check<B: Backend>(
    problem: &Problem<'_, B>,
    weights: &Weights,
    target: &Target,
    which: Which,
    mut solved: Eigenpairs,
) -> Result<Checked> {
    if problem.is_double() {
        let rounding = Some(solved.rounding);
        return Ok(Checked { solved, rounding });
    }
    let Some(double) = problem.double() else { return Ok(Checked { solved, rounding: None }) };
    let mut operator = problem.streaming(double, weights);
    let block = problem.streaming_block(double);
    let rounding = target.with(&mut operator, |operator| solved.recompute(operator, which, block))?;
    Ok(Checked { solved, rounding: Some(rounding) })
}
