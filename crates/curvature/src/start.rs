//! The start vector of an iteration.

use crate::error::Error;
use crate::params::EigenParams;
use crate::space::VectorSpace;
use crate::vectors;

/// The length of the random part of a start, relative to that of the given vectors. Equal parts cost no
/// extra product and find eigenvectors orthogonal to the given vectors.
const RANDOM_SHARE: f64 = 1.0;

/// A unit start vector, and the share of it that is random; `None` if it is random altogether.
pub(crate) fn start<S: VectorSpace>(
    space: &mut S,
    params: &EigenParams,
) -> Result<(S::Vector, Option<f64>), Error> {
    let random = space.random_unit()?;
    let Some(given) = direction(&params.start) else { return Ok((random, None)) };
    let mut sum = space.import(given)?;
    space.add_scaled(&mut sum, RANDOM_SHARE, &random)?;
    let norm = space.norm(&sum)?;
    space.scale(&mut sum, 1.0 / norm)?;
    Ok((sum, Some(RANDOM_SHARE)))
}

/// The direction of the sum of the directions of these vectors, if it has one.
fn direction(given: &[Vec<f64>]) -> Option<Vec<f64>> {
    let mut sum = vec![0.0; given.first()?.len()];
    for vector in given {
        vectors::add_scaled(&mut sum, 1.0 / vectors::norm(vector), vector);
    }
    let norm = vectors::norm(&sum);
    // Opposite vectors can cancel, which leaves only rounding errors.
    if norm <= f64::EPSILON * given.len() as f64 {
        return None;
    }
    vectors::scale(&mut sum, 1.0 / norm);
    Some(sum)
}
