//! ReLU over the pixels of one channel, whose choices are one bit of each pixel's word.

use sharpness_backend::Accumulate;

use crate::Real;
use crate::simd::{LANES, Lanes, Leaf, Task};

/// Bytes of the words of 16 pixels.
const WORDS: usize = 2 * LANES;

/// `to = max(from + bias, 0)`, and bit `lane` of each word of `choice`, which is clear, is set where that is positive.
pub(super) struct Choose<'a, R> {
    pub(super) from: &'a [R],
    pub(super) bias: R,
    pub(super) lane: usize,
    pub(super) choice: &'a mut [u8],
    pub(super) to: &'a mut [R],
}

impl<R: Real> Task<R> for Choose<'_, R> {
    fn run<V: Lanes<Scalar = R>>(self) {
        V::vectorize(self);
    }
}

impl<V: Lanes> Leaf<V> for Choose<'_, V::Scalar> {
    #[inline(always)]
    fn run(self) {
        let bias = V::splat(self.bias);
        let whole = self.to.len() - self.to.len() % LANES;
        let (to, to_rest) = self.to.split_at_mut(whole);
        let (from, from_rest) = self.from[..whole + to_rest.len()].split_at(whole);
        let (choice, choice_rest) = self.choice[..2 * (whole + to_rest.len())].split_at_mut(2 * whole);
        let chunks = to.chunks_exact_mut(LANES).zip(from.chunks_exact(LANES));
        for ((to, from), words) in chunks.zip(choice.chunks_exact_mut(WORDS)) {
            let (y, positive) = positive::<V>(V::read(from).add(bias));
            V::set_bits(words, self.lane, positive);
            y.write(to);
        }
        if !to_rest.is_empty() {
            let (y, positive) = positive::<V>(V::read_few(from_rest).add(bias));
            let mut words = [0; WORDS];
            words[..choice_rest.len()].copy_from_slice(choice_rest);
            V::set_bits(&mut words, self.lane, positive);
            choice_rest.copy_from_slice(&words[..choice_rest.len()]);
            y.write_few(to_rest);
        }
    }
}

/// `max(z, 0)`, and where `z` is positive. A NaN stays one, so that a diverged run is seen.
#[inline(always)]
fn positive<V: Lanes>(z: V) -> (V, u16) {
    let positive = z.greater(V::zero());
    (z.keep(positive | z.nan()), positive)
}

/// `to (+)= from + bias` where bit `lane` of a pixel's word is set, and 0 elsewhere.
pub(super) struct Pass<'a, R> {
    pub(super) from: &'a [R],
    pub(super) bias: R,
    pub(super) lane: usize,
    pub(super) choice: &'a [u8],
    pub(super) accumulate: Accumulate,
    pub(super) to: &'a mut [R],
}

impl<R: Real> Task<R> for Pass<'_, R> {
    fn run<V: Lanes<Scalar = R>>(self) {
        V::vectorize(self);
    }
}

impl<V: Lanes> Leaf<V> for Pass<'_, V::Scalar> {
    #[inline(always)]
    fn run(self) {
        let bias = V::splat(self.bias);
        let whole = self.to.len() - self.to.len() % LANES;
        let (to, to_rest) = self.to.split_at_mut(whole);
        let (from, from_rest) = self.from[..whole + to_rest.len()].split_at(whole);
        let (choice, choice_rest) = self.choice[..2 * (whole + to_rest.len())].split_at(2 * whole);
        let chunks = to.chunks_exact_mut(LANES).zip(from.chunks_exact(LANES));
        for ((to, from), words) in chunks.zip(choice.chunks_exact(WORDS)) {
            let passed = V::read(from).add(bias).keep(V::bits(words, self.lane));
            let sum = if self.accumulate == Accumulate::Set { passed } else { V::read(to).add(passed) };
            sum.write(to);
        }
        if !to_rest.is_empty() {
            let mut words = [0; WORDS];
            words[..choice_rest.len()].copy_from_slice(choice_rest);
            let passed = V::read_few(from_rest).add(bias).keep(V::bits(&words, self.lane));
            let sum =
                if self.accumulate == Accumulate::Set { passed } else { V::read_few(to_rest).add(passed) };
            sum.write_few(to_rest);
        }
    }
}
