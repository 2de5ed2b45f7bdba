//! Pooling, window by window.

use super::{Reference, put, to_f64};
use crate::{Accumulate, Pool2d, Pooling, Shape};

/// The element of `x` at offset `k` of the window of output `o`.
fn element(pool: &Pool2d, o: usize, k: usize) -> usize {
    let (h, w, plane) = pool.sizes();
    let (p, o) = (o / (h * w), o % (h * w));
    p * plane + pool.at((o / w, o % w), k)
}

/// Outputs of `planes` images.
fn outputs(pool: &Pool2d, planes: usize) -> usize {
    let (h, w, _) = pool.sizes();
    planes * h * w
}

/// Adds `values` to `x`, which is cleared first unless they are added to what it holds.
fn scatter(accumulate: Accumulate, x: &mut [f64], values: impl Iterator<Item = (usize, f64)>) {
    if accumulate == Accumulate::Set {
        x.fill(0.0);
    }
    values.for_each(|(i, value)| x[i] += value);
}

impl Pooling for Reference {
    fn max_pool(&self, pool: &Pool2d, planes: usize, x: &Vec<f64>, y: &mut Vec<f64>, choice: &mut Vec<u8>) {
        for o in 0..outputs(pool, planes) {
            let mut best = 0;
            for k in 1..pool.window() {
                let (candidate, current) = (x[element(pool, o, k)], x[element(pool, o, best)]);
                if candidate > current || candidate.is_nan() && !current.is_nan() {
                    best = k;
                }
            }
            y[o] = x[element(pool, o, best)];
            choice[o] = u8::try_from(best).expect("a window has at most 256 elements");
        }
    }

    fn max_pool_gather(
        &self,
        pool: &Pool2d,
        planes: usize,
        x: &Vec<f64>,
        choice: &Vec<u8>,
        y: &mut Vec<f64>,
    ) {
        put(Accumulate::Set, &mut y[..outputs(pool, planes)], |o| {
            x[element(pool, o, usize::from(choice[o]))]
        });
    }

    fn max_pool_scatter(
        &self,
        pool: &Pool2d,
        planes: usize,
        y: &Vec<f64>,
        choice: &Vec<u8>,
        accumulate: Accumulate,
        x: &mut Vec<f64>,
    ) {
        let values = (0..outputs(pool, planes)).map(|o| (element(pool, o, usize::from(choice[o])), y[o]));
        scatter(accumulate, &mut x[..planes * pool.height * pool.width], values);
    }

    fn average_pool(&self, pool: &Pool2d, planes: usize, x: &Vec<f64>, y: &mut Vec<f64>) {
        put(Accumulate::Set, &mut y[..outputs(pool, planes)], |o| {
            (0..pool.window()).map(|k| x[element(pool, o, k)]).sum::<f64>() / to_f64(pool.window())
        });
    }

    fn average_pool_adjoint(
        &self,
        pool: &Pool2d,
        planes: usize,
        y: &Vec<f64>,
        accumulate: Accumulate,
        x: &mut Vec<f64>,
    ) {
        let values = (0..outputs(pool, planes)).flat_map(|o| {
            (0..pool.window()).map(move |k| (element(pool, o, k), y[o] / to_f64(pool.window())))
        });
        scatter(accumulate, &mut x[..planes * pool.height * pool.width], values);
    }

    fn subsample(&self, shape: Shape, channels_out: usize, n: usize, x: &Vec<f64>, y: &mut Vec<f64>) {
        let (h, w) = (shape.height().div_ceil(2), shape.width().div_ceil(2));
        put(Accumulate::Set, &mut y[..n * channels_out * h * w], |o| {
            let (i, c, oy, ox) = (o / (channels_out * h * w), o / (h * w) % channels_out, o / w % h, o % w);
            let place = ((i * shape.channels() + c) * shape.height() + 2 * oy) * shape.width() + 2 * ox;
            if c < shape.channels() { x[place] } else { 0.0 }
        });
    }

    fn subsample_adjoint(
        &self,
        shape: Shape,
        channels_out: usize,
        n: usize,
        y: &Vec<f64>,
        accumulate: Accumulate,
        x: &mut Vec<f64>,
    ) {
        let (h, w) = (shape.height().div_ceil(2), shape.width().div_ceil(2));
        put(accumulate, &mut x[..n * shape.elements()], |k| {
            let (i, c) = (k / shape.elements(), k / shape.pixels() % shape.channels());
            let (iy, ix) = (k / shape.width() % shape.height(), k % shape.width());
            let is_kept = iy % 2 == 0 && ix % 2 == 0;
            if is_kept { y[((i * channels_out + c) * h + iy / 2) * w + ix / 2] } else { 0.0 }
        });
    }
}
