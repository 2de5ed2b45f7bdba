//! Transposes by blocks of 16 x 16.
#![expect(unsafe_code, reason = "the innermost loops store through pointers")]

use rayon::prelude::*;

use sharpness_backend::Accumulate;

use crate::Real;
use crate::epilogue::rows::{self, Rows};
use crate::simd::{LANES, Lanes, Leaf, Task};

/// `to: [columns, width] (+)=` the transpose of `from: [rows, columns]`, and zeros where `width` is greater than `rows`.
#[derive(Debug)]
pub(crate) struct Transpose<'a, S> {
    pub(crate) from: &'a [S],
    /// Numbers between the rows of `from`.
    pub(crate) from_row: usize,
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    pub(crate) to: &'a mut [S],
    /// Numbers between the rows of `to`.
    pub(crate) to_row: usize,
    /// Numbers of a row of `to` that are written.
    pub(crate) width: usize,
    pub(crate) accumulate: Accumulate,
}

impl<V: Lanes> Leaf<V> for Transpose<'_, V::Scalar> {
    #[inline(always)]
    fn run(self) {
        let Self { from, from_row, rows, columns, to, to_row, width, accumulate } = self;
        for row in (0..width).step_by(LANES) {
            let (lanes, count) = (LANES.min(rows.saturating_sub(row)), LANES.min(width - row));
            let rows = Rows { first: row * from_row, stride: from_row, lanes };
            for column in (0..columns).step_by(LANES) {
                let steps = LANES.min(columns - column);
                let block = rows::load::<V>(from, rows, column, steps);
                let to = &mut to[column * to_row + row..];
                if (steps, count, accumulate) == (LANES, LANES, Accumulate::Set) {
                    put(block, to, to_row);
                } else {
                    for (l, &vector) in block.iter().enumerate().take(steps) {
                        rows::write(vector, &mut to[l * to_row..][..count], accumulate);
                    }
                }
            }
        }
    }
}

/// Writes 16 vectors that begin `row` numbers apart.
#[inline(always)]
fn put<V: Lanes>(block: [V; LANES], to: &mut [V::Scalar], row: usize) {
    assert!((LANES - 1) * row + LANES <= to.len(), "the result holds all vectors");
    for (l, vector) in block.into_iter().enumerate() {
        // SAFETY: the last vector lies inside the slice, and so do those before it.
        unsafe { vector.store(to.as_mut_ptr().add(l * row)) };
    }
}

/// Rows of the result in one task.
const ROWS: usize = 4 * LANES;
/// Numbers below which all is done on the calling thread: waking a thread costs more.
const SERIAL: usize = 1 << 15;

/// `to: [columns, rows] (+)=` the transpose of `from: [rows, columns]`.
///
/// # Panics
/// If the lengths do not match.
pub(crate) fn transpose<R: Real>(
    (rows, columns): (usize, usize),
    from: &[R],
    accumulate: Accumulate,
    to: &mut [R],
) {
    assert!(from.len() == rows * columns && to.len() == from.len(), "a transpose has all numbers");
    if rows > 0 {
        R::with_lanes(Whole { from, rows, columns, accumulate, to });
    }
}

/// The task of [`transpose`].
struct Whole<'a, R> {
    from: &'a [R],
    rows: usize,
    columns: usize,
    accumulate: Accumulate,
    to: &'a mut [R],
}

impl<R: Real> Task<R> for Whole<'_, R> {
    fn run<V: Lanes<Scalar = R>>(self) {
        let Self { from, rows, columns, accumulate, to } = self;
        let part = |index: usize, to: &mut [R]| {
            let (from, count) = (&from[index * ROWS..], to.len() / rows);
            V::vectorize(Transpose {
                from,
                from_row: columns,
                rows,
                columns: count,
                to,
                to_row: rows,
                width: rows,
                accumulate,
            });
        };
        if to.len() < SERIAL {
            to.chunks_mut(ROWS * rows).enumerate().for_each(|(index, to)| part(index, to));
        } else {
            to.par_chunks_mut(ROWS * rows).enumerate().for_each(|(index, to)| part(index, to));
        }
    }
}
