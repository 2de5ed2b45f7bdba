//! Between channels as rows of pixels and blocks of 16 channels.
#![expect(unsafe_code, reason = "the innermost loops load and store through pointers")]

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
    let mut columns = [V::zero(); LANES];
    if last + LANES <= x.len() && rows.lanes == LANES {
        for (l, column) in columns.iter_mut().enumerate() {
            // SAFETY: the last of these rows has 16 numbers from its first column on.
            *column = unsafe { V::load(x.as_ptr().add(first + l * rows.stride)) };
        }
    } else {
        for (l, column) in columns.iter_mut().enumerate().take(rows.lanes) {
            *column = partial(&x[first + l * rows.stride..][..count]);
        }
    }
    V::transpose(&mut columns);
    columns
}

/// The numbers of `x`, then zeros.
#[inline(always)]
fn partial<V: Lanes>(x: &[V::Scalar]) -> V {
    let mut padded = [V::zero(); 1];
    // SAFETY: a vector is 16 numbers, and `x` has no more.
    unsafe {
        let numbers = std::slice::from_raw_parts_mut(padded.as_mut_ptr().cast::<V::Scalar>(), LANES);
        numbers[..x.len()].copy_from_slice(x);
    }
    padded[0]
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
        if count == LANES {
            // SAFETY: the part has 16 numbers.
            unsafe {
                let row = if accumulate == Accumulate::Add { V::load(y.as_ptr()).add(row) } else { row };
                row.store(y.as_mut_ptr());
            }
        } else {
            let row = if accumulate == Accumulate::Add { partial::<V>(y).add(row) } else { row };
            // SAFETY: a vector is 16 numbers.
            y.copy_from_slice(unsafe {
                &std::slice::from_raw_parts((&raw const row).cast(), LANES)[..count]
            });
        }
    }
}
