//! Between layouts: `[n, c, h, w]` at the door, `[c, n, h, w]` inside, `[features, n]` for linear layers.

use std::ops::Range;

use sharpness_backend::{Accumulate, Pixels, Scalar};

use crate::Real;
use crate::parallel::chunks;
use crate::simd::{Lanes, Leaf, Task};
use crate::transpose::transpose;

/// `y: [c, n, inner]` from `x: [n, c, inner]`, rounded to the type of `y`.
///
/// # Panics
/// If the lengths do not match.
pub fn from_nchw<R: Real>(channels: usize, n: usize, x: &[f64], y: &mut [R]) {
    let inner = y.len() / (channels * n).max(1);
    chunks(y, inner, |plane, y| {
        let (c, i) = (plane / n, plane % n);
        let x = &x[(i * channels + c) * inner..][..inner];
        y.iter_mut().zip(x).for_each(|(y, &x)| *y = R::from_f64(x));
    });
}

/// `y: [c, n, inner]` = the `n` images with the given numbers, computed in double precision and rounded to the type of `y`.
///
/// # Panics
/// If there is no such image, or the lengths do not match.
pub fn from_pixels<R: Real>(channels: usize, pixels: &Pixels<'_>, numbers: &[u32], y: &mut [R]) {
    assert_eq!(y.len(), numbers.len() * pixels.mean.len(), "the result has room for the images");
    R::with_lanes(FromPixels { channels, pixels, numbers, y });
}

/// The task of [`from_pixels`].
struct FromPixels<'a, R> {
    channels: usize,
    pixels: &'a Pixels<'a>,
    numbers: &'a [u32],
    y: &'a mut [R],
}

impl<R: Real> Task<R> for FromPixels<'_, R> {
    fn run<V: Lanes<Scalar = R>>(self) {
        let Self { channels, pixels, numbers, y } = self;
        let inner = pixels.mean.len() / channels.max(1);
        chunks(y, inner * PLANES, |index, y| {
            for (i, y) in y.chunks_mut(inner.max(1)).enumerate() {
                let plane = index * PLANES + i;
                let (c, image) = (plane / numbers.len(), numbers[plane % numbers.len()] as usize);
                V::vectorize(Plane { pixels, range: c * inner..(c + 1) * inner, image, y });
            }
        });
    }
}

/// Planes of one task.
const PLANES: usize = 8;

/// The channel `range` of one image.
struct Plane<'a, R> {
    pixels: &'a Pixels<'a>,
    range: Range<usize>,
    image: usize,
    y: &'a mut [R],
}

impl<V: Lanes> Leaf<V> for Plane<'_, V::Scalar> {
    #[inline(always)]
    fn run(self) {
        let Self { pixels: Pixels { bytes, scale, mean, deviation }, range, image, y } = self;
        let bytes = &bytes[image * mean.len()..][range.clone()];
        for (((y, &byte), mean), deviation) in
            y.iter_mut().zip(bytes).zip(&mean[range.clone()]).zip(&deviation[range])
        {
            *y = V::Scalar::from_f64((f64::from(byte) * scale - mean) / deviation);
        }
    }
}

/// `[n, c, inner]` in double precision from `x: [c, n, inner]`.
pub fn to_nchw<R: Real>(channels: usize, n: usize, x: &[R]) -> Vec<f64> {
    let inner = x.len() / (channels * n).max(1);
    let mut y = Vec::with_capacity(x.len());
    for i in 0..n {
        for c in 0..channels {
            y.extend(x[(c * n + i) * inner..][..inner].iter().map(|x| x.to_f64()));
        }
    }
    y
}

/// `y: [c · inner, n]` from `x: [c, n, inner]`: the order of an example's elements is PyTorch's `flatten`.
///
/// # Panics
/// If the lengths do not match.
pub fn flatten<R: Real>(n: usize, inner: usize, x: &[R], y: &mut [R]) {
    let len = n * inner;
    chunks(y, len, |c, y| transpose((n, inner), &x[c * len..][..len], Accumulate::Set, y));
}

/// `x: [c, n, inner] (+)= y: [c · inner, n]`: the adjoint of [`flatten`].
///
/// # Panics
/// If the lengths do not match.
pub fn unflatten<R: Real>(n: usize, inner: usize, y: &[R], accumulate: Accumulate, x: &mut [R]) {
    let len = n * inner;
    chunks(x, len, |c, x| transpose((inner, n), &y[c * len..][..len], accumulate, x));
}

/// Every second pixel of every second row, with channels of zeros appended: the shortcut of a widening Fixup block.
/// `x: [c_in, n, h, w]`, `y: [c_out, n, ⌈h/2⌉, ⌈w/2⌉]` with `c_out >= c_in`.
///
/// # Panics
/// If the lengths do not match.
pub fn subsample<R: Real>(n: usize, (channels_in, h, w): (usize, usize, usize), x: &[R], y: &mut [R]) {
    let (h_out, w_out) = (h.div_ceil(2), w.div_ceil(2));
    chunks(y, h_out * w_out, |plane, y| {
        if plane >= channels_in * n {
            y.fill(R::ZERO);
            return;
        }
        let x = &x[plane * h * w..][..h * w];
        y.iter_mut().enumerate().for_each(|(o, y)| *y = x[o / w_out * 2 * w + o % w_out * 2]);
    });
}

/// `x (+)=` the adjoint of [`subsample`].
///
/// # Panics
/// If the lengths do not match.
pub fn subsample_adjoint<R: Real>((h, w): (usize, usize), y: &[R], accumulate: Accumulate, x: &mut [R]) {
    let (h_out, w_out) = (h.div_ceil(2), w.div_ceil(2));
    chunks(x, h * w, |plane, x| {
        if accumulate == Accumulate::Set {
            x.fill(R::ZERO);
        }
        let y = &y[plane * h_out * w_out..][..h_out * w_out];
        y.iter().enumerate().for_each(|(o, &y)| x[o / w_out * 2 * w + o % w_out * 2] += y);
    });
}
