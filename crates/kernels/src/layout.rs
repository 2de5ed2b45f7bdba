//! Between layouts: `[n, c, h, w]` at the door, `[c, n, h, w]` inside, `[features, n]` for linear layers.

use crate::parallel::chunks;
use crate::transpose::transpose;
use crate::{Accumulate, Real};

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
