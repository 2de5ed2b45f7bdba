//! Sums over channels, and affine maps of them.

use super::{Reference, put};
use crate::{Accumulate, Channels, Shape};

/// The channel of element `i`.
const fn channel(shape: Shape, i: usize) -> usize {
    i / shape.pixels() % shape.channels()
}

impl Channels for Reference {
    fn channel_sum(&self, shape: Shape, n: usize, x: &Vec<f64>, out: &mut Vec<f64>) {
        out.fill(0.0);
        (0..n * shape.elements()).for_each(|i| out[channel(shape, i)] += x[i]);
    }

    fn channel_dot(&self, shape: Shape, n: usize, x: &Vec<f64>, y: &Vec<f64>, out: &mut Vec<f64>) {
        out.fill(0.0);
        (0..n * shape.elements()).for_each(|i| out[channel(shape, i)] += x[i] * y[i]);
    }

    fn channel_affine(
        &self,
        shape: Shape,
        n: usize,
        terms: &[(&Vec<f64>, &Vec<f64>)],
        bias: Option<&Vec<f64>>,
        accumulate: Accumulate,
        y: &mut Vec<f64>,
    ) {
        put(accumulate, &mut y[..n * shape.elements()], |i| {
            let c = channel(shape, i);
            terms.iter().map(|(a, x)| a[c] * x[i]).sum::<f64>() + bias.map_or(0.0, |bias| bias[c])
        });
    }
}
