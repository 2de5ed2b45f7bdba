//! Dropout masks.

use sharpness_backend::{Dropout, MaskKey, Shape};

use super::Cpu;
use crate::{Real, dropout};

impl<R: Real> Dropout for Cpu<R> {
    #[inline(never)]
    fn dropout_mask(
        &self,
        p: f64,
        key: MaskKey,
        shape: Shape,
        n: usize,
        examples: &Vec<u32>,
        mask: &mut Vec<R>,
    ) {
        let mask = &mut mask[..n * shape.elements()];
        dropout::dropout_mask(p, key, &examples[..n], shape.pixels(), mask);
    }
}
