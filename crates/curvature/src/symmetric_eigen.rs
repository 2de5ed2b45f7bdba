//! One door to nalgebra's decomposition of small symmetric matrices.

use nalgebra::{DMatrix, SymmetricEigen};

use crate::error::Error;

/// Iterations of the implicit QR algorithm per eigenvalue; a few are usual.
const MAX_ITERATIONS: usize = 1000;

/// Eigenvalues in ascending order and the eigenvectors in the same order, of a symmetric matrix.
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
