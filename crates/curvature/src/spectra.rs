//! Operators with given eigenvalues, for tests and benchmarks.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use crate::error::{ApplyError, Error};
use crate::operator::{DenseOperator, SymmetricOperator};
use crate::vectors;

/// A symmetric matrix with the given eigenvalues and random eigenvectors: `Q diag(λ) Qᵀ`, where `Q` is a
/// product of `dim` random reflections. Takes `O(dim³)` work.
///
/// # Errors
/// None; the signature is that of [`DenseOperator::new`].
pub fn with_eigenvalues(eigenvalues: &[f64], seed: u64) -> Result<DenseOperator, Error> {
    let dim = eigenvalues.len();
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut rows: Vec<Vec<f64>> = vec![vec![0.0; dim]; dim];
    for (i, value) in eigenvalues.iter().enumerate() {
        rows[i][i] = *value;
    }
    for _ in 0..dim {
        let u = vectors::random_unit(dim, &mut rng);
        // (I - 2 u uᵀ) A (I - 2 u uᵀ) = A - u qᵀ - q uᵀ with q = 2 A u - 2 (uᵀ A u) u.
        let mut q: Vec<f64> = rows.iter().map(|row| 2.0 * vectors::dot(row, &u)).collect();
        let quadratic = vectors::dot(&q, &u);
        vectors::add_scaled(&mut q, -quadratic, &u);
        for (i, row) in rows.iter_mut().enumerate() {
            vectors::add_scaled(row, -u[i], &q);
            vectors::add_scaled(row, -q[i], &u);
        }
    }
    // Rounding makes the two triangles differ slightly.
    let entries = (0..dim * dim).map(|at| (at / dim, at % dim));
    let entries = entries.map(|(i, j)| 0.5 * (rows[i][j] + rows[j][i])).collect();
    DenseOperator::new(dim, entries)
}

/// The operator `diag(λ)`, for large dimensions. From a random start, it is as hard as any other operator
/// with these eigenvalues.
#[derive(Debug, Clone)]
pub struct Diagonal(pub Vec<f64>);

impl SymmetricOperator for Diagonal {
    fn dim(&self) -> usize {
        self.0.len()
    }

    fn apply(&mut self, v: &[f64], out: &mut [f64]) -> Result<(), ApplyError> {
        for ((out, v), value) in out.iter_mut().zip(v).zip(&self.0) {
            *out = value * v;
        }
        Ok(())
    }
}
