//! Between channels as rows of pixels and blocks of 16 channels.
#![expect(unsafe_code, reason = "tasks write interleaved ranges of one output")]

use crate::Accumulate;
use crate::disjoint::Disjoint;
use crate::simd::{LANES, Lanes};

/// Up to 16 rows of one matrix: row `l < lanes` is the numbers from `first + l * stride`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rows {
    pub(super) first: usize,
    pub(super) stride: usize,
    pub(super) lanes: usize,
}

/// Columns `start..start + count` of the rows, one vector per column; at most 16. Lanes beyond the rows are zero; what vectors
/// beyond the columns hold is not said.
#[inline(always)]
pub(super) fn load<V: Lanes>(x: &[V::Scalar], rows: Rows, start: usize, count: usize) -> [V; LANES] {
    let first = rows.first + start;
    let last = first + rows.lanes.saturating_sub(1) * rows.stride;
    let whole = last + LANES <= x.len();
    let mut columns = [V::zero(); LANES];
    for (l, column) in columns.iter_mut().enumerate().take(rows.lanes) {
        let row = &x[first + l * rows.stride..];
        *column = if whole { V::read(row) } else { V::read_few(&row[..count]) };
    }
    V::transpose(&mut columns);
    columns
}

/// Writes `columns` as columns `start..start + count` of the rows: the reverse of [`load`].
///
/// # Safety
/// No other task touches these columns of these rows.
#[inline(always)]
pub(super) unsafe fn store<V: Lanes>(
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
        match (count == LANES, accumulate) {
            (true, Accumulate::Set) => row.write(y),
            (true, Accumulate::Add) => V::read(y).add(row).write(y),
            (false, Accumulate::Set) => row.write_few(y),
            (false, Accumulate::Add) => V::read_few(y).add(row).write_few(y),
        }
    }
}
