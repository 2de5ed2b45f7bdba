//! Power iteration: the simplest method for the eigenvalue of largest magnitude, and the baseline for
//! Lanczos.

use crate::error::Error;
use crate::host_space::HostSpace;
use crate::operator::{Products, SymmetricOperator};
use crate::params::{EigenParams, Eigenpair, Eigenpairs, Progress, Stop};
use crate::start::start;
use crate::vectors;
use crate::which::Which;

/// Computes the eigenpair of largest magnitude by `v <- A v / ‖A v‖`.
///
/// It finds the most negative eigenvalue instead of the largest if that is farther from zero, and does not
/// converge if both have the same magnitude. Each product reduces the error by a factor `|λ_2 / λ_1|`,
/// compared with about `exp(-2 sqrt(gap))` for Lanczos. Holds three vectors. The residual is that of the
/// returned vector and takes no extra product. There is no bound, so with
/// [`bound_rtol`](EigenParams::bound_rtol) the solver stops with [`Stop::Unproved`].
///
/// # Errors
/// [`Error::PowerIteration`] unless `k = 1` and `which` is [`Which::LargestMagnitude`], and otherwise as
/// [`lanczos`](crate::lanczos()).
pub fn power_iteration(
    op: &mut dyn SymmetricOperator,
    params: &EigenParams,
    progress: &mut dyn FnMut(&Progress),
) -> Result<Eigenpairs, Error> {
    let dim = op.dim();
    params.check(dim)?;
    params.require_products(1)?;
    if params.k != 1 || params.which != Which::LargestMagnitude {
        return Err(Error::PowerIteration { k: params.k, which: params.which });
    }
    // This method gives no bound.
    let found = if params.bound_rtol.is_some() { Stop::Unproved } else { Stop::Converged };
    let (mut v, _) = start(&mut HostSpace::<f64>::new(op, params.seed), params)?;
    let mut operator = Products::new(op);
    let mut product = vec![0.0; dim];
    let mut residual_vector = vec![0.0; dim];
    loop {
        let norm = operator.apply(&v, &mut product)?;
        residual_vector.copy_from_slice(&product);
        let pair = Eigenpair::from_product(v, &mut residual_vector);
        let (value, residual, limit) = (pair.value, pair.residual, pair.limit);
        progress(&Progress { products: operator.count(), value, residual, limit });

        let rounding = operator.rounding(norm);
        let converged = residual <= params.tolerance(value, rounding);
        if converged || operator.count() >= params.max_products {
            let stop = if converged { found } else { Stop::ProductLimit };
            return Ok(Eigenpairs {
                pairs: vec![pair],
                products: operator.count(),
                stop,
                spectrum_bounds: None,
                limit_failure_probability: 0.0,
                asymmetry: 0.0,
                rounding,
                norm,
            });
        }
        v = pair.vector;
        v.copy_from_slice(&product);
        vectors::scale(&mut v, 1.0 / norm);
    }
}
