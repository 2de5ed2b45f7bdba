//! Batch norm with an epilogue.

use sharpness_backend::{BatchNormLayer, Normalization, OperandSizes, PointOf, Target, View};

use super::{Cpu, slice};
use crate::Real;
use crate::batch_norm::{self, BatchNorm};
use crate::epilogue::Size;

impl<R: Real> Normalization for Cpu<R> {
    fn batch_norm_sizes(&self, layer: &BatchNormLayer, n: usize) -> OperandSizes {
        let norm = batch_norm(layer, n);
        let (choice, scratch_bytes) = (norm.choice_len(), norm.scratch_bytes::<R>());
        OperandSizes { choice, scratch_bytes, ..OperandSizes::default() }
    }

    #[inline(never)]
    fn batch_norm_value(
        &self,
        layer: &BatchNormLayer,
        n: usize,
        x: &Vec<R>,
        (gamma, beta): (View<'_, Vec<R>>, View<'_, Vec<R>>),
        (mean, variance): (&mut Vec<f64>, &mut Vec<f64>),
        choice: &mut Vec<u8>,
        y: &mut Vec<R>,
    ) {
        let affine = (slice(gamma), slice(beta));
        batch_norm(layer, n).value(x, affine, (mean, variance), choice, y, &self.workspace);
    }

    #[inline(never)]
    fn batch_norm_gradient(
        &self,
        layer: &BatchNormLayer,
        n: usize,
        at: PointOf<'_, Self>,
        dy: &Vec<R>,
        (beta, gamma): (&mut Vec<f64>, &mut Vec<f64>),
        dx: Target<'_, Vec<R>>,
    ) {
        batch_norm(layer, n).gradient(point(at), dy, (beta, gamma), target(dx), &self.workspace);
    }

    #[inline(never)]
    fn batch_norm_tangent(
        &self,
        layer: &BatchNormLayer,
        n: usize,
        at: PointOf<'_, Self>,
        x_dot: Option<&Vec<R>>,
        (gamma, beta): (View<'_, Vec<R>>, View<'_, Vec<R>>),
        (p, m): (&mut Vec<f64>, &mut Vec<f64>),
        y_dot: &mut Vec<R>,
    ) {
        let (x_dot, dot) = (x_dot.map(Vec::as_slice), (slice(gamma), slice(beta)));
        batch_norm(layer, n).tangent(point(at), x_dot, dot, (p, m), y_dot, &self.workspace);
    }

    #[inline(never)]
    fn batch_norm_gradient_tangent(
        &self,
        layer: &BatchNormLayer,
        n: usize,
        at: PointOf<'_, Self>,
        [(beta, gamma), (p, m)]: [(&Vec<f64>, &Vec<f64>); 2],
        (dy, dy_dot): (&Vec<R>, &Vec<R>),
        (x_dot, gamma_dot): (Option<&Vec<R>>, View<'_, Vec<R>>),
        (d_beta, d_gamma): (&mut Vec<f64>, &mut Vec<f64>),
        dx: Target<'_, Vec<R>>,
    ) {
        let (known, dot) =
            (((&**beta, &**gamma), (&**p, &**m)), (x_dot.map(Vec::as_slice), slice(gamma_dot)));
        let (norm, sums, s) = (batch_norm(layer, n), (&mut **d_beta, &mut **d_gamma), &self.workspace);
        norm.gradient_tangent(point(at), known, (dy, dy_dot), dot, sums, target(dx), s);
    }
}

/// The kernels of a batch norm.
const fn batch_norm(layer: &BatchNormLayer, n: usize) -> BatchNorm {
    let (channels, height, width) = (layer.input.channels(), layer.input.height(), layer.input.width());
    BatchNorm {
        size: Size { channels, n, height, width },
        epilogue: layer.epilogue,
        epsilon: layer.epsilon,
        of_batch: layer.of_batch,
    }
}

fn point<'a, R: Real>(at: PointOf<'a, Cpu<R>>) -> batch_norm::Point<'a, R> {
    let (mean, variance) = at.statistics;
    batch_norm::Point { x: at.x, mean, variance, gamma: slice(at.gamma), choice: at.choice }
}

fn target<'a, R>(dx: Target<'a, Vec<R>>) -> batch_norm::Target<'a, R> {
    dx.map(|(dx, accumulate)| (dx.as_mut_slice(), accumulate))
}
