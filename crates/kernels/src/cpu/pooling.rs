//! Pooling without padding, and subsampling.

use sharpness_backend::{Accumulate, Pool2d, Pooling, Shape};

use super::Cpu;
use crate::{Real, layout, pool2d};

impl<R: Real> Pooling for Cpu<R> {
    #[inline(never)]
    fn max_pool(&self, pool: &Pool2d, planes: usize, x: &Vec<R>, y: &mut Vec<R>, choice: &mut Vec<u8>) {
        let len = planes * outputs(pool);
        pool2d::max_pool(pool, x, &mut y[..len], &mut choice[..len]);
    }

    #[inline(never)]
    fn max_pool_gather(&self, pool: &Pool2d, planes: usize, x: &Vec<R>, choice: &Vec<u8>, y: &mut Vec<R>) {
        pool2d::max_pool_gather(pool, x, choice, &mut y[..planes * outputs(pool)]);
    }

    #[inline(never)]
    fn max_pool_scatter(
        &self,
        pool: &Pool2d,
        planes: usize,
        y: &Vec<R>,
        choice: &Vec<u8>,
        accumulate: Accumulate,
        x: &mut Vec<R>,
    ) {
        let x = &mut x[..planes * pool.height * pool.width];
        pool2d::max_pool_scatter(pool, y, choice, accumulate, x);
    }

    #[inline(never)]
    fn average_pool(&self, pool: &Pool2d, planes: usize, x: &Vec<R>, y: &mut Vec<R>) {
        pool2d::average_pool(pool, x, &mut y[..planes * outputs(pool)]);
    }

    #[inline(never)]
    fn average_pool_adjoint(
        &self,
        pool: &Pool2d,
        planes: usize,
        y: &Vec<R>,
        accumulate: Accumulate,
        x: &mut Vec<R>,
    ) {
        pool2d::average_pool_adjoint(pool, y, accumulate, &mut x[..planes * pool.height * pool.width]);
    }

    #[inline(never)]
    fn subsample(&self, shape: Shape, channels_out: usize, n: usize, x: &Vec<R>, y: &mut Vec<R>) {
        let pixels = shape.height().div_ceil(2) * shape.width().div_ceil(2);
        let input = (shape.channels(), shape.height(), shape.width());
        layout::subsample(n, input, x, &mut y[..channels_out * n * pixels]);
    }

    #[inline(never)]
    fn subsample_adjoint(
        &self,
        shape: Shape,
        _: usize,
        n: usize,
        y: &Vec<R>,
        accumulate: Accumulate,
        x: &mut Vec<R>,
    ) {
        let x = &mut x[..n * shape.elements()];
        layout::subsample_adjoint((shape.height(), shape.width()), y, accumulate, x);
    }
}

/// Output elements of one plane.
fn outputs(pool: &Pool2d) -> usize {
    pool.output().map_or(0, |(h, w)| h * w)
}
