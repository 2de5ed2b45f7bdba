//! Per-channel sums and per-channel affine maps: all that batch norm, biases and scalar scales need.
//!
//! An activation with `c` channels is `c` contiguous ranges of equal length; the whole tensor is the case `c = 1`.

use rayon::prelude::*;

use sharpness_backend::Accumulate;

use crate::Real;
use crate::reduce::{dot, sum};

/// Elements that stay in the first-level cache while the terms of an affine map are added.
const STRIP: usize = 1 << 11;

/// `out[c] = f(c)`, where all channels have `len` elements together.
pub(crate) fn per_channel(out: &mut [f64], len: usize, f: impl Fn(usize) -> f64 + Sync + Send) {
    if out.len() == 1 || len < 1 << 14 {
        out.iter_mut().enumerate().for_each(|(c, out)| *out = f(c));
    } else {
        out.par_iter_mut().enumerate().for_each(|(c, out)| *out = f(c));
    }
}

/// `out[c] = Σ_i x[c, i]`, for `out.len()` channels of `x.len() / out.len()` elements.
pub fn channel_sum<R: Real>(x: &[R], out: &mut [f64]) {
    let inner = x.len() / out.len().max(1);
    per_channel(out, x.len(), |c| sum(&x[c * inner..(c + 1) * inner]));
}

/// `out[c] = Σ_i x[c, i] y[c, i]`.
///
/// # Panics
/// If the lengths of `x` and `y` differ.
pub fn channel_dot<R: Real>(x: &[R], y: &[R], out: &mut [f64]) {
    let inner = x.len() / out.len().max(1);
    per_channel(out, x.len(), |c| {
        let range = c * inner..(c + 1) * inner;
        dot(&x[range.clone()], &y[range])
    });
}

/// `y[c, i] (+)= Σ_k a_k[c] x_k[c, i] + b[c]`, for `channels` channels.
///
/// # Panics
/// If a coefficient vector is shorter than `channels` or a term shorter than `y`.
pub fn channel_affine<R: Real>(
    channels: usize,
    terms: &[(&[f64], &[R])],
    bias: Option<&[f64]>,
    accumulate: Accumulate,
    y: &mut [R],
) {
    let inner = y.len() / channels.max(1);
    let strips = inner.div_ceil(STRIP).max(1);
    let strip = |index: usize, y: &mut [R]| {
        let (c, start) = (index / strips, index % strips * STRIP);
        let b = R::from_f64(bias.map_or(0.0, |b| b[c]));
        match accumulate {
            Accumulate::Set => y.fill(b),
            Accumulate::Add => y.iter_mut().for_each(|y| *y += b),
        }
        for (a, x) in terms {
            let (a, x) = (R::from_f64(a[c]), &x[c * inner + start..][..y.len()]);
            y.iter_mut().zip(x).for_each(|(y, &x)| *y += a * x);
        }
    };
    if y.len() < 1 << 14 {
        y.chunks_mut(inner.max(1))
            .enumerate()
            .for_each(|(c, y)| y.chunks_mut(STRIP).enumerate().for_each(|(s, y)| strip(c * strips + s, y)));
    } else {
        y.par_chunks_mut(inner.max(1)).enumerate().for_each(|(c, y)| {
            y.par_chunks_mut(STRIP).enumerate().for_each(|(s, y)| strip(c * strips + s, y));
        });
    }
}
