//! Batch norm, one channel after the other, in the notation of `ops/batch_norm.rs` of the network.

use super::epilogue::{adjoint, apply, choice_len};
use super::{Reference, put, slice, to_f64};
use crate::{BatchNormLayer, Choice, Normalization, OperandSizes, PointOf, Shape, Target, View};

/// The elements of channel `c` of `n` examples.
fn channel(shape: Shape, n: usize, c: usize) -> impl Iterator<Item = usize> + Clone {
    let (elements, pixels) = (shape.elements(), shape.pixels());
    (0..n).flat_map(move |i| i * elements + c * pixels..i * elements + (c + 1) * pixels)
}

/// What the rules know of one channel.
struct Channel {
    /// `μ`.
    mean: f64,
    /// `s = (σ² + ε)^(-1/2)`.
    s: f64,
    gamma: f64,
    /// The number of elements `N`.
    count: f64,
    /// 1 where the statistics are those of the batch, else 0: the factor of means that the statistics bring.
    of_batch: f64,
}

impl Channel {
    fn new(layer: &BatchNormLayer, n: usize, at: &PointOf<'_, Reference>, c: usize) -> Self {
        let (mean, variance) = (at.statistics.0[c], at.statistics.1[c]);
        let s = 1.0 / (variance + layer.epsilon).sqrt();
        let count = to_f64(n * layer.input.pixels());
        Self { mean, s, gamma: slice(at.gamma)[c], count, of_batch: if layer.of_batch { 1.0 } else { 0.0 } }
    }

    /// `x̂`.
    fn normalized(&self, x: f64) -> f64 {
        self.s * (x - self.mean)
    }
}

/// `dx (+)=` these numbers.
fn write(dx: Target<'_, Vec<f64>>, values: &[f64]) {
    if let Some((dx, accumulate)) = dx {
        put(accumulate, &mut dx[..values.len()], |i| values[i]);
    }
}

impl Normalization for Reference {
    fn batch_norm_sizes(&self, layer: &BatchNormLayer, n: usize) -> OperandSizes {
        OperandSizes { choice: choice_len(layer.epilogue, layer.input, n), ..OperandSizes::default() }
    }

    fn batch_norm_value(
        &self,
        layer: &BatchNormLayer,
        n: usize,
        x: &Vec<f64>,
        (gamma, beta): (View<'_, Vec<f64>>, View<'_, Vec<f64>>),
        (mean, variance): (&mut Vec<f64>, &mut Vec<f64>),
        choice: &mut Vec<u8>,
        y: &mut Vec<f64>,
    ) {
        let shape = layer.input;
        let mut z = vec![0.0; n * shape.elements()];
        for c in 0..shape.channels() {
            let of = channel(shape, n, c);
            let count = to_f64(n * shape.pixels());
            if layer.of_batch {
                mean[c] = of.clone().map(|i| x[i]).sum::<f64>() / count;
                variance[c] = of.clone().map(|i| (x[i] - mean[c]).powi(2)).sum::<f64>() / count;
            }
            let k = slice(gamma)[c] / (variance[c] + layer.epsilon).sqrt();
            of.for_each(|i| z[i] = k * (x[i] - mean[c]) + slice(beta)[c]);
        }
        apply(layer.epilogue, shape, n, &z, Choice::Record(choice), y);
    }

    fn batch_norm_gradient(
        &self,
        layer: &BatchNormLayer,
        n: usize,
        at: PointOf<'_, Self>,
        dy: &Vec<f64>,
        (beta, gamma): (&mut Vec<f64>, &mut Vec<f64>),
        dx: Target<'_, Vec<f64>>,
    ) {
        let dz = adjoint(layer.epilogue, layer.input, n, dy, at.choice);
        let mut result = vec![0.0; dz.len()];
        for c in 0..layer.input.channels() {
            let (of, p) = (channel(layer.input, n, c), Channel::new(layer, n, &at, c));
            beta[c] = of.clone().map(|i| dz[i]).sum();
            gamma[c] = of.clone().map(|i| dz[i] * p.normalized(at.x[i])).sum();
            let (a, b) = (p.of_batch * beta[c] / p.count, p.of_batch * gamma[c] / p.count);
            of.for_each(|i| result[i] = p.gamma * p.s * (dz[i] - a - b * p.normalized(at.x[i])));
        }
        write(dx, &result);
    }

    fn batch_norm_tangent(
        &self,
        layer: &BatchNormLayer,
        n: usize,
        at: PointOf<'_, Self>,
        x_dot: Option<&Vec<f64>>,
        (gamma_dot, beta_dot): (View<'_, Vec<f64>>, View<'_, Vec<f64>>),
        (p, m): (&mut Vec<f64>, &mut Vec<f64>),
        y_dot: &mut Vec<f64>,
    ) {
        let shape = layer.input;
        let x_dot = |i: usize| x_dot.map_or(0.0, |x_dot| x_dot[i]);
        let mut z_dot = vec![0.0; n * shape.elements()];
        for c in 0..shape.channels() {
            let (of, q) = (channel(shape, n, c), Channel::new(layer, n, &at, c));
            p[c] = q.of_batch * of.clone().map(&x_dot).sum::<f64>() / q.count;
            m[c] = q.of_batch * of.clone().map(|i| q.normalized(at.x[i]) * x_dot(i)).sum::<f64>() / q.count;
            of.for_each(|i| {
                let normalized = q.normalized(at.x[i]);
                let normalized_dot = q.s * (x_dot(i) - p[c] - m[c] * normalized);
                z_dot[i] = q.gamma * normalized_dot + slice(gamma_dot)[c] * normalized + slice(beta_dot)[c];
            });
        }
        apply(layer.epilogue, shape, n, &z_dot, Choice::Replay(at.choice), y_dot);
    }

    fn batch_norm_gradient_tangent(
        &self,
        layer: &BatchNormLayer,
        n: usize,
        at: PointOf<'_, Self>,
        [(beta, gamma), (p, m)]: [(&Vec<f64>, &Vec<f64>); 2],
        (dy, dy_dot): (&Vec<f64>, &Vec<f64>),
        (x_dot, gamma_dot): (Option<&Vec<f64>>, View<'_, Vec<f64>>),
        (d_beta, d_gamma): (&mut Vec<f64>, &mut Vec<f64>),
        dx: Target<'_, Vec<f64>>,
    ) {
        let dz = adjoint(layer.epilogue, layer.input, n, dy, at.choice);
        let dz_dot = adjoint(layer.epilogue, layer.input, n, dy_dot, at.choice);
        let x_dot = |i: usize| x_dot.map_or(0.0, |x_dot| x_dot[i]);
        let mut result = vec![0.0; dz.len()];
        for ch in 0..layer.input.channels() {
            let (of, q) = (channel(layer.input, n, ch), Channel::new(layer, n, &at, ch));
            let mean = |f: &dyn Fn(usize) -> f64| of.clone().map(f).sum::<f64>() / q.count;
            let (p, m, s, k) = (p[ch], m[ch], q.s, q.gamma * q.s);
            let (a, c) = (q.of_batch * beta[ch] / q.count, q.of_batch * gamma[ch] / q.count);
            let f = mean(&|i| dz_dot[i] * q.normalized(at.x[i]));
            let c_dot = f + s * (mean(&|i| dz[i] * (x_dot(i) - p)) - m * c);
            d_beta[ch] = q.count * mean(&|i| dz_dot[i]);
            d_gamma[ch] = q.count * c_dot;
            let (e, c_dot) = (q.of_batch * d_beta[ch] / q.count, q.of_batch * c_dot);
            let k_dot = slice(gamma_dot)[ch] * s - k * s * m;
            of.clone().for_each(|i| {
                result[i] = k_dot * (dz[i] - a) + k * (dz_dot[i] - e)
                    - k * c * s * (x_dot(i) - p)
                    - (k_dot * c + k * c_dot - k * c * s * m) * q.normalized(at.x[i]);
            });
        }
        write(dx, &result);
    }
}
