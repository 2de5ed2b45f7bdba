//! A symmetric operator: a dimension and a product with a vector.

use crate::error::{ApplyError, Error, finite_norm};
use crate::params::rounding;
use crate::vectors;

/// A real symmetric operator `A`, known only by its products `v -> A v`.
///
/// `apply` takes `&mut self` so that an operator can own its scratch buffers.
pub trait SymmetricOperator {
    /// The number of rows of `A`.
    fn dim(&self) -> usize;

    /// Overwrites `out: [dim]` with `A v`, where `v: [dim]`.
    ///
    /// # Errors
    /// Any failure; the solver stops and returns it as [`Error::Operator`].
    fn apply(&mut self, v: &[f64], out: &mut [f64]) -> Result<(), ApplyError>;

    /// Overwrites each `outs[i]` with `A vs[i]`, the same vectors as [`Self::apply`] gives. Override the
    /// default, which applies the operator to one vector after the other, if several products at once are
    /// cheaper.
    ///
    /// # Errors
    /// As [`Self::apply`].
    fn apply_block(&mut self, vs: &[&[f64]], outs: &mut [&mut [f64]]) -> Result<(), ApplyError> {
        vs.iter().zip(outs).try_for_each(|(v, out)| self.apply(v, out))
    }

    /// Whether products are computed in single precision. If so, [`lanczos`](crate::lanczos()) stores its basis
    /// in `f32`. That halves its memory and changes a vector by less than the rounding of its product does.
    fn is_single(&self) -> bool {
        false
    }

    /// The error of a product with a unit vector, in units of `‖A‖`, beyond the rounding of `f64`. Solvers
    /// accept residuals that it explains. By default that of sums in `f32` if the operator
    /// [is single](Self::is_single), otherwise zero.
    fn product_error(&self) -> f64 {
        if self.is_single() { SINGLE_ROUNDING } else { 0.0 }
    }
}

/// A matrix stored entry by entry, in `8 dim²` bytes: for tests and small dimensions.
#[derive(Debug, Clone)]
pub struct DenseOperator {
    dim: usize,
    entries: Vec<f64>,
}

impl DenseOperator {
    /// The matrix with `entries: [dim, dim]` in row-major order. The caller ensures that it is symmetric.
    ///
    /// # Errors
    /// [`Error::NotSquare`] if there are not `dim * dim` entries.
    pub fn new(dim: usize, entries: Vec<f64>) -> Result<Self, Error> {
        if dim.checked_mul(dim) == Some(entries.len()) {
            Ok(Self { dim, entries })
        } else {
            Err(Error::NotSquare { dim, entries: entries.len() })
        }
    }

    /// The entries `[dim, dim]` in row-major order.
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

/// The rounding error of a product in single precision, in units of `‖A‖`: eight times the machine epsilon,
/// since errors of the sums inside a network accumulate.
const SINGLE_ROUNDING: f64 = 8.0 * f32::EPSILON as f64;

/// Counts the products of an operator and rejects those that are not finite.
pub(crate) struct Products<'a> {
    operator: &'a mut dyn SymmetricOperator,
    count: usize,
}

impl<'a> Products<'a> {
    pub(crate) fn new(operator: &'a mut dyn SymmetricOperator) -> Self {
        Self::after(operator, 0)
    }

    /// Counts on from `count` earlier products.
    pub(crate) fn after(operator: &'a mut dyn SymmetricOperator, count: usize) -> Self {
        Self { operator, count }
    }

    pub(crate) fn count(&self) -> usize {
        self.count
    }

    pub(crate) fn dim(&self) -> usize {
        self.operator.dim()
    }

    /// The residual that rounding of the products explains, given an estimate `norm` of `‖A‖`.
    pub(crate) fn rounding(&self, norm: f64) -> f64 {
        rounding(norm, self.dim()).max(self.operator.product_error() * norm)
    }

    /// Overwrites `out` with `A v` and returns the norm of `out`.
    pub(crate) fn apply(&mut self, v: &[f64], out: &mut [f64]) -> Result<f64, Error> {
        self.operator.apply(v, out).map_err(Error::Operator)?;
        self.counted_norm(out)
    }

    /// Overwrites each `outs[i]` with `A vs[i]`.
    pub(crate) fn apply_block(&mut self, vs: &[&[f64]], outs: &mut [&mut [f64]]) -> Result<(), Error> {
        self.operator.apply_block(vs, outs).map_err(Error::Operator)?;
        outs.iter().try_for_each(|out| self.counted_norm(out).map(|_| ()))
    }

    /// `A v` for each of `vs`, all at once.
    pub(crate) fn products(&mut self, vs: &[&[f64]]) -> Result<Vec<Vec<f64>>, Error> {
        let mut products = vec![vec![0.0; self.dim()]; vs.len()];
        let mut outs: Vec<&mut [f64]> = products.iter_mut().map(Vec::as_mut_slice).collect();
        self.apply_block(vs, &mut outs)?;
        Ok(products)
    }

    fn counted_norm(&mut self, product: &[f64]) -> Result<f64, Error> {
        self.count += 1;
        finite_norm(vectors::norm(product), product.len(), self.count)
    }
}
