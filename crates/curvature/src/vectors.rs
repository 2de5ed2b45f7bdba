//! Arithmetic on long vectors, in a fixed order of summation so that results do not vary between runs.

use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

/// Entries that are summed before their sum joins the total; also the rows that stay in cache between two passes
/// over a basis (32 KiB a vector).
const BLOCK: usize = 4096;
const LANES: usize = 8;

/// `xᵀ y`, summed in blocks, so that the rounding error grows with the square root of the length at most.
pub(crate) fn dot(x: &[f64], y: &[f64]) -> f64 {
    debug_assert_eq!(x.len(), y.len(), "vectors of one space");
    x.chunks(BLOCK).zip(y.chunks(BLOCK)).map(|(x, y)| dot_block(x, y)).sum()
}

fn dot_block(x: &[f64], y: &[f64]) -> f64 {
    let mut lanes = [0.0; LANES];
    let (x_chunks, y_chunks) = (x.chunks_exact(LANES), y.chunks_exact(LANES));
    let rest: f64 = x_chunks.remainder().iter().zip(y_chunks.remainder()).map(|(x, y)| x * y).sum();
    for (x, y) in x_chunks.zip(y_chunks) {
        for lane in 0..LANES {
            lanes[lane] += x[lane] * y[lane];
        }
    }
    lanes.iter().sum::<f64>() + rest
}

/// The Euclidean norm, also where the squares would overflow or underflow. Not finite exactly when an entry is not.
pub(crate) fn norm(x: &[f64]) -> f64 {
    let square = dot(x, x);
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
    for (y, x) in y.iter_mut().zip(x) {
        *y += a * x;
    }
}

pub(crate) fn scale(x: &mut [f64], factor: f64) {
    for x in x {
        *x *= factor;
    }
}

/// A vector of length 1, uniform on the sphere.
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

/// One classical Gram-Schmidt pass: `c = Vᵀ w`, then `w -= V c`. Returns `c`.
pub(crate) fn project_out(w: &mut [f64], basis: &[Vec<f64>]) -> Vec<f64> {
    let mut coefficients = vec![0.0; basis.len()];
    for (block, w) in w.chunks(BLOCK).enumerate() {
        let rows = block * BLOCK..block * BLOCK + w.len();
        for (c, v) in coefficients.iter_mut().zip(basis) {
            *c += dot_block(&v[rows.clone()], w);
        }
    }
    for (block, w) in w.chunks_mut(BLOCK).enumerate() {
        let rows = block * BLOCK..block * BLOCK + w.len();
        for (c, v) in coefficients.iter().zip(basis) {
            add_scaled(w, -c, &v[rows.clone()]);
        }
    }
    coefficients
}

/// Replaces the first vectors of `basis` by `V S`, where `columns` are the columns of `S`, in blocks of rows, so
/// that no second basis is needed. The vectors after them are left over and have no meaning.
pub(crate) fn rotate(basis: &mut [Vec<f64>], columns: &[Vec<f64>]) {
    let dim = basis.first().map_or(0, Vec::len);
    let mut old: Vec<Vec<f64>> = vec![Vec::new(); basis.len()];
    for first in (0..dim).step_by(BLOCK) {
        let rows = first..dim.min(first + BLOCK);
        for (old, v) in old.iter_mut().zip(&*basis) {
            old.clear();
            old.extend_from_slice(&v[rows.clone()]);
        }
        for (column, v) in columns.iter().zip(basis.iter_mut()) {
            v[rows.clone()].fill(0.0);
            for (s, old) in column.iter().zip(&old) {
                add_scaled(&mut v[rows.clone()], *s, old);
            }
        }
    }
}
