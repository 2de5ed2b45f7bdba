//! Losses of a batch of outputs `z: [classes, n]` against labels, with gradient and Hessian product in `z`.
//!
//! An example's loss is softmax cross-entropy `-ln p_label`, `p = softmax(z)`, or squared error `½ ‖z - e_label‖²` with the
//! one-hot target `e_label`.

use smallvec::SmallVec;

use sharpness_backend::Loss;

use crate::Real;

/// One number for each class; of many classes they are allocated.
type Classes = SmallVec<[f64; 64]>;

/// Runs `f(example, label, its column as f64, as many numbers to work with)` in order of the examples.
fn columns<R: Real>(n: usize, labels: &[u32], z: &[R], mut f: impl FnMut(usize, usize, &[f64], &mut [f64])) {
    let classes = z.len() / n.max(1);
    let (mut column, mut p) = (Classes::from_elem(0.0, classes), Classes::from_elem(0.0, classes));
    for (i, &label) in labels[..n].iter().enumerate() {
        column.iter_mut().enumerate().for_each(|(k, value)| *value = z[k * n + i].to_f64());
        f(i, label as usize, &column, &mut p);
    }
}

fn first_maximum(column: &[f64]) -> usize {
    let mut best = 0;
    for (k, value) in column.iter().enumerate() {
        if *value > column[best] {
            best = k;
        }
    }
    best
}

fn softmax(column: &[f64], p: &mut [f64]) -> f64 {
    let max = column.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    p.iter_mut().zip(column).for_each(|(p, z)| *p = (z - max).exp());
    let sum: f64 = p.iter().sum();
    p.iter_mut().for_each(|p| *p /= sum);
    max + sum.ln()
}

/// The loss of an example and whether it is correct; `p` = its softmax, where that is the loss.
fn example(kind: Loss, label: usize, column: &[f64], p: &mut [f64]) -> (f64, bool) {
    let loss = match kind {
        Loss::SoftmaxCrossEntropy => softmax(column, p) - column[label],
        Loss::SquaredError => {
            let target = |k| if k == label { 1.0 } else { 0.0 };
            0.5 * column.iter().enumerate().map(|(k, z)| (z - target(k)).powi(2)).sum::<f64>()
        }
    };
    if column.iter().all(|z| z.is_finite()) {
        (loss, first_maximum(column) == label)
    } else {
        (f64::NAN, false)
    }
}

/// Adds the examples' losses to `sums[0]` and the number of correct ones (first maximum of `z` is the label) to `sums[1]`.
/// A column with a NaN is not correct, and makes the loss NaN.
///
/// # Panics
/// If a label is not below the number of classes.
pub fn loss_value<R: Real>(kind: Loss, n: usize, z: &[R], labels: &[u32], sums: &mut [f64]) {
    columns(n, labels, z, |_, label, column, p| add(example(kind, label, column, p), sums));
}

/// Adds an example's loss and whether it is correct.
fn add((loss, correct): (f64, bool), sums: &mut [f64]) {
    sums[0] += loss;
    sums[1] += if correct { 1.0 } else { 0.0 };
}

/// `dz = scale · ∂(sum of the examples' losses)/∂z`: `p - e_label`, or `z - e_label`; and what [`loss_value`] adds to `sums`.
///
/// # Panics
/// If a label is not below the number of classes.
pub fn loss_gradient<R: Real>(
    kind: Loss,
    n: usize,
    z: &[R],
    labels: &[u32],
    scale: f64,
    sums: &mut [f64],
    dz: &mut [R],
) {
    columns(n, labels, z, |i, label, column, p| {
        add(example(kind, label, column, p), sums);
        if kind == Loss::SquaredError {
            p.copy_from_slice(column);
        }
        p[label] -= 1.0;
        p.iter().enumerate().for_each(|(k, p)| dz[k * n + i] = R::from_f64(scale * p));
    });
}

/// `out = scale · H v` with `H` the Hessian of the sum of the losses in `z`: `diag(p) - p pᵀ` per example, or the identity.
///
/// # Panics
/// If the lengths do not match.
pub fn loss_hessian_product<R: Real>(
    kind: Loss,
    n: usize,
    z: &[R],
    labels: &[u32],
    scale: f64,
    v: &[R],
    out: &mut [R],
) {
    columns(n, labels, z, |i, _, column, p| match kind {
        Loss::SoftmaxCrossEntropy => {
            softmax(column, p);
            let mean: f64 = p.iter().enumerate().map(|(k, p)| p * v[k * n + i].to_f64()).sum();
            for (k, p) in p.iter().enumerate() {
                out[k * n + i] = R::from_f64(scale * p * (v[k * n + i].to_f64() - mean));
            }
        }
        Loss::SquaredError => {
            (0..p.len()).for_each(|k| out[k * n + i] = R::from_f64(scale * v[k * n + i].to_f64()));
        }
    });
}

/// `out = scale · r (rᵀ v)` for each example's column of `r` and `v`.
///
/// # Panics
/// If the lengths do not match.
pub fn rank_one_product<R: Real>(n: usize, r: &[R], scale: f64, v: &[R], out: &mut [R]) {
    for i in 0..n {
        let entries = || (i..r.len()).step_by(n);
        let along: f64 = entries().map(|at| r[at].to_f64() * v[at].to_f64()).sum();
        entries().for_each(|at| out[at] = R::from_f64(scale * r[at].to_f64() * along));
    }
}
