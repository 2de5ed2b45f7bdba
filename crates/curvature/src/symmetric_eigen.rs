//! The eigenvalue decomposition of small symmetric matrices, by nalgebra.

use nalgebra::{DMatrix, SymmetricEigen};

use crate::error::Error;

/// Iterations of the implicit QR algorithm per eigenvalue. It usually takes a few.
const MAX_ITERATIONS: usize = 1000;

/// The eigenvalues of a symmetric matrix in ascending order, and their eigenvectors in the same order.
pub(crate) fn symmetric_eigen(matrix: DMatrix<f64>) -> Result<(Vec<f64>, Vec<Vec<f64>>), Error> {
    let size = matrix.nrows();
    let limit = MAX_ITERATIONS * size.max(1);
    let eigen = SymmetricEigen::try_new(matrix, f64::EPSILON, limit).ok_or(Error::Decomposition { size })?;
    let mut order: Vec<usize> = (0..size).collect();
    order.sort_by(|&i, &j| eigen.eigenvalues[i].total_cmp(&eigen.eigenvalues[j]));
    let values = order.iter().map(|&i| eigen.eigenvalues[i]).collect();
    let vectors = order.iter().map(|&i| eigen.eigenvectors.column(i).iter().copied().collect()).collect();
    Ok((values, vectors))
}
