//! Sums in `f64` with a fixed order.

use rayon::prelude::*;
use smallvec::SmallVec;

use crate::Real;

/// Elements of one block of a reduction; block sums are added in order.
const BLOCK: usize = 4096;
/// Independent partial sums inside a block, so that the additions overlap.
const LANES: usize = 8;

fn block_sum(len: usize, term: impl Fn(usize) -> f64) -> f64 {
    let mut lanes = [0.0; LANES];
    let whole = len / LANES * LANES;
    for start in (0..whole).step_by(LANES) {
        for (lane, sum) in lanes.iter_mut().enumerate() {
            *sum += term(start + lane);
        }
    }
    let rest: f64 = (whole..len).map(&term).sum();
    lanes.iter().sum::<f64>() + rest
}

fn blocked(len: usize, block: impl Fn(usize, usize) -> f64 + Sync + Send) -> f64 {
    let blocks = len.div_ceil(BLOCK);
    let of = |i: usize| block(i * BLOCK, ((i + 1) * BLOCK).min(len));
    if blocks <= 8 {
        return (0..blocks).map(of).sum();
    }
    let mut sums = SmallVec::<[f64; 256]>::from_elem(0.0, blocks);
    sums.par_iter_mut().enumerate().for_each(|(i, sum)| *sum = of(i));
    sums.iter().sum()
}

/// `Σ x[i]`.
pub fn sum<R: Real>(x: &[R]) -> f64 {
    blocked(x.len(), |a, b| {
        let x = &x[a..b];
        block_sum(x.len(), |i| x[i].to_f64())
    })
}

/// `Σ x[i] y[i]`.
///
/// # Panics
/// If the lengths differ.
pub fn dot<R: Real>(x: &[R], y: &[R]) -> f64 {
    assert_eq!(x.len(), y.len(), "dot product of vectors of different lengths");
    blocked(x.len(), |a, b| {
        let (x, y) = (&x[a..b], &y[a..b]);
        block_sum(x.len(), |i| x[i].to_f64() * y[i].to_f64())
    })
}
