//! The dense method: build the whole matrix, one product per column.

use nalgebra::DMatrix;

use crate::error::Error;
use crate::operator::{Products, SymmetricOperator};
use crate::params::{EigenParams, Eigenpair, Eigenpairs, Progress, Stop};
use crate::spectrum_bounds::SpectrumBounds;
use crate::symmetric_eigen::symmetric_eigen;
use crate::vectors;

/// The largest dimension that the dense method accepts: 2,000 products, 130 MB and a few seconds.
pub const DENSE_LIMIT: usize = 2000;
/// Products requested at once.
const BLOCK: usize = 16;

/// Computes eigenpairs by symmetrizing and decomposing the whole matrix.
///
/// Finds every copy of a repeated eigenvalue, and its bounds on the spectrum are certain. Takes `dim`
/// products and `O(dim³)` work; ignores `start`, `seed` and `memory_bytes`. Residuals refer to the matrix
/// before it was symmetrized.
///
/// # Errors
/// [`Error::DenseTooLarge`] above [`DENSE_LIMIT`], [`Error::TooFewProducts`] if `max_products < dim`, and
/// otherwise as [`lanczos`](crate::lanczos()).
pub fn dense(
    op: &mut dyn SymmetricOperator,
    params: &EigenParams,
    progress: &mut dyn FnMut(&Progress),
) -> Result<Eigenpairs, Error> {
    let dim = op.dim();
    params.check(dim)?;
    if dim > DENSE_LIMIT {
        return Err(Error::DenseTooLarge { dim, limit: DENSE_LIMIT });
    }
    params.require_products(dim)?;
    let mut operator = Products::new(op);
    let columns = columns(&mut operator)?;
    let (symmetrized, asymmetry) = symmetrize(&columns);
    let (values, vectors) = symmetric_eigen(symmetrized)?;

    let norm = values.iter().fold(0.0, |norm: f64, value| norm.max(value.abs()));
    let floor = operator.rounding(norm) * (dim as f64).sqrt();
    let allowance = floor + asymmetry;
    let spectrum_bounds = Some(SpectrumBounds {
        lower: values[0] - allowance,
        upper: values[dim - 1] + allowance,
        failure_probability: 0.0,
        steps: dim,
    });

    let mut ranked: Vec<_> = values.into_iter().zip(vectors).collect();
    ranked.sort_by(|a, b| params.which.rank(b.0).total_cmp(&params.which.rank(a.0)));
    ranked.truncate(params.k);
    let pairs: Vec<_> = ranked
        .into_iter()
        .map(|(value, vector)| {
            let limit = Some(params.which.unrank(params.which.rank(value) + allowance));
            Eigenpair { limit, ..pair(&columns, vector) }
        })
        .collect();

    let worst = pairs.iter().map(|pair| pair.residual).fold(0.0, f64::max);
    let (value, limit) = (pairs[0].value, pairs[0].limit);
    progress(&Progress { products: operator.count(), value, residual: worst, limit });
    let accepted = |pair: &Eigenpair| pair.residual <= params.tolerance(pair.value, floor);
    let stop = if pairs.iter().all(accepted) { Stop::Converged } else { Stop::Stagnated };
    Ok(Eigenpairs {
        pairs,
        products: operator.count(),
        stop,
        spectrum_bounds,
        limit_failure_probability: 0.0,
        asymmetry,
        rounding: floor,
        norm,
    })
}

fn columns(operator: &mut Products) -> Result<Vec<Vec<f64>>, Error> {
    let dim = operator.dim();
    let mut columns = vec![vec![0.0; dim]; dim];
    for (block, columns) in columns.chunks_mut(BLOCK).enumerate() {
        let mut units = vec![vec![0.0; dim]; columns.len()];
        for (i, unit) in units.iter_mut().enumerate() {
            unit[block * BLOCK + i] = 1.0;
        }
        let units: Vec<&[f64]> = units.iter().map(Vec::as_slice).collect();
        let mut columns: Vec<&mut [f64]> = columns.iter_mut().map(Vec::as_mut_slice).collect();
        operator.apply_block(&units, &mut columns)?;
    }
    Ok(columns)
}

/// `(A + Aᵀ) / 2`, and the Frobenius norm of `(A - Aᵀ) / 2`, which bounds the change of each eigenvalue.
fn symmetrize(columns: &[Vec<f64>]) -> (DMatrix<f64>, f64) {
    let dim = columns.len();
    let mut squares = 0.0;
    for (j, column) in columns.iter().enumerate() {
        for (i, entry) in column.iter().enumerate().skip(j + 1) {
            squares += 2.0 * (0.5 * (entry - columns[i][j])).powi(2);
        }
    }
    let symmetrized = DMatrix::from_fn(dim, dim, |i, j| 0.5 * (columns[j][i] + columns[i][j]));
    (symmetrized, squares.sqrt())
}

fn pair(columns: &[Vec<f64>], mut vector: Vec<f64>) -> Eigenpair {
    let norm = vectors::norm(&vector);
    vectors::scale(&mut vector, 1.0 / norm);
    let mut product = vec![0.0; vector.len()];
    for (entry, column) in vector.iter().zip(columns) {
        vectors::add_scaled(&mut product, *entry, column);
    }
    Eigenpair::from_product(vector, &mut product)
}
