//! The vectors of Lanczos in host memory.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use crate::error::Error;
use crate::operator::SymmetricOperator;
use crate::space::VectorSpace;
use crate::vectors::{self, Entry, Projection};

/// Vectors in host memory, in `f64`, with a basis of entries `T`.
pub(crate) struct HostSpace<'a, T> {
    operator: &'a mut dyn SymmetricOperator,
    basis: Vec<Vec<T>>,
    rng: ChaCha8Rng,
}

impl<'a, T: Entry> HostSpace<'a, T> {
    pub(crate) fn new(operator: &'a mut dyn SymmetricOperator, seed: u64) -> Self {
        Self { operator, basis: Vec::new(), rng: ChaCha8Rng::seed_from_u64(seed) }
    }
}

/// `A v`.
fn product(operator: &mut dyn SymmetricOperator, v: &[f64]) -> Result<Vec<f64>, Error> {
    let mut out = vec![0.0; v.len()];
    operator.apply(v, &mut out).map_err(Error::Operator)?;
    Ok(out)
}

impl<T: Entry> VectorSpace for HostSpace<'_, T> {
    type Vector = Vec<f64>;

    fn dim(&self) -> usize {
        self.operator.dim()
    }

    fn is_single(&self) -> bool {
        self.operator.is_single()
    }

    fn basis_error(&self) -> f64 {
        T::ROUNDING
    }

    fn product_error(&self) -> f64 {
        self.operator.product_error()
    }

    fn import(&mut self, v: Vec<f64>) -> Result<Vec<f64>, Error> {
        Ok(v)
    }

    fn random_unit(&mut self) -> Result<Vec<f64>, Error> {
        Ok(vectors::random_unit(self.dim(), &mut self.rng))
    }

    fn apply(&mut self, v: &Vec<f64>) -> Result<Vec<f64>, Error> {
        product(self.operator, v)
    }

    fn dot(&mut self, x: &Vec<f64>, y: &Vec<f64>) -> Result<f64, Error> {
        Ok(vectors::dot(x, y))
    }

    fn norm(&mut self, v: &Vec<f64>) -> Result<f64, Error> {
        Ok(vectors::norm(v))
    }

    fn scale(&mut self, v: &mut Vec<f64>, factor: f64) -> Result<(), Error> {
        vectors::scale(v, factor);
        Ok(())
    }

    fn add_scaled(&mut self, y: &mut Vec<f64>, a: f64, x: &Vec<f64>) -> Result<(), Error> {
        vectors::add_scaled(y, a, x);
        Ok(())
    }

    fn push(&mut self, v: Vec<f64>) -> Result<(), Error> {
        self.basis.push(T::narrow(v));
        Ok(())
    }

    fn get(&mut self, i: usize) -> Result<Vec<f64>, Error> {
        Ok(T::widen(&self.basis[i]).into_owned())
    }

    /// Without a copy if the basis is in `f64`.
    fn apply_basis(&mut self, i: usize) -> Result<Vec<f64>, Error> {
        product(self.operator, &T::widen(&self.basis[i]))
    }

    fn project(&mut self, w: &mut Vec<f64>, subtract: Option<&[f64]>) -> Result<Projection, Error> {
        Ok(vectors::project(w, &self.basis, subtract))
    }

    fn combine(&mut self, first: usize, column: &[f64]) -> Result<Vec<f64>, Error> {
        Ok(vectors::combine(&self.basis[first..], column))
    }

    fn rotate(&mut self, first: usize, size: usize, columns: &[Vec<f64>]) -> Result<(), Error> {
        vectors::rotate(&mut self.basis[first..first + size], columns);
        Ok(())
    }

    fn keep(&mut self, order: &[usize]) -> Result<(), Error> {
        self.basis = order.iter().map(|i| std::mem::take(&mut self.basis[*i])).collect();
        Ok(())
    }
}
