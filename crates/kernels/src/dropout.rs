//! Dropout masks from the counter-based generator Philox4x32-10 (Salmon et al. 2011).
//!
//! A mask depends on the seed, the step, the layer, the example's number in the data set and the element alone: neither on
//! chunking, nor on threads, nor on the backend.

use crate::Real;
use crate::parallel::chunks;

/// Philox4x32 with ten rounds: four uniform words from a counter and a key.
pub fn philox4x32(mut counter: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    for _ in 0..10 {
        let (high0, low0) = product(0xD251_1F53, counter[0]);
        let (high1, low1) = product(0xCD9E_8D57, counter[2]);
        counter = [high1 ^ counter[1] ^ key[0], low1, high0 ^ counter[3] ^ key[1], low0];
        key = [key[0].wrapping_add(0x9E37_79B9), key[1].wrapping_add(0xBB67_AE85)];
    }
    counter
}

#[expect(clippy::cast_possible_truncation, reason = "the two halves of a 64-bit product")]
fn product(a: u32, b: u32) -> (u32, u32) {
    let product = u64::from(a) * u64::from(b);
    ((product >> 32) as u32, product as u32)
}

/// What a mask is drawn from.
#[derive(Clone, Copy, Debug)]
pub struct MaskKey {
    /// The seed of the run's dropout stream.
    pub seed: u64,
    /// The number of the optimizer's step.
    pub step: u32,
    /// The number of the dropout layer in the network.
    pub layer: u32,
}

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
