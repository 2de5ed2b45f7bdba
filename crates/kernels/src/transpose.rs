//! Transposes by blocks of 16 x 16.

use rayon::prelude::*;

use crate::simd::{LANES, Lanes, Leaf, Task};
use crate::{Accumulate, Real};

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
            for column in (0..columns).step_by(LANES) {
                let steps = LANES.min(columns - column);
                let mut block = [V::zero(); LANES];
                for (l, vector) in block.iter_mut().enumerate().take(lanes) {
                    let from = &from[(row + l) * from_row + column..];
                    *vector = if steps == LANES { V::read(from) } else { V::read_few(&from[..steps]) };
                }
                V::transpose(&mut block);
                for (l, &vector) in block.iter().enumerate().take(steps) {
                    write(vector, &mut to[(column + l) * to_row + row..][..count], accumulate);
                }
            }
        }
    }
}

/// `to (+)=` the first numbers of `vector`; `to` has at most 16.
#[inline(always)]
pub(crate) fn write<V: Lanes>(vector: V, to: &mut [V::Scalar], accumulate: Accumulate) {
    match (to.len() == LANES, accumulate) {
        (true, Accumulate::Set) => vector.write(to),
        (true, Accumulate::Add) => V::read(to).add(vector).write(to),
        (false, Accumulate::Set) => vector.write_few(to),
        (false, Accumulate::Add) => V::read_few(to).add(vector).write_few(to),
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
