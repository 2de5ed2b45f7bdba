//! Operators made from another one: `D A D` with a diagonal `D`, and the diagonal blocks of `A`.

use std::ops::Range;

use crate::error::{ApplyError, Error};
use crate::operator::SymmetricOperator;
use crate::ranges;

/// The operator `D A D` for a diagonal matrix `D`. With the Hessian for `A`, it is that of the adaptive sharpness (`D = diag |w|`;
/// Kwon et al. 2021, arXiv 2102.11600) or that of a preconditioned optimizer (`D = P^(-1/2)`; Cohen et al. 2022, arXiv 2207.14484).
///
/// A product takes one of `A`, and `8 dim` bytes per vector of a block. Its [error](SymmetricOperator::product_error) is that of `A`,
/// which assumes that the error of an entry of a product is relative to the sizes of its summands, as that of rounding is.
pub struct Scaled<'a> {
    operator: &'a mut dyn SymmetricOperator,
    scale: &'a [f64],
    buffers: Vec<Vec<f64>>,
}

impl<'a> Scaled<'a> {
    /// The operator `D A D`, where `scale: [dim]` is the diagonal of `D`, of any sign.
    ///
    /// # Errors
    /// [`Error::ScaleLength`] unless it has `dim` entries, [`Error::ScaleEntry`] unless they are finite.
    pub fn new(operator: &'a mut dyn SymmetricOperator, scale: &'a [f64]) -> Result<Self, Error> {
        let dim = operator.dim();
        if scale.len() != dim {
            return Err(Error::ScaleLength { length: scale.len(), dim });
        }
        if let Some((index, value)) = scale.iter().enumerate().find(|(_, value)| !value.is_finite()) {
            return Err(Error::ScaleEntry { index, value: *value });
        }
        Ok(Self { operator, scale, buffers: Vec::new() })
    }
}

impl SymmetricOperator for Scaled<'_> {
    fn dim(&self) -> usize {
        self.scale.len()
    }

    fn apply(&mut self, v: &[f64], out: &mut [f64]) -> Result<(), ApplyError> {
        self.apply_block(&[v], &mut [out])
    }

    fn apply_block(&mut self, vs: &[&[f64]], outs: &mut [&mut [f64]]) -> Result<(), ApplyError> {
        grow(&mut self.buffers, vs.len(), self.scale.len());
        for (buffer, v) in self.buffers.iter_mut().zip(vs) {
            for ((x, v), scale) in buffer.iter_mut().zip(*v).zip(self.scale) {
                *x = scale * v;
            }
        }
        let scaled: Vec<&[f64]> = self.buffers.iter().take(vs.len()).map(Vec::as_slice).collect();
        self.operator.apply_block(&scaled, outs)?;
        for out in outs {
            out.iter_mut().zip(self.scale).for_each(|(x, scale)| *x *= scale);
        }
        Ok(())
    }

    fn is_single(&self) -> bool {
        self.operator.is_single()
    }

    fn product_error(&self) -> f64 {
        self.operator.product_error()
    }
}

/// The diagonal block `A[S, S]` of an operator, for a set `S` of indices: for example the Hessian with respect to one layer.
///
/// A product takes one of `A`, and 16 bytes per row of `A` and vector of a block. Its [error](SymmetricOperator::product_error) is
/// that of `A`, under the assumption stated at [`Scaled`].
pub struct Block<'a> {
    operator: &'a mut dyn SymmetricOperator,
    ranges: Vec<Range<usize>>,
    dim: usize,
    /// Vectors of `A` that are zero outside the block, and their products.
    embedded: Vec<Vec<f64>>,
    products: Vec<Vec<f64>>,
}

impl<'a> Block<'a> {
    /// The block of the indices in `ranges`, in their order. Its dimension is their number.
    ///
    /// # Errors
    /// [`Error::NoDimension`] if there are no indices, [`Error::Range`] unless the ranges are ascending, disjoint, not empty and
    /// within the dimension of `operator`.
    pub fn new(operator: &'a mut dyn SymmetricOperator, ranges: Vec<Range<usize>>) -> Result<Self, Error> {
        let dim = ranges::total(&ranges, operator.dim())?;
        Ok(Self { operator, ranges, dim, embedded: Vec::new(), products: Vec::new() })
    }
}

impl SymmetricOperator for Block<'_> {
    fn dim(&self) -> usize {
        self.dim
    }

    fn apply(&mut self, v: &[f64], out: &mut [f64]) -> Result<(), ApplyError> {
        self.apply_block(&[v], &mut [out])
    }

    fn apply_block(&mut self, vs: &[&[f64]], outs: &mut [&mut [f64]]) -> Result<(), ApplyError> {
        let dim = self.operator.dim();
        grow(&mut self.embedded, vs.len(), dim);
        grow(&mut self.products, vs.len(), dim);
        for (embedded, v) in self.embedded.iter_mut().zip(vs) {
            let mut rest = *v;
            for range in &self.ranges {
                let (part, after) = rest.split_at(range.len());
                embedded[range.clone()].copy_from_slice(part);
                rest = after;
            }
        }
        let inputs: Vec<&[f64]> = self.embedded.iter().take(vs.len()).map(Vec::as_slice).collect();
        let mut products: Vec<&mut [f64]> =
            self.products.iter_mut().take(vs.len()).map(Vec::as_mut_slice).collect();
        self.operator.apply_block(&inputs, &mut products)?;
        for (out, product) in outs.iter_mut().zip(&self.products) {
            let entries = self.ranges.iter().flat_map(|range| &product[range.clone()]);
            out.iter_mut().zip(entries).for_each(|(x, entry)| *x = *entry);
        }
        Ok(())
    }

    fn is_single(&self) -> bool {
        self.operator.is_single()
    }

    fn product_error(&self) -> f64 {
        self.operator.product_error()
    }
}

/// Makes room for `count` vectors `[dim]` of zeros.
fn grow(buffers: &mut Vec<Vec<f64>>, count: usize, dim: usize) {
    buffers.resize_with(count.max(buffers.len()), || vec![0.0; dim]);
}
