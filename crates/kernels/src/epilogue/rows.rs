//! Between channels as rows of pixels and blocks of 16 channels.
#![expect(unsafe_code, reason = "tasks write interleaved ranges of one output")]

use sharpness_backend::{Accumulate, Scalar};

use crate::disjoint::Disjoint;
use crate::simd::{LANES, Lanes};

/// Up to 16 rows of one matrix: row `l < lanes` is the numbers from `first + l * stride`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rows {
    pub(crate) first: usize,
    pub(crate) stride: usize,
    pub(crate) lanes: usize,
}

/// Columns `start..start + count` of the rows, one vector per column; at most 16. Lanes beyond the rows are zero; what vectors
/// beyond the columns hold is not said.
#[inline(always)]
pub(crate) fn load<V: Lanes>(x: &[V::Scalar], rows: Rows, start: usize, count: usize) -> [V; LANES] {
    let first = rows.first + start;
    let last = first + rows.lanes.saturating_sub(1) * rows.stride;
    let whole = last + LANES <= x.len();
    let mut columns = [V::zero(); LANES];
    if whole && rows.lanes == LANES {
        for (l, column) in columns.iter_mut().enumerate() {
            // SAFETY: the last row has 16 numbers, and so have those before it.
            *column = unsafe { V::load(x.as_ptr().add(first + l * rows.stride)) };
        }
    } else {
        for (l, column) in columns.iter_mut().enumerate().take(rows.lanes) {
            let row = &x[first + l * rows.stride..];
            *column = if whole { V::read(row) } else { V::read_few(&row[..count]) };
        }
    }
    V::transpose(&mut columns);
    columns
}

/// Writes `columns` as columns `start..start + count` of the rows: the reverse of [`load`].
///
/// # Safety
/// No other task touches these columns of these rows.
#[inline(always)]
pub(crate) unsafe fn store<V: Lanes>(
    mut columns: [V; LANES],
    y: &Disjoint<'_, V::Scalar>,
    rows: Rows,
    (start, count): (usize, usize),
    accumulate: Accumulate,
) {
    V::transpose(&mut columns);
    for (l, &row) in columns.iter().enumerate().take(rows.lanes) {
        // SAFETY: as the caller promises.
        let y = unsafe { y.part(rows.first + l * rows.stride + start, count) };
        write(row, y, accumulate);
    }
}

/// Columns that a [`Stage`] holds.
pub(crate) const STAGE: usize = 256;
/// Numbers between the rows of a [`Stage`]: no power of two, so that rows lie in different cache sets.
const STAGE_ROW: usize = STAGE + LANES;

/// Some columns of up to 16 rows, near at hand. Rows of activations are often multiples of 4096 bytes apart and then share one
/// cache set; so they are read and written in long runs, and transposed here.
pub(crate) struct Stage<S>([S; LANES * STAGE_ROW]);

impl<S: Scalar> Stage<S> {
    pub(crate) const fn new() -> Self {
        Self([S::ZERO; LANES * STAGE_ROW])
    }

    /// Copies columns `start..start + count` of the rows here; at most [`STAGE`]. Asks for the columns `next` later meanwhile.
    #[inline(always)]
    pub(crate) fn fetch<V: Lanes<Scalar = S>>(
        &mut self,
        x: &[S],
        rows: Rows,
        (start, count): (usize, usize),
        next: usize,
    ) {
        for (l, to) in self.0.chunks_exact_mut(STAGE_ROW).enumerate().take(rows.lanes) {
            let row = &x[rows.first + l * rows.stride + start..][..count];
            let (whole, rest) = row.split_at(count - count % LANES);
            for (row, to) in whole.chunks_exact(LANES).zip(to.chunks_exact_mut(LANES)) {
                V::prefetch(row.as_ptr().wrapping_add(next));
                V::read(row).write(to);
            }
            if !rest.is_empty() {
                V::read_few(rest).write(&mut to[count - rest.len()..]);
            }
        }
    }

    /// 16 columns from `start` on, one vector per column.
    #[inline(always)]
    pub(crate) fn columns<V: Lanes<Scalar = S>>(&self, lanes: usize, start: usize) -> [V; LANES] {
        load::<V>(&self.0, Rows { first: 0, stride: STAGE_ROW, lanes }, start, LANES)
    }

    /// Overwrites 16 columns from `start` on.
    #[inline(always)]
    pub(crate) fn put<V: Lanes<Scalar = S>>(&mut self, mut columns: [V; LANES], start: usize) {
        V::transpose(&mut columns);
        for (row, to) in columns.iter().zip(self.0.chunks_exact_mut(STAGE_ROW)) {
            row.write(&mut to[start..]);
        }
    }

    /// Writes the columns as columns `start..start + count` of the rows. Asks for the columns `next` later meanwhile.
    ///
    /// # Safety
    /// No other task touches these columns of these rows.
    #[inline(always)]
    pub(crate) unsafe fn flush<V: Lanes<Scalar = S>>(
        &self,
        y: &Disjoint<'_, S>,
        rows: Rows,
        (start, count): (usize, usize),
        next: usize,
        accumulate: Accumulate,
    ) {
        for (l, from) in self.0.chunks_exact(STAGE_ROW).enumerate().take(rows.lanes) {
            // SAFETY: as the caller promises.
            let y = unsafe { y.part(rows.first + l * rows.stride + start, count) };
            let (whole, rest) = y.split_at_mut(count - count % LANES);
            for (y, from) in whole.chunks_exact_mut(LANES).zip(from.chunks_exact(LANES)) {
                V::prefetch(y.as_ptr().wrapping_add(next));
                write(V::read(from), y, accumulate);
            }
            if !rest.is_empty() {
                write(V::read(&from[count - rest.len()..]), rest, accumulate);
            }
        }
    }
}

/// Writes or adds a vector to as many numbers as `y` has, at most 16.
#[inline(always)]
pub(crate) fn write<V: Lanes>(row: V, y: &mut [V::Scalar], accumulate: Accumulate) {
    match (y.len() == LANES, accumulate) {
        (true, Accumulate::Set) => row.write(y),
        (true, Accumulate::Add) => V::read(y).add(row).write(y),
        (false, Accumulate::Set) => row.write_few(y),
        (false, Accumulate::Add) => V::read_few(y).add(row).write_few(y),
    }
}
