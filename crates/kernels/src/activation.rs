//! Activation functions: `f`, `f'` and `f''` applied to whole vectors.
//!
//! `ReLU'(0) = 0` and `ReLU'' = 0` everywhere are part of the contract.

use crate::elementwise::CHUNK;
use crate::parallel::chunks;
use crate::{Accumulate, Real};

/// An elementwise nonlinearity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// `max(x, 0)`.
    Relu,
    /// `x Φ(x)` with the exact normal distribution function, by `erf` (Hendrycks and Gimpel 2016).
    Gelu,
    /// Hyperbolic tangent.
    Tanh,
}

const INVERSE_SQRT_2: f64 = std::f64::consts::FRAC_1_SQRT_2;
/// `1 / sqrt(2 pi)`.
const DENSITY_AT_0: f64 = 0.398_942_280_401_432_7;

/// Normal distribution function `Φ` and density `φ` at `x`.
fn normal<R: Real>(x: R) -> (R, R) {
    let half = R::from_f64(0.5);
    let distribution = half * (R::ONE + (x * R::from_f64(INVERSE_SQRT_2)).erf());
    let density = R::from_f64(DENSITY_AT_0) * (-half * x * x).exp();
    (distribution, density)
}

impl Activation {
    /// `f(x)`.
    pub fn value<R: Real>(self, x: R) -> R {
        match self {
            // A NaN must stay one, so that a diverged run is seen.
            Self::Relu if x <= R::ZERO => R::ZERO,
            Self::Relu => x,
            Self::Gelu => x * normal(x).0,
            Self::Tanh => x.tanh(),
        }
    }

    /// `f'(x)`.
    pub fn first<R: Real>(self, x: R) -> R {
        match self {
            Self::Relu if x > R::ZERO => R::ONE,
            Self::Relu => R::ZERO,
            Self::Gelu => {
                let (distribution, density) = normal(x);
                distribution + x * density
            }
            Self::Tanh => {
                let y = x.tanh();
                R::ONE - y * y
            }
        }
    }

    /// `f''(x)`.
    pub fn second<R: Real>(self, x: R) -> R {
        match self {
            Self::Relu => R::ZERO,
            Self::Gelu => (R::from_f64(2.0) - x * x) * normal(x).1,
            Self::Tanh => {
                let y = x.tanh();
                R::from_f64(-2.0) * y * (R::ONE - y * y)
            }
        }
    }
}

/// Runs `f(i, y)` over `y` in parallel chunks; `i` is the index in the whole vector.
fn map<R: Real>(accumulate: Accumulate, y: &mut [R], f: impl Fn(usize) -> R + Sync + Send) {
    chunks(y, CHUNK, |c, y| {
        let start = c * CHUNK;
        match accumulate {
            Accumulate::Set => y.iter_mut().enumerate().for_each(|(i, y)| *y = f(start + i)),
            Accumulate::Add => y.iter_mut().enumerate().for_each(|(i, y)| *y += f(start + i)),
        }
    });
}

/// `y[i] = f(x[i])`.
///
/// # Panics
/// If `x` is shorter than `y`.
pub fn activation<R: Real>(kind: Activation, x: &[R], y: &mut [R]) {
    let x = &x[..y.len()];
    match kind {
        Activation::Relu => map(Accumulate::Set, y, |i| Activation::Relu.value(x[i])),
        Activation::Gelu => map(Accumulate::Set, y, |i| Activation::Gelu.value(x[i])),
        Activation::Tanh => map(Accumulate::Set, y, |i| Activation::Tanh.value(x[i])),
    }
}

/// `y[i] (+)= f'(x[i]) v[i]`.
///
/// # Panics
/// If an operand is shorter than `y`.
pub fn activation_first<R: Real>(kind: Activation, x: &[R], v: &[R], accumulate: Accumulate, y: &mut [R]) {
    let (x, v) = (&x[..y.len()], &v[..y.len()]);
    match kind {
        Activation::Relu => map(accumulate, y, |i| if x[i] > R::ZERO { v[i] } else { R::ZERO }),
        Activation::Gelu => map(accumulate, y, |i| Activation::Gelu.first(x[i]) * v[i]),
        Activation::Tanh => map(accumulate, y, |i| Activation::Tanh.first(x[i]) * v[i]),
    }
}

/// `y[i] (+)= f'(x[i]) v[i] + f''(x[i]) a[i] b[i]`.
///
/// # Panics
/// If an operand is shorter than `y`.
pub fn activation_second<R: Real>(
    kind: Activation,
    x: &[R],
    v: &[R],
    (a, b): (&[R], &[R]),
    accumulate: Accumulate,
    y: &mut [R],
) {
    let (x, v, a, b) = (&x[..y.len()], &v[..y.len()], &a[..y.len()], &b[..y.len()]);
    let curved = |kind: Activation, i: usize| kind.first(x[i]) * v[i] + kind.second(x[i]) * a[i] * b[i];
    match kind {
        Activation::Relu => activation_first(kind, x, v, accumulate, y),
        Activation::Gelu => map(accumulate, y, |i| curved(Activation::Gelu, i)),
        Activation::Tanh => map(accumulate, y, |i| curved(Activation::Tanh, i)),
    }
}
