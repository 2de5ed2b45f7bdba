//! One door to faer's decomposition of small symmetric matrices.

use faer::{Mat, Side};

use crate::error::Error;

/// Eigenvalues in ascending order and the eigenvectors in the same order, of the matrix whose lower triangle is given.
pub(crate) fn symmetric_eigen(matrix: &Mat<f64>) -> Result<(Vec<f64>, Vec<Vec<f64>>), Error> {
    let size = matrix.nrows();
    let eigen = matrix.self_adjoint_eigen(Side::Lower).map_err(|_| Error::Decomposition { size })?;
    let values = eigen.S().column_vector().iter().copied().collect();
    let vectors = eigen.U().col_iter().map(|column| column.iter().copied().collect()).collect();
    Ok((values, vectors))
}
