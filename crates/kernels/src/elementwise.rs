//! Maps over whole vectors.

use crate::parallel::chunks;
use crate::{Accumulate, Real};

/// Elements of one task; three operands of this size fit the second-level cache.
pub(crate) const CHUNK: usize = 1 << 14;

fn part<R>(x: &[R], chunk: usize, len: usize) -> &[R] {
    &x[chunk * CHUNK..chunk * CHUNK + len]
}

/// `y[i] (+)= Σ_k a_k x_k[i]`.
///
/// # Panics
/// If a term is shorter than `y`.
pub fn linear_combination<R: Real>(terms: &[(f64, &[R])], accumulate: Accumulate, y: &mut [R]) {
    chunks(y, CHUNK, |c, y| {
        let mut overwrite = accumulate == Accumulate::Set;
        if terms.is_empty() && overwrite {
            y.fill(R::ZERO);
        }
        for (a, x) in terms {
            let (a, x) = (R::from_f64(*a), part(x, c, y.len()));
            if overwrite {
                y.iter_mut().zip(x).for_each(|(y, &x)| *y = a * x);
            } else {
                y.iter_mut().zip(x).for_each(|(y, &x)| *y += a * x);
            }
            overwrite = false;
        }
    });
}

/// `y[i] = x[i] + a`.
///
/// # Panics
/// If `x` is shorter than `y`.
pub fn shift<R: Real>(x: &[R], a: R, y: &mut [R]) {
    chunks(y, CHUNK, |c, y| {
        let x = part(x, c, y.len());
        y.iter_mut().zip(x).for_each(|(y, &x)| *y = x + a);
    });
}

/// `y[i] (+)= a[i] b[i]`.
///
/// # Panics
/// If a factor is shorter than `y`.
pub fn multiply<R: Real>(a: &[R], b: &[R], accumulate: Accumulate, y: &mut [R]) {
    chunks(y, CHUNK, |c, y| {
        let factors = part(a, c, y.len()).iter().zip(part(b, c, y.len()));
        match accumulate {
            Accumulate::Set => y.iter_mut().zip(factors).for_each(|(y, (&a, &b))| *y = a * b),
            Accumulate::Add => y.iter_mut().zip(factors).for_each(|(y, (&a, &b))| *y += a * b),
        }
    });
}

/// `y[i] = |x[i]| + offset`: the scale `T_w` of adaptive SAM (Kwon et al. 2021, equation 4).
///
/// # Panics
/// If `x` is shorter than `y`.
pub fn absolute_plus<R: Real>(x: &[R], offset: f64, y: &mut [R]) {
    let offset = R::from_f64(offset);
    chunks(y, CHUNK, |c, y| {
        let x = part(x, c, y.len());
        y.iter_mut().zip(x).for_each(|(y, &x)| *y = x.abs() + offset);
    });
}

/// `wide[i] += x[i]` in double precision.
///
/// # Panics
/// If `x` is shorter than `wide`.
pub fn add_to_wide<R: Real>(x: &[R], wide: &mut [f64]) {
    chunks(wide, CHUNK, |c, wide| {
        let x = part(x, c, wide.len());
        wide.iter_mut().zip(x).for_each(|(y, &x)| *y += x.to_f64());
    });
}
