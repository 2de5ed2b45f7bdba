//! The host's order is this backend's own, and that of flat features.

use super::{Reference, put};
use crate::{Accumulate, Layout, Pixels, Shape};

impl Layout for Reference {
    fn upload_images(&self, shape: Shape, n: usize, x: &[f64], to: &mut Vec<f64>) {
        to[..n * shape.elements()].copy_from_slice(x);
    }

    fn upload_pixels(&self, shape: Shape, pixels: &Pixels<'_>, numbers: &[u32], to: &mut Vec<f64>) {
        let elements = shape.elements();
        put(Accumulate::Set, &mut to[..numbers.len() * elements], |k| {
            let (i, e) = (k / elements, k % elements);
            let byte = pixels.bytes[numbers[i] as usize * elements + e];
            (f64::from(byte) * pixels.scale - pixels.mean[e]) / pixels.deviation[e]
        });
    }

    fn download_activations(&self, shape: Shape, n: usize, x: &Vec<f64>) -> Vec<f64> {
        x[..n * shape.elements()].to_vec()
    }

    fn flatten(&self, shape: Shape, n: usize, x: &Vec<f64>, y: &mut Vec<f64>) {
        y[..n * shape.elements()].copy_from_slice(&x[..n * shape.elements()]);
    }

    fn unflatten(&self, shape: Shape, n: usize, y: &Vec<f64>, accumulate: Accumulate, x: &mut Vec<f64>) {
        put(accumulate, &mut x[..n * shape.elements()], |i| y[i]);
    }
}
