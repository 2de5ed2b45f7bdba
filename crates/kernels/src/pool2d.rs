//! Max and average pooling without padding, plane by plane. A plane is one image of one channel; planes are independent.

use sharpness_backend::{Accumulate, Pool2d};

use crate::Real;
use crate::parallel::{chunks, chunks2};

/// Planes of one task: about this many input elements.
const TASK: usize = 1 << 14;

fn planes_per_task(plane: usize) -> usize {
    (TASK / plane.max(1)).max(1)
}

/// `y` = the maximum of each window; `choice` = its offset `ky · kernel_width + kx`. The first maximum in row order wins, and
/// a NaN wins over numbers. `x: [planes, h, w]`, `y, choice: [planes, h_out, w_out]`.
///
/// # Panics
/// If the slices do not match the geometry or the window has more than 256 elements.
pub fn max_pool<R: Real>(g: &Pool2d, x: &[R], y: &mut [R], choice: &mut [u8]) {
    let (h, w, plane) = g.sizes();
    assert!(g.window() <= 256, "a max-pooling window has at most 256 elements");
    let task = planes_per_task(plane);
    chunks2(y, task * h * w, choice, task * h * w, |t, y, choice| {
        for (p, (y, choice)) in y.chunks_mut(h * w).zip(choice.chunks_mut(h * w)).enumerate() {
            let x = &x[(t * task + p) * plane..][..plane];
            for (o, (y, choice)) in y.iter_mut().zip(choice).enumerate() {
                (*y, *choice) = window_max(g, x, (o / w, o % w));
            }
        }
    });
}

fn window_max<R: Real>(g: &Pool2d, x: &[R], output: (usize, usize)) -> (R, u8) {
    let mut best = (x[g.at(output, 0)], 0);
    for k in 1..g.window() {
        let candidate = x[g.at(output, k)];
        if candidate > best.0 || (candidate.is_nan() && !best.0.is_nan()) {
            best = (candidate, u8::try_from(k).unwrap_or(u8::MAX));
        }
    }
    best
}

/// `y` = the element of each window of `x` that `choice` names: the tangent of [`max_pool`].
///
/// # Panics
/// If the slices do not match the geometry.
pub fn max_pool_gather<R: Real>(g: &Pool2d, x: &[R], choice: &[u8], y: &mut [R]) {
    let (h, w, plane) = g.sizes();
    let task = planes_per_task(plane);
    chunks(y, task * h * w, |t, y| {
        for (p, y) in y.chunks_mut(h * w).enumerate() {
            let x = &x[(t * task + p) * plane..][..plane];
            let choice = &choice[(t * task + p) * h * w..][..h * w];
            for (o, (y, &k)) in y.iter_mut().zip(choice).enumerate() {
                *y = x[g.at((o / w, o % w), usize::from(k))];
            }
        }
    });
}

/// `x (+)=` each element of `y` at the place that `choice` names: the adjoint of [`max_pool_gather`].
///
/// # Panics
/// If the slices do not match the geometry.
pub fn max_pool_scatter<R: Real>(g: &Pool2d, y: &[R], choice: &[u8], accumulate: Accumulate, x: &mut [R]) {
    let (h, w, plane) = g.sizes();
    let task = planes_per_task(plane);
    chunks(x, task * plane, |t, x| {
        for (p, x) in x.chunks_mut(plane).enumerate() {
            if accumulate == Accumulate::Set {
                x.fill(R::ZERO);
            }
            let range = (t * task + p) * h * w..(t * task + p + 1) * h * w;
            for (o, (&y, &k)) in y[range.clone()].iter().zip(&choice[range]).enumerate() {
                x[g.at((o / w, o % w), usize::from(k))] += y;
            }
        }
    });
}

/// `y` = the mean of each window.
///
/// # Panics
/// If the slices do not match the geometry.
pub fn average_pool<R: Real>(g: &Pool2d, x: &[R], y: &mut [R]) {
    let (h, w, plane) = g.sizes();
    let task = planes_per_task(plane);
    let share = R::from_f64(1.0 / to_f64(g.window()));
    chunks(y, task * h * w, |t, y| {
        for (p, y) in y.chunks_mut(h * w).enumerate() {
            let x = &x[(t * task + p) * plane..][..plane];
            for (o, y) in y.iter_mut().enumerate() {
                let sum: R = (0..g.window()).map(|k| x[g.at((o / w, o % w), k)]).sum();
                *y = share * sum;
            }
        }
    });
}

/// `x (+)=` the adjoint of [`average_pool`].
///
/// # Panics
/// If the slices do not match the geometry.
pub fn average_pool_adjoint<R: Real>(g: &Pool2d, y: &[R], accumulate: Accumulate, x: &mut [R]) {
    let (h, w, plane) = g.sizes();
    let task = planes_per_task(plane);
    let share = R::from_f64(1.0 / to_f64(g.window()));
    chunks(x, task * plane, |t, x| {
        for (p, x) in x.chunks_mut(plane).enumerate() {
            if accumulate == Accumulate::Set {
                x.fill(R::ZERO);
            }
            for (o, &y) in y[(t * task + p) * h * w..][..h * w].iter().enumerate() {
                for k in 0..g.window() {
                    x[g.at((o / w, o % w), k)] += share * y;
                }
            }
        }
    });
}

fn to_f64(count: usize) -> f64 {
    u32::try_from(count).map_or(f64::INFINITY, f64::from)
}
