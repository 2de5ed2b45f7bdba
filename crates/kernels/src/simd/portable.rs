//! Lanes without any instruction set: arrays and plain loops, for `f32` and `f64`.
#![expect(
    unsafe_code,
    reason = "vectors load and store through pointers, with instructions that the processor must have"
)]

use sharpness_backend::Scalar;

use super::lanes::{LANES, Lanes, Leaf};

/// 16 numbers in an array.
#[derive(Clone, Copy, Debug)]
pub(super) struct Portable<R>([R; LANES]);

/// The lanes of `f(a, b)`.
#[inline(always)]
fn zip<R: Scalar>(a: &[R; LANES], b: &[R; LANES], f: impl Fn(R, R) -> R) -> [R; LANES] {
    std::array::from_fn(|l| f(a[l], b[l]))
}

/// The bits of a predicate.
#[inline(always)]
fn mask(f: impl Fn(usize) -> bool) -> u16 {
    (0..LANES).fold(0, |mask, l| mask | (u16::from(f(l)) << l))
}

impl<R: Scalar> Lanes for Portable<R> {
    type Scalar = R;
    const TILE: (usize, usize) = (2, 1);

    #[inline(always)]
    fn vectorize(leaf: impl Leaf<Self>) {
        leaf.run();
    }
    #[inline(always)]
    fn splat(x: R) -> Self {
        Self([x; LANES])
    }
    // SAFETY: see `Lanes::load`.
    #[inline(always)]
    unsafe fn load(p: *const R) -> Self {
        // SAFETY: the caller promises 16 readable numbers.
        Self(unsafe { p.cast::<[R; LANES]>().read_unaligned() })
    }
    // SAFETY: see `Lanes::store`.
    #[inline(always)]
    unsafe fn store(self, p: *mut R) {
        // SAFETY: the caller promises 16 writable numbers.
        unsafe { p.cast::<[R; LANES]>().write_unaligned(self.0) };
    }
    #[inline(always)]
    fn add(self, x: Self) -> Self {
        Self(zip(&self.0, &x.0, |a, b| a + b))
    }
    #[inline(always)]
    fn sub(self, x: Self) -> Self {
        Self(zip(&self.0, &x.0, |a, b| a - b))
    }
    #[inline(always)]
    fn mul(self, x: Self) -> Self {
        Self(zip(&self.0, &x.0, |a, b| a * b))
    }
    #[inline(always)]
    fn mul_add(self, x: Self, y: Self) -> Self {
        self.mul(x).add(y)
    }
    #[inline(always)]
    fn transpose(rows: &mut [Self; LANES]) {
        let old = *rows;
        *rows = std::array::from_fn(|i| Self(std::array::from_fn(|j| old[j].0[i])));
    }
    #[inline(always)]
    fn greater(self, x: Self) -> u16 {
        mask(|l| self.0[l] > x.0[l])
    }
    #[inline(always)]
    fn nan(self) -> u16 {
        mask(|l| self.0[l].is_nan())
    }
    #[inline(always)]
    fn keep(self, mask: u16) -> Self {
        Self::zero().blend(mask, self)
    }
    #[inline(always)]
    fn blend(self, mask: u16, x: Self) -> Self {
        Self(std::array::from_fn(|l| if mask >> l & 1 == 1 { x.0[l] } else { self.0[l] }))
    }
    #[inline(always)]
    fn bytes(mask: u16) -> u128 {
        spread(mask)
    }
    #[inline(always)]
    fn bytes_equal(bytes: u128, value: u8) -> u16 {
        let bytes = bytes.to_le_bytes();
        mask(|l| bytes[l] == value)
    }
}

/// Byte `l` is 255 where bit `l` is set, else 0.
#[inline(always)]
pub(super) fn spread(mask: u16) -> u128 {
    let [low, high] = mask.to_le_bytes().map(|byte| {
        // Byte i keeps bit i; adding 127 moves any bit to the byte's highest place without a carry.
        let bits = u64::from(byte).wrapping_mul(0x0101_0101_0101_0101) & 0x8040_2010_0804_0201;
        let ones = (bits.wrapping_add(0x7f7f_7f7f_7f7f_7f7f) >> 7) & 0x0101_0101_0101_0101;
        ones.wrapping_mul(255)
    });
    u128::from(high) << 64 | u128::from(low)
}
