//! Maps over whole vectors.

use sharpness_backend::Accumulate;

use crate::Real;
use crate::parallel::chunks;
use crate::simd::{Lanes, Leaf, Task};

/// Elements of one task; three operands of this size fit the second-level cache.
pub(crate) const CHUNK: usize = 1 << 14;
/// Elements of a chunk that stay in the first-level cache.
const STRIP: usize = 1 << 10;

fn part<R>(x: &[R], chunk: usize, len: usize) -> &[R] {
    &x[chunk * CHUNK..chunk * CHUNK + len]
}

/// `y[i] (+)= Σ_k a_k x_k[i]`.
///
/// # Panics
/// If a term is shorter than `y`.
pub fn linear_combination<R: Real>(terms: &[(f64, &[R])], accumulate: Accumulate, y: &mut [R]) {
    each_chunk(Combination { terms, accumulate }, y);
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
    each_chunk(Multiply { a, b, accumulate }, y);
}

/// `y[i] = |x[i]| + offset`: the scale `T_w` of adaptive SAM (Kwon et al. 2021, equation 4).
///
/// # Panics
/// If `x` is shorter than `y`.
pub fn absolute_plus<R: Real>(x: &[R], offset: f64, y: &mut [R]) {
    each_chunk(AbsolutePlus { x, offset: R::from_f64(offset) }, y);
}

/// `wide[i] += x[i]` in double precision.
///
/// # Panics
/// If `x` is shorter than `wide`.
pub fn add_to_wide<R: Real>(x: &[R], wide: &mut [f64]) {
    R::with_lanes(EachChunk { map: AddToWide(x), y: wide });
}

/// `wide[i] = x[i]` in double precision.
///
/// # Panics
/// If `x` is shorter than `wide`.
pub fn widen<R: Real>(x: &[R], wide: &mut [f64]) {
    R::with_lanes(EachChunk { map: Widen(x), y: wide });
}

/// A map over vectors that can compute any chunk.
trait Map<T>: Copy + Send + Sync {
    /// Makes `y`, chunk number `chunk`. Implementations are `#[inline(always)]` and loop with `for`, so that they are compiled for
    /// the instruction set.
    fn chunk(self, chunk: usize, y: &mut [T]);
}

fn each_chunk<R: Real>(map: impl Map<R>, y: &mut [R]) {
    R::with_lanes(EachChunk { map, y });
}

/// The task of a map.
struct EachChunk<'a, M, T> {
    map: M,
    y: &'a mut [T],
}

impl<R: Real, T: Send, M: Map<T>> Task<R> for EachChunk<'_, M, T> {
    fn run<V: Lanes<Scalar = R>>(self) {
        let Self { map, y } = self;
        chunks(y, CHUNK, |chunk, y| V::vectorize(OneChunk { map, chunk, y }));
    }
}

/// The loop of one chunk.
struct OneChunk<'a, M, T> {
    map: M,
    chunk: usize,
    y: &'a mut [T],
}

impl<V: Lanes, M: Map<T>, T> Leaf<V> for OneChunk<'_, M, T> {
    #[inline(always)]
    fn run(self) {
        self.map.chunk(self.chunk, self.y);
    }
}

#[derive(Clone, Copy)]
struct Combination<'a, R> {
    terms: &'a [(f64, &'a [R])],
    accumulate: Accumulate,
}

impl<R: Real> Map<R> for Combination<'_, R> {
    #[inline(always)]
    fn chunk(self, chunk: usize, y: &mut [R]) {
        let Some(((a, x), rest)) = self.terms.split_first() else {
            if self.accumulate == Accumulate::Set {
                y.fill(R::ZERO);
            }
            return;
        };
        // Strips stay in the first-level cache for all terms.
        for (strip, y) in y.chunks_mut(STRIP).enumerate() {
            let start = chunk * CHUNK + strip * STRIP;
            let (a, x) = (R::from_f64(*a), &x[start..start + y.len()]);
            match self.accumulate {
                Accumulate::Set => {
                    for (y, &x) in y.iter_mut().zip(x) {
                        *y = a * x;
                    }
                }
                Accumulate::Add => add_strip(a, x, y),
            }
            for (a, x) in rest {
                add_strip(R::from_f64(*a), &x[start..start + y.len()], y);
            }
        }
    }
}

/// `y += a x`.
#[inline(always)]
fn add_strip<R: Real>(a: R, x: &[R], y: &mut [R]) {
    for (y, &x) in y.iter_mut().zip(x) {
        *y += a * x;
    }
}

#[derive(Clone, Copy)]
struct Multiply<'a, R> {
    a: &'a [R],
    b: &'a [R],
    accumulate: Accumulate,
}

impl<R: Real> Map<R> for Multiply<'_, R> {
    #[inline(always)]
    fn chunk(self, chunk: usize, y: &mut [R]) {
        let factors = part(self.a, chunk, y.len()).iter().zip(part(self.b, chunk, y.len()));
        match self.accumulate {
            Accumulate::Set => {
                for (y, (&a, &b)) in y.iter_mut().zip(factors) {
                    *y = a * b;
                }
            }
            Accumulate::Add => {
                for (y, (&a, &b)) in y.iter_mut().zip(factors) {
                    *y += a * b;
                }
            }
        }
    }
}

#[derive(Clone, Copy)]
struct AbsolutePlus<'a, R> {
    x: &'a [R],
    offset: R,
}

impl<R: Real> Map<R> for AbsolutePlus<'_, R> {
    #[inline(always)]
    fn chunk(self, chunk: usize, y: &mut [R]) {
        let x = part(self.x, chunk, y.len());
        for (y, &x) in y.iter_mut().zip(x) {
            *y = x.abs() + self.offset;
        }
    }
}

#[derive(Clone, Copy)]
struct Widen<'a, R>(&'a [R]);

impl<R: Real> Map<f64> for Widen<'_, R> {
    #[inline(always)]
    fn chunk(self, chunk: usize, y: &mut [f64]) {
        let x = part(self.0, chunk, y.len());
        for (y, &x) in y.iter_mut().zip(x) {
            *y = x.to_f64();
        }
    }
}

#[derive(Clone, Copy)]
struct AddToWide<'a, R>(&'a [R]);

impl<R: Real> Map<f64> for AddToWide<'_, R> {
    #[inline(always)]
    fn chunk(self, chunk: usize, y: &mut [f64]) {
        let x = part(self.0, chunk, y.len());
        for (y, &x) in y.iter_mut().zip(x) {
            *y += x.to_f64();
        }
    }
}
