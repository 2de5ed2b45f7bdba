//! The front door: one function that runs the method asked for.

use crate::dense::dense;
use crate::error::Error;
use crate::lanczos::lanczos;
use crate::operator::SymmetricOperator;
use crate::params::{EigenParams, Eigenpairs, Method, Progress};
use crate::power_iteration::power_iteration;

/// Up to this dimension [`Method::Auto`] is the dense method: Lanczos needs 20 to 100 products for most spectra, so
/// that above it the dense method would cost more of them.
const AUTO_DENSE: usize = 100;

/// The wanted eigenpairs of `op` by `params.method`. `progress` is called after each look at the estimates.
///
/// # Errors
/// As the method that runs: [`lanczos()`], [`dense()`] or [`power_iteration()`].
pub fn eigenpairs(
    op: &mut dyn SymmetricOperator,
    params: &EigenParams,
    progress: &mut dyn FnMut(&Progress),
) -> Result<Eigenpairs, Error> {
    let small = op.dim() <= AUTO_DENSE.min(params.max_products);
    match params.method {
        Method::Dense => dense(op, params, progress),
        Method::Auto if small => dense(op, params, progress),
        Method::Auto | Method::Lanczos => lanczos(op, params, progress),
        Method::PowerIteration => power_iteration(op, params, progress),
    }
}
