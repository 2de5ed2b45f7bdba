//! The vector from which an iteration starts.

use rand_chacha::ChaCha8Rng;

use crate::params::EigenParams;
use crate::vectors;

/// The length of the random part of a start near given vectors, against 1 for these. An equal part costs no product and finds
/// eigenvectors to which they are blind.
const RANDOM_SHARE: f64 = 1.0;

/// A start vector of length 1, and the share of it that is random (`None`: all of it).
pub(crate) fn start(params: &EigenParams, dim: usize, rng: &mut ChaCha8Rng) -> (Vec<f64>, Option<f64>) {
    let random = vectors::random_unit(dim, rng);
    let mut sum = vec![0.0; dim];
    for vector in &params.start {
        vectors::add_scaled(&mut sum, 1.0 / vectors::norm(vector), vector);
    }
    let norm = vectors::norm(&sum);
    // Opposite vectors can cancel; what is left of them then has no direction.
    if norm <= f64::EPSILON * params.start.len() as f64 {
        return (random, None);
    }
    vectors::scale(&mut sum, 1.0 / norm);
    vectors::add_scaled(&mut sum, RANDOM_SHARE, &random);
    let norm = vectors::norm(&sum);
    vectors::scale(&mut sum, 1.0 / norm);
    (sum, Some(RANDOM_SHARE))
}
