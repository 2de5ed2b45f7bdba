//! Activation functions: `f`, `f'` and `f''` applied to whole vectors.

use sharpness_backend::{Accumulate, Activation, Function, Visitor};

use crate::Real;
use crate::elementwise::CHUNK;
use crate::parallel::chunks;

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
    kind.visit(Value { x: &x[..y.len()], y });
}

struct Value<'a, R> {
    x: &'a [R],
    y: &'a mut [R],
}

impl<R: Real> Visitor for Value<'_, R> {
    type Output = ();
    fn visit<F: Function>(self, _: F) {
        let Self { x, y } = self;
        map(Accumulate::Set, y, |i| F::value(x[i]));
    }
}

/// `y[i] (+)= f'(x[i]) v[i]`.
///
/// # Panics
/// If an operand is shorter than `y`.
pub fn activation_first<R: Real>(kind: Activation, x: &[R], v: &[R], accumulate: Accumulate, y: &mut [R]) {
    kind.visit(First { x: &x[..y.len()], v: &v[..y.len()], accumulate, y });
}

struct First<'a, R> {
    x: &'a [R],
    v: &'a [R],
    accumulate: Accumulate,
    y: &'a mut [R],
}

impl<R: Real> Visitor for First<'_, R> {
    type Output = ();
    fn visit<F: Function>(self, _: F) {
        let Self { x, v, accumulate, y } = self;
        map(accumulate, y, |i| F::linear(x[i], v[i]));
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
    kind.visit(Second { x, v, a, b, accumulate, y });
}

struct Second<'a, R> {
    x: &'a [R],
    v: &'a [R],
    a: &'a [R],
    b: &'a [R],
    accumulate: Accumulate,
    y: &'a mut [R],
}

impl<R: Real> Visitor for Second<'_, R> {
    type Output = ();
    fn visit<F: Function>(self, _: F) {
        let Self { x, v, a, b, accumulate, y } = self;
        map(accumulate, y, |i| F::curved(x[i], v[i], (a[i], b[i])));
    }
}
