//! Index ranges of a block of the matrix.

use std::ops::Range;

use crate::error::Error;

/// The number of indices in `ranges`, if these are ascending, disjoint, not empty and below `dim`.
pub(crate) fn total(ranges: &[Range<usize>], dim: usize) -> Result<usize, Error> {
    let (mut total, mut end) = (0, 0);
    for range in ranges {
        if range.start < end || range.is_empty() || range.end > dim {
            return Err(Error::Range { start: range.start, end: range.end, first: end, dim });
        }
        (total, end) = (total + range.len(), range.end);
    }
    if total == 0 { Err(Error::NoDimension) } else { Ok(total) }
}
