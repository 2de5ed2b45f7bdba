//! A small matrix on both axes of a tile.
#![expect(unsafe_code, reason = "the innermost loops load and store through pointers")]

use super::forms::Matrix;
use crate::simd::Lanes;

/// Distances between rows and columns of a matrix of vectors, in numbers.
pub(super) type Strides = (usize, usize);

/// `y (+)= M x Mᵀ` for a tile `x` of `I x I` vectors, where `f` multiplies `I` vectors by `M`.
///
/// # Panics
/// If a tile does not fit its slice.
#[inline(always)]
pub(super) fn sandwich<V: Lanes, const I: usize, const O: usize>(
    f: impl Matrix<I, O>,
    (x, x_strides): (&[V::Scalar], Strides),
    (y, y_strides): (&mut [V::Scalar], Strides),
    add: bool,
) {
    assert!(end(I, x_strides) <= x.len(), "the input holds the tile");
    assert!(end(O, y_strides) <= y.len(), "the output holds the tile");
    let mut half = [[V::zero(); I]; O];
    for j in 0..I {
        let mut column = [V::zero(); I];
        for (i, vector) in column.iter_mut().enumerate() {
            // SAFETY: the last vector of the tile lies inside the slice.
            *vector = unsafe { V::load(x.as_ptr().add(i * x_strides.0 + j * x_strides.1)) };
        }
        for (half, value) in half.iter_mut().zip(f.apply(column)) {
            half[j] = value;
        }
    }
    for (i, half) in half.into_iter().enumerate() {
        for (j, value) in f.apply(half).into_iter().enumerate() {
            // SAFETY: the last vector of the tile lies inside the slice.
            unsafe {
                let y = y.as_mut_ptr().add(i * y_strides.0 + j * y_strides.1);
                let value = if add { V::load(y).add(value) } else { value };
                value.store(y);
            }
        }
    }
}

/// The end of a tile of `side x side` vectors.
const fn end(side: usize, strides: Strides) -> usize {
    (side - 1) * (strides.0 + strides.1) + crate::simd::LANES
}
