//! Eigenpairs of an engine in single precision, checked by products in double precision.
//!
//! A solver works on the Hessian that its engine computes. In `f32` it differs from the true one, usually by `1e-6`
//! relative, and by far more if the loss is sensitive to its activations, as with a saturated softmax. One product of
//! each eigenvector in `f64` gives the true Rayleigh quotient and residual, and reveals the difference.

use sharpness_curvature::{Eigenpairs, SymmetricOperator as _, Which, rounding};
use sharpness_network::Weights;
use sharpness_network::backend::Backend;

use super::problem::{Problem, norm, solver_error};
use crate::Result;

/// The ratio of the rounding of `f64` to that of `f32`.
const PRECISION_RATIO: f64 = f64::EPSILON / f32::EPSILON as f64;

/// Eigenpairs of the Hessian, and what is known of the rounding in them.
pub(super) struct Checked {
    /// The pairs, with values and residuals in double precision where they could be checked.
    pub(super) solved: Eigenpairs,
    /// What rounding may still have changed in the values; `None` if it is not known.
    pub(super) rounding: Option<f64>,
}

/// Checks eigenpairs at `weights`. Costs a linearization and a product per pair in double precision, unless the engine
/// already computes in double precision.
///
/// # Errors
/// [`Error::MeasureStopped`](crate::Error::MeasureStopped); a product that is not finite.
pub(super) fn check<B: Backend>(
    problem: &Problem<'_, B>,
    weights: &Weights,
    which: Which,
    mut solved: Eigenpairs,
) -> Result<Checked> {
    if problem.is_double() {
        let rounding = Some(solved.rounding);
        return Ok(Checked { solved, rounding });
    }
    let Some(double) = problem.double() else { return Ok(Checked { solved, rounding: None }) };
    let mut operator = problem.streaming(double, weights);
    let dim = operator.dim();
    let mut distance = 0.0_f64;
    for pairs in solved.pairs.chunks_mut(problem.streaming_block(double)) {
        let mut products = vec![vec![0.0; dim]; pairs.len()];
        let vectors: Vec<&[f64]> = pairs.iter().map(|pair| pair.vector.as_slice()).collect();
        let mut outs: Vec<&mut [f64]> = products.iter_mut().map(Vec::as_mut_slice).collect();
        operator
            .apply_block(&vectors, &mut outs)
            .map_err(|error| solver_error(sharpness_curvature::Error::Operator(error)))?;
        for (pair, product) in pairs.iter_mut().zip(&mut products) {
            let value: f64 = pair.vector.iter().zip(&*product).map(|(u, p)| u * p).sum();
            product.iter_mut().zip(&pair.vector).for_each(|(p, u)| *p -= value * u);
            let residual = norm(product);
            // ‖(H64 - H32) u‖, as far as it is known without the product in single precision.
            distance = distance.max((value - pair.value).abs() + residual + pair.residual);
            (pair.value, pair.residual) = (value, residual);
        }
    }
    let outwards = if which == Which::SmallestAlgebraic { -1.0 } else { 1.0 };
    for pair in &mut solved.pairs {
        pair.limit = pair.limit.map(|limit| limit + outwards * distance);
    }
    solved.pairs.sort_by(|a, b| (outwards * b.value).total_cmp(&(outwards * a.value)));
    let rounding = rounding(solved.norm, dim).max(distance * PRECISION_RATIO);
    Ok(Checked { solved, rounding: Some(rounding) })
}
