//! The operator whose eigenvalues are computed: a dimension and a product.

use crate::error::{ApplyError, Error};
use crate::vectors;

/// A real symmetric operator `A` that is known only by `v -> A v`.
///
/// `apply` takes `&mut self` so that an operator may own its scratch buffers.
pub trait SymmetricOperator {
    /// The number of rows of `A`.
    fn dim(&self) -> usize;

    /// Overwrites `out: [dim]` with `A v`, where `v: [dim]`.
    ///
    /// # Errors
    /// When the product cannot be made; the solver then stops and carries the reason in [`Error::Operator`].
    fn apply(&mut self, v: &[f64], out: &mut [f64]) -> Result<(), ApplyError>;
}

/// A matrix held entry by entry. Only for small dimensions and tests: it takes `8 dim²` bytes.
#[derive(Debug, Clone)]
pub struct DenseOperator {
    dim: usize,
    entries: Vec<f64>,
}

impl DenseOperator {
    /// The operator of the matrix with these `entries: [dim, dim]` in row order. Symmetry is the caller's duty.
    ///
    /// # Errors
    /// [`Error::NotSquare`] when there are not `dim * dim` entries.
    pub fn new(dim: usize, entries: Vec<f64>) -> Result<Self, Error> {
        if dim.checked_mul(dim) == Some(entries.len()) {
            Ok(Self { dim, entries })
        } else {
            Err(Error::NotSquare { dim, entries: entries.len() })
        }
    }

    /// The matrix `[dim, dim]` in row order.
    pub fn entries(&self) -> &[f64] {
        &self.entries
    }
}

impl SymmetricOperator for DenseOperator {
    fn dim(&self) -> usize {
        self.dim
    }

    fn apply(&mut self, v: &[f64], out: &mut [f64]) -> Result<(), ApplyError> {
        for (out, row) in out.iter_mut().zip(self.entries.chunks_exact(self.dim)) {
            *out = vectors::dot(row, v);
        }
        Ok(())
    }
}

/// Counts the products of an operator and checks that they are finite.
pub(crate) struct Products<'a> {
    operator: &'a mut dyn SymmetricOperator,
    count: usize,
}

impl<'a> Products<'a> {
    pub(crate) fn new(operator: &'a mut dyn SymmetricOperator) -> Self {
        Self { operator, count: 0 }
    }

    pub(crate) fn count(&self) -> usize {
        self.count
    }

    pub(crate) fn dim(&self) -> usize {
        self.operator.dim()
    }

    /// Overwrites `out` with `A v` and returns the norm of `out`.
    pub(crate) fn apply(&mut self, v: &[f64], out: &mut [f64]) -> Result<f64, Error> {
        self.operator.apply(v, out).map_err(Error::Operator)?;
        self.count += 1;
        let norm = vectors::norm(out);
        if norm.is_finite() { Ok(norm) } else { Err(Error::NonFinite { product: self.count }) }
    }
}
