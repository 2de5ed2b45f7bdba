//! The loops over a channel: its moments, sums of products, and sums of multiples.

use sharpness_backend::{Accumulate, Scalar};

use crate::simd::{LANES, Lanes, Leaf};

/// Terms that a lane adds in the precision of the data before they go to a sum in `f64`.
const TERMS: usize = 64;

/// Sums in `f64` of each lane.
pub(super) type Sums = [f64; LANES];

/// Adds each lane to its sum.
#[inline(always)]
fn add<V: Lanes>(x: V, sums: &mut Sums) {
    let mut lanes = [V::Scalar::ZERO; LANES];
    x.write(&mut lanes);
    for (sum, x) in sums.iter_mut().zip(lanes) {
        *sum += x.to_f64();
    }
}

/// `sums += Σ (x - centre), Σ (x - centre)²`.
pub(super) struct Moments<'a, S> {
    pub(super) x: &'a [S],
    pub(super) centre: S,
    pub(super) sums: &'a mut [Sums; 2],
}

impl<V: Lanes> Leaf<V> for Moments<'_, V::Scalar> {
    #[inline(always)]
    fn run(self) {
        let (centre, [first, second]) = (V::splat(self.centre), self.sums);
        for x in self.x.chunks(TERMS * LANES) {
            let (vectors, rest) = x.as_chunks::<LANES>();
            let (mut a, mut b) = (V::zero(), V::zero());
            for x in vectors {
                let x = V::read(x).sub(centre);
                a = a.add(x);
                b = x.mul_add(x, b);
            }
            if !rest.is_empty() {
                let x = V::read_few(rest).sub(centre).keep((1 << rest.len()) - 1);
                a = a.add(x);
                b = x.mul_add(x, b);
            }
            add(a, first);
            add(b, second);
        }
    }
}

/// `sums += Σ z, Σ z (x - centre)`.
pub(super) struct Products<'a, S> {
    pub(super) z: &'a [S],
    pub(super) x: &'a [S],
    pub(super) centre: S,
    pub(super) sums: &'a mut [Sums; 2],
}

impl<V: Lanes> Leaf<V> for Products<'_, V::Scalar> {
    #[inline(always)]
    fn run(self) {
        let (centre, [first, second]) = (V::splat(self.centre), self.sums);
        for (z, x) in self.z.chunks(TERMS * LANES).zip(self.x.chunks(TERMS * LANES)) {
            let ((z, z_rest), (x, x_rest)) = (z.as_chunks::<LANES>(), x.as_chunks::<LANES>());
            let (mut a, mut b) = (V::zero(), V::zero());
            for (z, x) in z.iter().zip(x) {
                let z = V::read(z);
                a = a.add(z);
                b = z.mul_add(V::read(x).sub(centre), b);
            }
            if !z_rest.is_empty() {
                let z = V::read_few(z_rest);
                a = a.add(z);
                b = z.mul_add(V::read_few(x_rest).sub(centre), b);
            }
            add(a, first);
            add(b, second);
        }
    }
}

/// One multiple of a sum: `factor · (x - centre)`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Term<'a, S> {
    pub(super) factor: S,
    pub(super) x: &'a [S],
    pub(super) centre: S,
}

/// `y (+)= Σ_k terms_k + offset`.
pub(super) struct Combine<'a, S, const K: usize> {
    pub(super) terms: [Term<'a, S>; K],
    pub(super) offset: S,
    pub(super) accumulate: Accumulate,
    pub(super) y: &'a mut [S],
}

impl<V: Lanes, const K: usize> Leaf<V> for Combine<'_, V::Scalar, K> {
    #[inline(always)]
    fn run(self) {
        let (mut factors, mut centres) = ([V::zero(); K], [V::zero(); K]);
        for (term, (factor, centre)) in self.terms.iter().zip(factors.iter_mut().zip(&mut centres)) {
            (*factor, *centre) = (V::splat(term.factor), V::splat(term.centre));
        }
        let (offset, adds) = (V::splat(self.offset), self.accumulate == Accumulate::Add);
        let (vectors, rest) = self.y.as_chunks_mut::<LANES>();
        let rest_start = vectors.len() * LANES;
        for (i, y) in vectors.iter_mut().enumerate() {
            let mut sum = if adds { V::read(y).add(offset) } else { offset };
            for (term, (&factor, &centre)) in self.terms.iter().zip(factors.iter().zip(&centres)) {
                sum = V::read(&term.x[i * LANES..]).sub(centre).mul_add(factor, sum);
            }
            sum.write(y);
        }
        if !rest.is_empty() {
            let mut sum = if adds { V::read_few(rest).add(offset) } else { offset };
            for (term, (&factor, &centre)) in self.terms.iter().zip(factors.iter().zip(&centres)) {
                sum = V::read_few(&term.x[rest_start..]).sub(centre).mul_add(factor, sum);
            }
            sum.write_few(rest);
        }
    }
}
