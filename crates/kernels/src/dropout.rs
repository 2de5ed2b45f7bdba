//! Dropout masks from the counter-based generator Philox4x32-10 (Salmon et al. 2011).
//!
//! A mask depends on the seed, the step, the layer, the example's number in the data set and the element alone: neither on
//! chunking, nor on threads, nor on the backend.

use sharpness_backend::{MaskKey, philox4x32};

use crate::Real;
use crate::parallel::chunks;

/// Writes the mask `[c, n, inner]`: 0 with probability `p`, else `1 / (1 - p)`. `examples` holds the `n` numbers of the
/// examples in the data set. Element `(c, j)` of an example takes word `c mod 4` of counter
/// `(⌊c / 4⌋ · inner + j, example, layer, step)`.
///
/// # Panics
/// If `mask` is not `channels * examples.len() * inner` long.
#[expect(
    clippy::cast_possible_truncation,
    reason = "the key is the two halves of the seed; an activation has below 2^32 elements"
)]
pub fn dropout_mask<R: Real>(p: f64, key: MaskKey, examples: &[u32], inner: usize, mask: &mut [R]) {
    let n = examples.len();
    assert!(mask.len().is_multiple_of(n * inner), "a dropout mask does not match its activation");
    let words = [key.seed as u32, (key.seed >> 32) as u32];
    // The mask keeps an element where its word is at least p * 2^32.
    let threshold = (p * 4_294_967_296.0) as u64;
    let kept = R::from_f64(1.0 / (1.0 - p));
    chunks(mask, 4 * n * inner, |group, mask| {
        for (i, &example) in examples.iter().enumerate() {
            for j in 0..inner {
                let counter = [(group * inner + j) as u32, example, key.layer, key.step];
                for (lane, word) in philox4x32(counter, words).into_iter().enumerate() {
                    if let Some(m) = mask.get_mut((lane * n + i) * inner + j) {
                        *m = if u64::from(word) < threshold { R::ZERO } else { kept };
                    }
                }
            }
        }
    });
}
