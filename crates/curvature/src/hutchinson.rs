//! Hutchinson's estimators of the trace and the Frobenius norm (1990, *A stochastic estimator of the trace of the influence matrix
//! for Laplacian smoothing splines*, Commun. Stat. Simul. Comput. 19(2)): the mean of `vᵀ A v` over random
//! signs `v`.
//!
//! Each `vᵀ A v` has mean `tr A` and variance `2 (‖A‖_F² - Σ a_ii²)`, the smallest of all distributions with
//! independent entries of unit variance. The spread of the probes gives the standard error of their mean.
//! [`Probes`] computes several such estimates from the same products.

use crate::error::Error;
use crate::operator::SymmetricOperator;
use crate::params::check_tolerance;
use crate::probes::{Probes, ProbesParams};
use crate::sample::HutchinsonEstimate;

/// The parameters of [`trace()`], [`squared_frobenius_norm()`], [`hutch_plus_plus()`](crate::hutch_plus_plus()) and
/// [`xtrace()`](crate::xtrace()).
#[derive(Debug, Clone, Copy)]
pub struct HutchinsonParams {
    /// Stop when the standard error is at most this fraction of the estimate's magnitude, with 95 %
    /// confidence and after at least 8 probes. The spread of a few probes can be small by chance.
    pub rtol: f64,
    /// The largest number of probes, each of one product, at least 2.
    pub max_probes: usize,
    /// The number of products requested at once, at least 1. It does not change the result, but an operator
    /// can be faster with more. Each takes `16 dim` bytes, plus what the operator needs.
    pub block: usize,
    /// The seed of the probes. The same seed gives the same bits.
    pub seed: u64,
}

impl HutchinsonParams {
    pub(crate) fn check(&self, op: &dyn SymmetricOperator) -> Result<(), Error> {
        if op.dim() == 0 {
            return Err(Error::NoDimension);
        }
        check_tolerance("rtol", self.rtol)?;
        if self.max_probes < 2 || self.block == 0 {
            return Err(Error::Probes { max_probes: self.max_probes, block: self.block });
        }
        Ok(())
    }

    fn probes(&self, op: &dyn SymmetricOperator) -> Result<Probes, Error> {
        self.check(op)?;
        let params = ProbesParams { seed: self.seed, block: self.block, ..ProbesParams::default() };
        Probes::new(op.dim(), params)
    }
}

/// Estimates the trace of `op`. Calls `progress` with the estimate after each block.
///
/// # Errors
/// [`Error::NoDimension`], [`Error::Tolerance`] or [`Error::Probes`] for invalid parameters;
/// [`Error::Operator`] or [`Error::NonFinite`] if a product fails or is not finite. Reaching `max_probes` is
/// not an error.
pub fn trace(
    op: &mut dyn SymmetricOperator,
    params: &HutchinsonParams,
    progress: &mut dyn FnMut(&HutchinsonEstimate),
) -> Result<HutchinsonEstimate, Error> {
    params.probes(op)?.trace(op, params.rtol, params.max_probes, progress)
}

/// Estimates the squared Frobenius norm of `op`, the sum of the squares of its eigenvalues, as [`trace()`]
/// does the trace: `‖A v‖² = vᵀ A² v`.
///
/// # Errors
/// As [`trace()`].
pub fn squared_frobenius_norm(
    op: &mut dyn SymmetricOperator,
    params: &HutchinsonParams,
    progress: &mut dyn FnMut(&HutchinsonEstimate),
) -> Result<HutchinsonEstimate, Error> {
    params.probes(op)?.squared_frobenius_norm(op, params.rtol, params.max_probes, progress)
}
