//! One pass of stochastic gradient descent over a flat vector.

use sharpness_backend::{Scalar, Sgd};

use crate::Real;
use crate::elementwise::CHUNK;
use crate::parallel::{chunks, chunks2};
use crate::simd::{LANES, Lanes, Leaf, Task};

/// From a gradient `g` at the parameters `w`, with `b` the buffer of momentum, which begins as zeros:
///
/// ```text
/// g ← g + λ w
/// b ← μ b + g
/// d = g without a buffer, b with it, g + μ b with Nesterov's
/// w ← w − η d
/// ```
///
/// # Panics
/// If the lengths differ.
pub fn sgd<R: Real>(rule: &Sgd, gradient: &[R], buffer: Option<&mut [R]>, parameters: &mut [R]) {
    let len = parameters.len();
    assert!(
        gradient.len() == len && buffer.as_ref().is_none_or(|buffer| buffer.len() == len),
        "gradient, buffer and parameters have one length"
    );
    R::with_lanes(Step { rule, gradient, buffer, parameters });
}

/// The task of [`sgd`].
struct Step<'a, R> {
    rule: &'a Sgd,
    gradient: &'a [R],
    buffer: Option<&'a mut [R]>,
    parameters: &'a mut [R],
}

impl<R: Real> Task<R> for Step<'_, R> {
    fn run<V: Lanes<Scalar = R>>(self) {
        let Self { rule, gradient, buffer, parameters } = self;
        let gradient = |chunk: usize, len: usize| &gradient[chunk * CHUNK..][..len];
        match buffer {
            None => chunks(parameters, CHUNK, |chunk, w| {
                V::vectorize(Chunk { rule, g: gradient(chunk, w.len()), b: None, w });
            }),
            Some(buffer) => chunks2(parameters, CHUNK, buffer, CHUNK, |chunk, w, b| {
                V::vectorize(Chunk { rule, g: gradient(chunk, w.len()), b: Some(b), w });
            }),
        }
    }
}

/// The loop over one chunk.
struct Chunk<'a, R> {
    rule: &'a Sgd,
    g: &'a [R],
    b: Option<&'a mut [R]>,
    w: &'a mut [R],
}

impl<V: Lanes> Leaf<V> for Chunk<'_, V::Scalar> {
    #[inline(always)]
    fn run(self) {
        let Self { rule, g, mut b, w } = self;
        let splat = |x| V::splat(V::Scalar::from_f64(x));
        let (rate, decay, factor) =
            (splat(-rule.learning_rate), splat(rule.weight_decay), splat(rule.momentum));
        for (index, (w, g)) in w.chunks_mut(LANES).zip(g.chunks(LANES)).enumerate() {
            let whole = w.len() == LANES;
            let at = if whole { V::read(w) } else { V::read_few(w) };
            let mut direction = if whole { V::read(g) } else { V::read_few(g) };
            if rule.weight_decay > 0.0 {
                direction = direction.add(decay.mul(at));
            }
            if let Some(b) = &mut b {
                let b = &mut b[index * LANES..][..w.len()];
                let before = if whole { V::read(b) } else { V::read_few(b) };
                let after = factor.mul(before).add(direction);
                direction = if rule.nesterov { direction.add(factor.mul(after)) } else { after };
                if whole { after.write(b) } else { after.write_few(b) }
            }
            let next = at.add(rate.mul(direction));
            if whole { next.write(w) } else { next.write_few(w) }
        }
    }
}
