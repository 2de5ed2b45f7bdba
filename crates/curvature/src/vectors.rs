//! Parallel arithmetic on long vectors. The order of every sum depends only on the length, so results do not
//! depend on the number of threads.
//!
//! A basis can store its vectors in `f32` ([`Entry`]); all arithmetic is in `f64`.

use std::borrow::Cow;

use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use rayon::prelude::*;

/// Entries per partial sum, and rows of a basis that stay in cache between two uses (32 KiB per vector in
/// `f64`).
const BLOCK: usize = 4096;
/// The fewest blocks worth waking a thread for.
const SERIAL: usize = 4;
const LANES: usize = 8;

/// An entry of a stored basis vector.
pub(crate) trait Entry: Copy + Send + Sync {
    /// The largest relative rounding error of storing an entry.
    const ROUNDING: f64;

    fn from_wide(x: f64) -> Self;

    fn wide(self) -> f64;

    /// A stored vector in `f64`.
    fn widen(v: &[Self]) -> Cow<'_, [f64]>;

    /// A vector as it is stored.
    fn narrow(w: Vec<f64>) -> Vec<Self>;
}

impl Entry for f64 {
    const ROUNDING: Self = 0.0;

    fn from_wide(x: Self) -> Self {
        x
    }

    fn wide(self) -> Self {
        self
    }

    fn widen(v: &[Self]) -> Cow<'_, [Self]> {
        Cow::Borrowed(v)
    }

    fn narrow(w: Vec<Self>) -> Vec<Self> {
        w
    }
}

impl Entry for f32 {
    const ROUNDING: f64 = 0.5 * Self::EPSILON as f64;

    #[expect(clippy::cast_possible_truncation, reason = "rounding is the purpose")]
    fn from_wide(x: f64) -> Self {
        x as Self
    }

    fn wide(self) -> f64 {
        f64::from(self)
    }

    fn widen(v: &[Self]) -> Cow<'_, [f64]> {
        Cow::Owned(v.par_iter().with_min_len(SERIAL * BLOCK).map(|x| x.wide()).collect())
    }

    fn narrow(w: Vec<f64>) -> Vec<Self> {
        w.par_iter().with_min_len(SERIAL * BLOCK).map(|x| Self::from_wide(*x)).collect()
    }
}

/// `xᵀ y`, summed in blocks to keep the rounding error small.
pub(crate) fn dot(x: &[f64], y: &[f64]) -> f64 {
    debug_assert_eq!(x.len(), y.len(), "vectors of one space");
    if x.len() <= BLOCK {
        return dot_block(x, y);
    }
    let blocks = x.par_chunks(BLOCK).zip(y.par_chunks(BLOCK)).with_min_len(SERIAL);
    let sums: Vec<f64> = blocks.map(|(x, y)| dot_block(x, y)).collect();
    sums.iter().sum()
}

fn dot_block<T: Entry>(x: &[T], y: &[f64]) -> f64 {
    let mut lanes = [0.0; LANES];
    let (x_chunks, y_chunks) = (x.chunks_exact(LANES), y.chunks_exact(LANES));
    let rest: f64 = x_chunks.remainder().iter().zip(y_chunks.remainder()).map(|(x, y)| x.wide() * y).sum();
    for (x, y) in x_chunks.zip(y_chunks) {
        for lane in 0..LANES {
            lanes[lane] += x[lane].wide() * y[lane];
        }
    }
    lanes.iter().sum::<f64>() + rest
}

/// The Euclidean norm, even if the squares overflow or underflow. Not finite if and only if an entry is not.
pub(crate) fn norm(x: &[f64]) -> f64 {
    norm_of_square(x, dot(x, x))
}

/// The norm of `x`, given the sum of its squares, which may have overflowed or underflowed.
fn norm_of_square(x: &[f64], square: f64) -> f64 {
    if square.is_nan() || (1e-280..=1e280).contains(&square) {
        return square.sqrt();
    }
    let largest = x.iter().fold(0.0, |largest: f64, x| largest.max(x.abs()));
    if largest <= 0.0 || largest.is_infinite() {
        return largest;
    }
    largest * x.iter().map(|x| (x / largest).powi(2)).sum::<f64>().sqrt()
}

/// `y += a x`.
pub(crate) fn add_scaled(y: &mut [f64], a: f64, x: &[f64]) {
    let blocks = y.par_chunks_mut(BLOCK).zip(x.par_chunks(BLOCK)).with_min_len(SERIAL);
    blocks.for_each(|(y, x)| add_scaled_block(y, a, x));
}

fn add_scaled_block<T: Entry>(y: &mut [f64], a: f64, x: &[T]) {
    for (y, x) in y.iter_mut().zip(x) {
        *y += a * x.wide();
    }
}

pub(crate) fn scale(x: &mut [f64], factor: f64) {
    let blocks = x.par_chunks_mut(BLOCK).with_min_len(SERIAL);
    blocks.for_each(|x| x.iter_mut().for_each(|x| *x *= factor));
}

/// A uniformly random unit vector.
pub(crate) fn random_unit(dim: usize, rng: &mut ChaCha8Rng) -> Vec<f64> {
    loop {
        let mut v: Vec<f64> = (0..dim).map(|_| StandardNormal.sample(rng)).collect();
        let norm = norm(&v);
        if norm > 0.0 {
            scale(&mut v, 1.0 / norm);
            return v;
        }
    }
}

/// The projection of a vector `w` on a basis `V`.
#[derive(Debug, Clone)]
pub struct Projection {
    /// `Vᵀ w`.
    pub coefficients: Vec<f64>,
    /// `‖w‖`.
    pub norm: f64,
}

/// Computes `w -= V c` if `c` is given, then `Vᵀ w` and `‖w‖`. Reads the basis once.
pub(crate) fn project<T: Entry>(w: &mut [f64], basis: &[Vec<T>], subtract: Option<&[f64]>) -> Projection {
    let width = basis.len() + 1;
    let mut sums = vec![0.0; w.len().div_ceil(BLOCK) * width];
    let blocks = w.par_chunks_mut(BLOCK).zip(sums.par_chunks_mut(width)).enumerate().with_min_len(SERIAL);
    blocks.for_each(|(block, (w, sums))| {
        let rows = block * BLOCK..block * BLOCK + w.len();
        for (c, v) in subtract.unwrap_or_default().iter().zip(basis) {
            add_scaled_block(w, -c, &v[rows.clone()]);
        }
        for (sum, v) in sums.iter_mut().zip(basis) {
            *sum = dot_block(&v[rows.clone()], w);
        }
        sums[width - 1] = dot_block(w, w);
    });
    let mut coefficients = vec![0.0; width];
    for sums in sums.chunks(width) {
        add_scaled_block(&mut coefficients, 1.0, sums);
    }
    let square = coefficients.pop().unwrap_or(0.0);
    Projection { coefficients, norm: norm_of_square(w, square) }
}

/// `V s`, where `s` is `column`. Vectors of the basis beyond the length of `s` are ignored.
pub(crate) fn combine<T: Entry>(basis: &[Vec<T>], column: &[f64]) -> Vec<f64> {
    let mut sum = vec![0.0; basis.first().map_or(0, Vec::len)];
    let blocks = sum.par_chunks_mut(BLOCK).enumerate().with_min_len(SERIAL);
    blocks.for_each(|(block, sum)| {
        let rows = block * BLOCK..block * BLOCK + sum.len();
        for (s, v) in column.iter().zip(basis) {
            add_scaled_block(sum, *s, &v[rows.clone()]);
        }
    });
    sum
}

/// Replaces the first vectors of `basis` by `V S`, where `columns` are the columns of `S`. Works in blocks
/// of rows, so it needs no second basis. The remaining vectors are meaningless afterwards.
pub(crate) fn rotate<T: Entry>(basis: &mut [Vec<T>], columns: &[Vec<f64>]) {
    let dim = basis.first().map_or(0, Vec::len);
    let mut blocks: Vec<Vec<&mut [T]>> = (0..dim.div_ceil(BLOCK)).map(|_| Vec::new()).collect();
    for v in basis {
        for (block, part) in blocks.iter_mut().zip(v.chunks_mut(BLOCK)) {
            block.push(part);
        }
    }
    blocks.par_iter_mut().with_min_len(SERIAL).for_each(|block| {
        let old: Vec<Vec<T>> = block.iter().map(|part| part.to_vec()).collect();
        for (column, v) in columns.iter().zip(block) {
            for (x, sum) in v.iter_mut().zip(combine(&old, column)) {
                *x = T::from_wide(sum);
            }
        }
    });
}
