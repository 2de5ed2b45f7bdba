//! Sums over channels, and affine maps of them.

use sharpness_backend::{Accumulate, Channels, Shape};
use smallvec::SmallVec;

use super::Cpu;
use crate::{Real, channels};

impl<R: Real> Channels for Cpu<R> {
    #[inline(never)]
    fn channel_sum(&self, shape: Shape, n: usize, x: &Vec<R>, out: &mut Vec<f64>) {
        channels::channel_sum(&x[..n * shape.elements()], out);
    }

    #[inline(never)]
    fn channel_dot(&self, shape: Shape, n: usize, x: &Vec<R>, y: &Vec<R>, out: &mut Vec<f64>) {
        let len = n * shape.elements();
        channels::channel_dot(&x[..len], &y[..len], out);
    }

    #[inline(never)]
    fn channel_affine(
        &self,
        shape: Shape,
        n: usize,
        terms: &[(&Vec<f64>, &Vec<R>)],
        bias: Option<&Vec<f64>>,
        accumulate: Accumulate,
        y: &mut Vec<R>,
    ) {
        let terms: SmallVec<[(&[f64], &[R]); 2]> =
            terms.iter().map(|(a, x)| (a.as_slice(), x.as_slice())).collect();
        let y = &mut y[..n * shape.elements()];
        channels::channel_affine(shape.channels(), &terms, bias.map(Vec::as_slice), accumulate, y);
    }
}
