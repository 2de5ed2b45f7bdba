//! An orthonormal basis of the products with random vectors.

use crate::vectors::{self, Entry};

/// Orthonormal vectors `[dim]`, stored in entries `T`.
pub(crate) struct Basis<T> {
    pub(crate) vectors: Vec<Vec<T>>,
}

impl<T: Entry> Basis<T> {
    pub(crate) fn new() -> Self {
        Self { vectors: Vec::new() }
    }

    pub(crate) fn len(&self) -> usize {
        self.vectors.len()
    }

    /// Appends the direction of the part of `w` that is orthogonal to the basis, and returns the coefficients of `w`. `None` if the
    /// norm of that part is at most `smallest`.
    pub(crate) fn push(&mut self, mut w: Vec<f64>, smallest: f64) -> Option<Vec<f64>> {
        // Gram-Schmidt, twice, since once leaves rounding errors of the size of `w` (Giraud et al. 2005).
        let first = vectors::project(&mut w, &self.vectors, None).coefficients;
        let second = vectors::project(&mut w, &self.vectors, Some(&first)).coefficients;
        let norm = vectors::project(&mut w, &self.vectors, Some(&second)).norm;
        if norm <= smallest {
            return None;
        }
        vectors::scale(&mut w, 1.0 / norm);
        self.vectors.push(T::narrow(w));
        Some(first.iter().zip(&second).map(|(x, y)| x + y).chain([norm]).collect())
    }

    /// Subtracts from `w` its projection on the basis.
    pub(crate) fn deflate(&self, w: &mut [f64]) {
        let coefficients = vectors::project(w, &self.vectors, None).coefficients;
        vectors::project(w, &self.vectors, Some(&coefficients));
    }
}
