//! What a vector of 16 lanes can do.
#![expect(unsafe_code, reason = "vectors load and store through pointers")]

use sharpness_backend::Scalar;

/// Lanes of a vector.
pub const LANES: usize = 16;

/// A vector of 16 numbers.
///
/// Values of an implementation are made only beneath [`Vectorized::with_lanes`](super::Vectorized::with_lanes), which has checked that the processor has the
/// instruction set; this is what makes its safe methods safe.
pub trait Lanes: Copy + 'static {
    /// The type of a lane.
    type Scalar: Scalar;
    /// The largest tile of a matrix product that stays in registers: rows, and vectors in a row.
    const TILE: (usize, usize);

    /// Runs a loop compiled for the instruction set.
    fn vectorize(leaf: impl Leaf<Self>);

    /// All lanes `x`.
    fn splat(x: Self::Scalar) -> Self;
    /// 16 numbers from `p`, at any alignment.
    ///
    /// # Safety
    /// `p` is readable for 16 numbers.
    unsafe fn load(p: *const Self::Scalar) -> Self;
    /// 16 numbers to `p`, at any alignment.
    ///
    /// # Safety
    /// `p` is writable for 16 numbers.
    unsafe fn store(self, p: *mut Self::Scalar);
    /// Asks for the line at `p` in the second-level cache. Any address will do.
    #[inline(always)]
    fn prefetch(p: *const Self::Scalar) {
        let _ = p;
    }
    /// `self + x`.
    fn add(self, x: Self) -> Self;
    /// `self - x`.
    fn sub(self, x: Self) -> Self;
    /// `self * x`.
    fn mul(self, x: Self) -> Self;
    /// `self * x + y`, rounded once where the processor can.
    fn mul_add(self, x: Self, y: Self) -> Self;
    /// The transpose of a 16 x 16 matrix of rows.
    fn transpose(rows: &mut [Self; LANES]);
    /// Bit `l` is set where lane `l` is greater than that of `x`.
    fn greater(self, x: Self) -> u16;
    /// Bit `l` is set where lane `l` is not a number.
    fn nan(self) -> u16;
    /// The lanes whose bit is set, and zeros.
    fn keep(self, mask: u16) -> Self;
    /// `x` where the bit is set, else `self`.
    fn blend(self, mask: u16, x: Self) -> Self;
    /// Byte `l` is 255 where bit `l` is set, else 0.
    fn bytes(mask: u16) -> u128;
    /// Bit `l` is set where byte `l` of `bytes` is `value`.
    fn bytes_equal(bytes: u128, value: u8) -> u16;
    /// The even and the odd runs of `run` lanes in the 32 lanes of `a` and then `b`. `run` is a power of two, at most 16.
    #[inline(always)]
    fn deinterleave(run: usize, a: Self, b: Self) -> (Self, Self) {
        permuted(a, b, |lane| deinterleaved(run, lane))
    }
    /// The 32 lanes whose even and odd runs of `run` lanes are these: the inverse of [`Self::deinterleave`].
    #[inline(always)]
    fn interleave(run: usize, even: Self, odd: Self) -> (Self, Self) {
        permuted(even, odd, |lane| interleaved(run, lane))
    }
    /// Bit `i` is set where bit `bit` of little-endian word `i` of 16 is.
    ///
    /// # Panics
    /// If there are not 32 bytes.
    #[inline(always)]
    fn bits(words: &[u8], bit: usize) -> u16 {
        let words = &words[..2 * LANES];
        let mut mask = 0;
        for i in 0..LANES {
            mask |= (u16::from_le_bytes([words[2 * i], words[2 * i + 1]]) >> bit & 1) << i;
        }
        mask
    }
    /// Sets bit `bit` of little-endian word `i` of 16 where bit `i` of `mask` is set.
    ///
    /// # Panics
    /// If there are not 32 bytes.
    #[inline(always)]
    fn set_bits(words: &mut [u8], bit: usize, mask: u16) {
        let (bytes, high) = (&mut words[..2 * LANES], bit / 8);
        for i in 0..LANES {
            bytes[2 * i + high] |= u8::from(mask >> i & 1 == 1) << (bit % 8);
        }
    }
    /// The first 16 numbers of `x`.
    ///
    /// # Panics
    /// If `x` is shorter.
    #[inline(always)]
    fn read(x: &[Self::Scalar]) -> Self {
        let x = &x[..LANES];
        // SAFETY: the slice has 16 numbers.
        unsafe { Self::load(x.as_ptr()) }
    }
    /// The numbers of `x`, which are at most 16, then zeros.
    #[inline(always)]
    fn read_few(x: &[Self::Scalar]) -> Self {
        let mut padded = [Self::Scalar::ZERO; LANES];
        padded[..x.len()].copy_from_slice(x);
        Self::read(&padded)
    }
    /// Overwrites the first 16 numbers of `x`.
    ///
    /// # Panics
    /// If `x` is shorter.
    #[inline(always)]
    fn write(self, x: &mut [Self::Scalar]) {
        let x = &mut x[..LANES];
        // SAFETY: the slice has 16 numbers.
        unsafe { self.store(x.as_mut_ptr()) };
    }
    /// Overwrites all of `x`, which has at most 16 numbers.
    #[inline(always)]
    fn write_few(self, x: &mut [Self::Scalar]) {
        let mut all = [Self::Scalar::ZERO; LANES];
        self.write(&mut all);
        x.copy_from_slice(&all[..x.len()]);
    }
    /// Zero.
    #[inline(always)]
    fn zero() -> Self {
        Self::splat(Self::Scalar::ZERO)
    }
}

/// The lane of two vectors that [`Lanes::deinterleave`] moves to `lane`.
pub(super) const fn deinterleaved(run: usize, lane: usize) -> usize {
    let (part, lane) = (lane / LANES, lane % LANES);
    (2 * (lane >> run.trailing_zeros()) + part) * run + (lane & (run - 1))
}

/// The lane of two vectors that [`Lanes::interleave`] moves to `lane`.
pub(super) const fn interleaved(run: usize, lane: usize) -> usize {
    let index = lane >> run.trailing_zeros();
    index % 2 * LANES + index / 2 * run + (lane & (run - 1))
}

/// Two vectors of the lanes of `a` and then `b` that `source` names.
#[inline(always)]
fn permuted<V: Lanes>(a: V, b: V, source: impl Fn(usize) -> usize) -> (V, V) {
    let mut lanes = [V::Scalar::ZERO; 2 * LANES];
    a.write(&mut lanes);
    b.write(&mut lanes[LANES..]);
    let mut moved = lanes;
    for (lane, moved) in moved.iter_mut().enumerate() {
        *moved = lanes[source(lane)];
    }
    (V::read(&moved), V::read(&moved[LANES..]))
}

/// An innermost loop.
pub trait Leaf<V> {
    /// Runs it. Implementations are `#[inline(always)]`, and so is all that they call with vectors: only what is inlined is compiled
    /// for the instruction set.
    fn run(self);
}

/// Work over a driver's choice of lanes.
pub trait Task<R> {
    /// Runs with `V`.
    fn run<V: Lanes<Scalar = R>>(self);
}
