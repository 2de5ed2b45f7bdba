//! The distance at which something first happens along a ray.

use crate::Result;

/// How often the first distance is doubled or halved.
const DOUBLINGS: usize = 20;

/// Neighbouring distances of which it has not happened at the first and has at the second, at most a factor `1 + rtol` apart: `start` is
/// doubled or halved until both are known, and the interval bisected by its geometric mean. None if 20 doublings or halvings find no such
/// pair. It may also happen at shorter distances that were not tried.
///
/// # Errors
/// Those of `happens`.
pub(super) fn crossing(
    start: f64,
    rtol: f64,
    mut happens: impl FnMut(f64) -> Result<bool>,
) -> Result<Option<[f64; 2]>> {
    let grows = !happens(start)?;
    let mut bracket = None;
    let mut last = start;
    for _ in 0..DOUBLINGS {
        let next = if grows { 2.0 * last } else { 0.5 * last };
        if happens(next)? == grows {
            bracket = Some(if grows { [last, next] } else { [next, last] });
            break;
        }
        last = next;
    }
    let Some([mut below, mut above]) = bracket else { return Ok(None) };
    while above > below * (1.0 + rtol) {
        let middle = (below * above).sqrt();
        if happens(middle)? {
            above = middle;
        } else {
            below = middle;
        }
    }
    Ok(Some([below, above]))
}
