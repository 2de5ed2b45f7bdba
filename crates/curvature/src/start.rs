//! The start vector of an iteration.

use rand_chacha::ChaCha8Rng;

use crate::params::EigenParams;
use crate::vectors;

/// The length of the random part of a start, relative to that of the given vectors. Equal parts cost no
/// extra product and find eigenvectors orthogonal to the given vectors.
const RANDOM_SHARE: f64 = 1.0;

/// A unit start vector, and the share of it that is random; `None` if it is random altogether.
pub(crate) fn start(params: &EigenParams, dim: usize, rng: &mut ChaCha8Rng) -> (Vec<f64>, Option<f64>) {
    let random = vectors::random_unit(dim, rng);
    let mut sum = vec![0.0; dim];
    for vector in &params.start {
        vectors::add_scaled(&mut sum, 1.0 / vectors::norm(vector), vector);
    }
    let norm = vectors::norm(&sum);
    // Opposite vectors can cancel, which leaves only rounding errors.
    if norm <= f64::EPSILON * params.start.len() as f64 {
        return (random, None);
    }
    vectors::scale(&mut sum, 1.0 / norm);
    vectors::add_scaled(&mut sum, RANDOM_SHARE, &random);
    let norm = vectors::norm(&sum);
    vectors::scale(&mut sum, 1.0 / norm);
    (sum, Some(RANDOM_SHARE))
}
