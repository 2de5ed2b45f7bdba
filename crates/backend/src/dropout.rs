//! Dropout masks.

use crate::{Device, Shape};

/// Philox4x32 with ten rounds: four uniform words from a counter and a key.
#[inline]
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
#[inline]
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

/// Dropout masks. See the [crate] for what all kernels promise.
pub trait Dropout: Device {
    /// `mask` = 0 with probability `p`, else `1 / (1 - p)`, for `n` examples with the given numbers.
    fn dropout_mask(
        &self,
        p: f64,
        key: MaskKey,
        shape: Shape,
        n: usize,
        examples: &Self::Integers,
        mask: &mut Self::Buffer,
    );
}
