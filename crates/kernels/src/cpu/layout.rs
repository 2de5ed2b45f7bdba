//! Between the host's order of an activation's elements, the device's, and that of flat features.

use sharpness_backend::{Accumulate, Layout, Pixels, Shape};

use super::Cpu;
use crate::{Real, layout};

impl<R: Real> Layout for Cpu<R> {
    #[inline(never)]
    fn upload_images(&self, shape: Shape, n: usize, x: &[f64], to: &mut Vec<R>) {
        layout::from_nchw(shape.channels(), n, x, &mut to[..n * shape.elements()]);
    }

    #[inline(never)]
    fn upload_pixels(&self, shape: Shape, pixels: &Pixels<'_>, numbers: &[u32], to: &mut Vec<R>) {
        let to = &mut to[..numbers.len() * shape.elements()];
        layout::from_pixels(shape.channels(), pixels, numbers, to);
    }

    #[inline(never)]
    fn download_activations(&self, shape: Shape, n: usize, x: &Vec<R>) -> Vec<f64> {
        layout::to_nchw(shape.channels(), n, &x[..n * shape.elements()])
    }

    #[inline(never)]
    fn flatten(&self, shape: Shape, n: usize, x: &Vec<R>, y: &mut Vec<R>) {
        layout::flatten(n, shape.pixels(), x, &mut y[..n * shape.elements()]);
    }

    #[inline(never)]
    fn unflatten(&self, shape: Shape, n: usize, y: &Vec<R>, accumulate: Accumulate, x: &mut Vec<R>) {
        layout::unflatten(n, shape.pixels(), y, accumulate, &mut x[..n * shape.elements()]);
    }
}
