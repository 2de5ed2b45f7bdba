//! Where the vectors of Lanczos live, and the arithmetic on them.

use crate::error::Error;
use crate::vectors::Projection;

/// A symmetric operator `A` whose vectors stay where its products are computed, for example on an accelerator.
///
/// [`lanczos_in`](crate::lanczos_in()) runs on any such space. [`lanczos`](crate::lanczos()) runs on the one in host memory, for a
/// [`SymmetricOperator`](crate::SymmetricOperator).
///
/// A space has an orthonormal *basis*, a sequence of stored vectors `[dim]` which is empty at first, and hands out other vectors
/// `[dim]` of type [`Vector`](Self::Vector). Only numbers in `f64` leave it: coefficients, dot products and norms. The solver
/// decides by these alone, so their errors, and those of the arithmetic on vectors, should be at most those of sums in `f64`.
///
/// # Errors
/// Every method can fail, and the solver stops at the first failure: [`Error::Operator`] with any error of the implementation.
pub trait VectorSpace {
    /// A vector `[dim]` that is not stored in the basis.
    type Vector;

    /// The number of rows of `A`.
    fn dim(&self) -> usize;

    /// Whether the basis is stored in single precision; see [`lanczos_bytes`](crate::lanczos_bytes).
    fn is_single(&self) -> bool;

    /// The largest relative error, beyond the rounding of `f64`, of a vector of the basis.
    fn basis_error(&self) -> f64;

    /// See [`SymmetricOperator::product_error`](crate::SymmetricOperator::product_error).
    fn product_error(&self) -> f64;

    /// A copy of a vector in host memory.
    fn import(&mut self, v: Vec<f64>) -> Result<Self::Vector, Error>;

    /// A uniformly random unit vector, independent of the earlier ones.
    fn random_unit(&mut self) -> Result<Self::Vector, Error>;

    /// `A v`.
    fn apply(&mut self, v: &Self::Vector) -> Result<Self::Vector, Error>;

    /// `xᵀ y`.
    fn dot(&mut self, x: &Self::Vector, y: &Self::Vector) -> Result<f64, Error>;

    /// The Euclidean norm, even if the squares overflow or underflow. Not finite if and only if an entry is not.
    fn norm(&mut self, v: &Self::Vector) -> Result<f64, Error>;

    /// `v *= factor`.
    fn scale(&mut self, v: &mut Self::Vector, factor: f64) -> Result<(), Error>;

    /// `y += a x`.
    fn add_scaled(&mut self, y: &mut Self::Vector, a: f64, x: &Self::Vector) -> Result<(), Error>;

    /// Appends a vector to the basis.
    fn push(&mut self, v: Self::Vector) -> Result<(), Error>;

    /// A copy of vector `i` of the basis.
    fn get(&mut self, i: usize) -> Result<Self::Vector, Error>;

    /// `A v` for vector `i` of the basis.
    fn apply_basis(&mut self, i: usize) -> Result<Self::Vector, Error> {
        let v = self.get(i)?;
        self.apply(&v)
    }

    /// Computes `w -= V c` if `c` is given, then `Vᵀ w` and `‖w‖`, where `V` is the whole basis.
    fn project(&mut self, w: &mut Self::Vector, subtract: Option<&[f64]>) -> Result<Projection, Error>;

    /// `V s`, where `V` are the vectors of the basis from `first` and `s` is `column`.
    fn combine(&mut self, first: usize, column: &[f64]) -> Result<Self::Vector, Error>;

    /// Replaces the vectors of the basis from `first` by `V S`, where `V` are the `size` vectors from `first` and `columns` are the
    /// columns of `S: [size, columns.len()]`. The rest of the `size` vectors is meaningless afterwards.
    fn rotate(&mut self, first: usize, size: usize, columns: &[Vec<f64>]) -> Result<(), Error>;

    /// Keeps only these vectors of the basis, in this order.
    fn keep(&mut self, order: &[usize]) -> Result<(), Error>;

    /// The Rayleigh quotient `θ = uᵀ A u` of a unit vector `u` and the residual `‖A u - θ u‖`, given the product `A u`.
    fn quotient_and_residual(
        &mut self,
        u: &Self::Vector,
        mut product: Self::Vector,
    ) -> Result<(f64, f64), Error> {
        let value = self.dot(u, &product)?;
        self.add_scaled(&mut product, -value, u)?;
        Ok((value, self.norm(&product)?))
    }
}
