//! Power iteration: the simplest way to the eigenvalue of largest magnitude, kept as the baseline for Lanczos.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use crate::error::Error;
use crate::operator::{Products, SymmetricOperator};
use crate::params::{EigenParams, Eigenpair, Eigenpairs, Progress, Stop, Which};
use crate::start::start;
use crate::vectors;

/// The eigenpair of largest magnitude, by `v <- A v / ‖A v‖`.
///
/// It does not find the largest eigenvalue when the most negative one is farther from zero, and it does not converge
/// when the two have the same magnitude. The error shrinks by `|λ_2 / λ_1|` per product, against about
/// `exp(-2 sqrt(gap))` for Lanczos. Memory: three vectors. The residual belongs to the returned vector, without a product
/// of its own.
///
/// # Errors
/// [`Error::PowerIteration`] unless `k = 1` and `which` is [`Which::LargestMagnitude`]; else as
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
    let mut operator = Products::new(op);
    let (mut v, _) = start(params, dim, &mut ChaCha8Rng::seed_from_u64(params.seed));
    let mut product = vec![0.0; dim];
    let mut residual = vec![0.0; dim];
    loop {
        let norm = operator.apply(&v, &mut product)?;
        residual.copy_from_slice(&product);
        let pair = Eigenpair::from_product(v, &mut residual);
        progress(&Progress { products: operator.count(), value: pair.value, residual: pair.residual });

        let converged = pair.residual <= params.tolerance(pair.value, norm, dim);
        if converged || operator.count() >= params.max_products {
            let stop = if converged { Stop::Converged } else { Stop::ProductLimit };
            return Ok(Eigenpairs {
                pairs: vec![pair],
                products: operator.count(),
                stop,
                spectrum_bounds: None,
                asymmetry: 0.0,
            });
        }
        v = pair.vector;
        v.copy_from_slice(&product);
        vectors::scale(&mut v, 1.0 / norm);
    }
}
