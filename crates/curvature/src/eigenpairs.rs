//! The entry point: runs the method that the parameters name.

use crate::dense::dense;
use crate::error::Error;
use crate::lanczos::lanczos;
use crate::operator::SymmetricOperator;
use crate::params::{EigenParams, Eigenpairs, Method, Progress};
use crate::power_iteration::power_iteration;

/// Computes the eigenpairs of `op` that `params` ask for, with `params.method`. Calls `progress` each time
/// the estimates are updated.
///
/// # Errors
/// Those of the chosen method: [`lanczos()`], [`dense()`] or [`power_iteration()`].
pub fn eigenpairs(
    op: &mut dyn SymmetricOperator,
    params: &EigenParams,
    progress: &mut dyn FnMut(&Progress),
) -> Result<Eigenpairs, Error> {
    match params.method_for(op.dim()) {
        Method::Dense => dense(op, params, progress),
        Method::Auto | Method::Lanczos => lanczos(op, params, progress),
        Method::PowerIteration => power_iteration(op, params, progress),
    }
}
