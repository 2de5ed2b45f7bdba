//! Dropout masks: element `(c, j)` takes word `c mod 4` of counter `(⌊c / 4⌋ · pixels + j, example, layer, step)`.

use super::{Reference, put};
use crate::{Accumulate, Dropout, MaskKey, Shape, philox4x32};

impl Dropout for Reference {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the two halves of the seed, and counters below 2^32"
    )]
    fn dropout_mask(
        &self,
        p: f64,
        key: MaskKey,
        shape: Shape,
        n: usize,
        examples: &Vec<u32>,
        mask: &mut Vec<f64>,
    ) {
        let words = [key.seed as u32, (key.seed >> 32) as u32];
        put(Accumulate::Set, &mut mask[..n * shape.elements()], |k| {
            let (i, c) = (k / shape.elements(), k / shape.pixels() % shape.channels());
            let counter = (c / 4 * shape.pixels() + k % shape.pixels()) as u32;
            let word = philox4x32([counter, examples[i], key.layer, key.step], words)[c % 4];
            let is_dropped = u64::from(word) < (p * 4_294_967_296.0) as u64;
            if is_dropped { 0.0 } else { 1.0 / (1.0 - p) }
        });
    }
}
