//! Lanes of AVX2 with FMA: two registers.
#![expect(
    unsafe_code,
    reason = "vectors load and store through pointers, with instructions that the processor must have"
)]

use std::arch::x86_64::*;

use super::lanes::{LANES, Lanes, Leaf};
use super::portable::spread;

/// Two registers of 8 `f32`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Avx2([__m256; 2]);

/// Runs a loop with AVX2 and FMA enabled for it and all that is inlined into it.
///
/// # Safety
/// The processor has these features.
#[target_feature(enable = "avx2,fma")]
unsafe fn enabled<V>(leaf: impl Leaf<V>) {
    leaf.run();
}

/// Lane by lane, for each register: all bits set where the bit of `mask` is.
///
/// # Safety
/// The processor has AVX2.
#[inline(always)]
unsafe fn lanes_of(mask: u16) -> [__m256; 2] {
    // SAFETY: the caller promises the instruction set.
    unsafe {
        let bits = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
        let [low, high] = mask.to_le_bytes();
        let low = _mm256_and_si256(_mm256_set1_epi32(i32::from(low)), bits);
        let high = _mm256_and_si256(_mm256_set1_epi32(i32::from(high)), bits);
        [
            _mm256_castsi256_ps(_mm256_cmpeq_epi32(low, bits)),
            _mm256_castsi256_ps(_mm256_cmpeq_epi32(high, bits)),
        ]
    }
}

/// The sign bits of both registers.
///
/// # Safety
/// The processor has AVX2.
#[inline(always)]
unsafe fn bits_of(lanes: [__m256; 2]) -> u16 {
    // SAFETY: the caller promises the instruction set.
    let (low, high) = unsafe { (_mm256_movemask_ps(lanes[0]), _mm256_movemask_ps(lanes[1])) };
    u16::from_le_bytes([low.to_le_bytes()[0], high.to_le_bytes()[0]])
}

impl Lanes for Avx2 {
    type Scalar = f32;
    // 12 of the 16 registers accumulate, 2 hold a row of the right factor and 1 a broadcast element of the left one.
    const TILE: (usize, usize) = (6, 1);

    #[inline(always)]
    fn vectorize(leaf: impl Leaf<Self>) {
        // SAFETY: `Vectorized::with_lanes` chose these lanes because the processor has the features.
        unsafe { enabled::<Self>(leaf) }
    }
    #[inline(always)]
    fn splat(x: f32) -> Self {
        // SAFETY: as in `vectorize`, here and below where the only condition is the instruction set.
        Self([unsafe { _mm256_set1_ps(x) }; 2])
    }
    #[inline(always)]
    unsafe fn load(p: *const f32) -> Self {
        // SAFETY: the caller promises 16 readable numbers.
        Self(unsafe { [_mm256_loadu_ps(p), _mm256_loadu_ps(p.add(8))] })
    }
    #[inline(always)]
    unsafe fn store(self, p: *mut f32) {
        // SAFETY: the caller promises 16 writable numbers.
        unsafe {
            _mm256_storeu_ps(p, self.0[0]);
            _mm256_storeu_ps(p.add(8), self.0[1]);
        }
    }
    #[inline(always)]
    fn prefetch(p: *const f32) {
        // SAFETY: as in `splat`; a prefetch reads nothing.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(p.cast()) };
    }
    #[inline(always)]
    fn add(self, x: Self) -> Self {
        // SAFETY: as in `splat`.
        unsafe { Self([_mm256_add_ps(self.0[0], x.0[0]), _mm256_add_ps(self.0[1], x.0[1])]) }
    }
    #[inline(always)]
    fn sub(self, x: Self) -> Self {
        // SAFETY: as in `splat`.
        unsafe { Self([_mm256_sub_ps(self.0[0], x.0[0]), _mm256_sub_ps(self.0[1], x.0[1])]) }
    }
    #[inline(always)]
    fn mul(self, x: Self) -> Self {
        // SAFETY: as in `splat`.
        unsafe { Self([_mm256_mul_ps(self.0[0], x.0[0]), _mm256_mul_ps(self.0[1], x.0[1])]) }
    }
    #[inline(always)]
    fn mul_add(self, x: Self, y: Self) -> Self {
        let ([a, b], [c, d], [e, f]) = (self.0, x.0, y.0);
        // SAFETY: as in `splat`.
        unsafe { Self([_mm256_fmadd_ps(a, c, e), _mm256_fmadd_ps(b, d, f)]) }
    }
    #[inline(always)]
    fn transpose(rows: &mut [Self; LANES]) {
        let old = *rows;
        for (i, j) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
            let mut block = [old[0].0[0]; 8];
            for k in 0..8 {
                block[k] = old[8 * i + k].0[j];
            }
            // SAFETY: as in `splat`.
            let block = unsafe { transposed(block) };
            for k in 0..8 {
                rows[8 * j + k].0[i] = block[k];
            }
        }
    }
    #[inline(always)]
    fn greater(self, x: Self) -> u16 {
        let ([a, b], [c, d]) = (self.0, x.0);
        // SAFETY: as in `splat`.
        unsafe { bits_of([_mm256_cmp_ps::<_CMP_GT_OQ>(a, c), _mm256_cmp_ps::<_CMP_GT_OQ>(b, d)]) }
    }
    #[inline(always)]
    fn nan(self) -> u16 {
        let [a, b] = self.0;
        // SAFETY: as in `splat`.
        unsafe { bits_of([_mm256_cmp_ps::<_CMP_UNORD_Q>(a, a), _mm256_cmp_ps::<_CMP_UNORD_Q>(b, b)]) }
    }
    #[inline(always)]
    fn keep(self, mask: u16) -> Self {
        // SAFETY: as in `splat`.
        unsafe {
            let lanes = lanes_of(mask);
            Self([_mm256_and_ps(self.0[0], lanes[0]), _mm256_and_ps(self.0[1], lanes[1])])
        }
    }
    #[inline(always)]
    fn blend(self, mask: u16, x: Self) -> Self {
        let ([a, b], [c, d]) = (self.0, x.0);
        // SAFETY: as in `splat`.
        unsafe {
            let lanes = lanes_of(mask);
            Self([_mm256_blendv_ps(a, c, lanes[0]), _mm256_blendv_ps(b, d, lanes[1])])
        }
    }
    #[inline(always)]
    fn bytes(mask: u16) -> u128 {
        spread(mask)
    }
    #[inline(always)]
    fn bits(words: &[u8], bit: usize) -> u16 {
        let words = &words[..2 * LANES];
        // SAFETY: as in `splat`; the slice has 32 bytes.
        let mask = unsafe {
            let bit = _mm_set1_epi16((1_u16 << bit).cast_signed());
            let low = _mm_and_si128(_mm_loadu_si128(words.as_ptr().cast()), bit);
            let high = _mm_and_si128(_mm_loadu_si128(words[LANES..].as_ptr().cast()), bit);
            _mm_movemask_epi8(_mm_packs_epi16(_mm_cmpeq_epi16(low, bit), _mm_cmpeq_epi16(high, bit)))
        };
        let [low, high, ..] = mask.to_le_bytes();
        u16::from_le_bytes([low, high])
    }
    #[inline(always)]
    fn bytes_equal(bytes: u128, value: u8) -> u16 {
        // SAFETY: as in `splat`; the register and the integer have the same size and any bits are valid.
        let mask = unsafe {
            let bytes = std::mem::transmute::<u128, __m128i>(bytes);
            _mm_movemask_epi8(_mm_cmpeq_epi8(bytes, _mm_set1_epi8(value.cast_signed())))
        };
        let [low, high, ..] = mask.to_le_bytes();
        u16::from_le_bytes([low, high])
    }
    #[inline(always)]
    fn deinterleave(run: usize, a: Self, b: Self) -> (Self, Self) {
        let ([a, b], [c, d]) = (a.0, b.0);
        // SAFETY: as in `splat`.
        let [(a, b), (c, d)] = unsafe {
            match run {
                1 | 2 => [separated(run, a, b), separated(run, c, d)],
                4 => [halves(a, b), halves(c, d)],
                8 => [(a, b), (c, d)],
                _ => [(a, c), (b, d)],
            }
        };
        (Self([a, c]), Self([b, d]))
    }
    #[inline(always)]
    fn interleave(run: usize, even: Self, odd: Self) -> (Self, Self) {
        let ([a, c], [b, d]) = (even.0, odd.0);
        // SAFETY: as in `splat`.
        let [(a, b), (c, d)] = unsafe {
            match run {
                1 | 2 => [joined(run, a, b), joined(run, c, d)],
                4 => [halves(a, b), halves(c, d)],
                8 => [(a, b), (c, d)],
                _ => [(a, c), (b, d)],
            }
        };
        (Self([a, b]), Self([c, d]))
    }
}

/// The low halves of both registers, and the high ones; its own inverse.
///
/// # Safety
/// The processor has AVX2.
#[inline(always)]
unsafe fn halves(a: __m256, b: __m256) -> (__m256, __m256) {
    // SAFETY: the caller promises the instruction set.
    unsafe { (_mm256_permute2f128_ps::<0x20>(a, b), _mm256_permute2f128_ps::<0x31>(a, b)) }
}

/// The register with its second and third quarters exchanged.
///
/// # Safety
/// The processor has AVX2.
#[inline(always)]
unsafe fn middle_exchanged(x: __m256) -> __m256 {
    // SAFETY: the caller promises the instruction set.
    unsafe { _mm256_castpd_ps(_mm256_permute4x64_pd::<0b11_01_10_00>(_mm256_castps_pd(x))) }
}

/// The even and the odd runs of 1 or 2 lanes of two registers.
///
/// # Safety
/// The processor has AVX2.
#[inline(always)]
unsafe fn separated(run: usize, a: __m256, b: __m256) -> (__m256, __m256) {
    // SAFETY: the caller promises the instruction set.
    unsafe {
        let (even, odd) = if run == 1 {
            (_mm256_shuffle_ps::<0x88>(a, b), _mm256_shuffle_ps::<0xdd>(a, b))
        } else {
            (_mm256_shuffle_ps::<0x44>(a, b), _mm256_shuffle_ps::<0xee>(a, b))
        };
        (middle_exchanged(even), middle_exchanged(odd))
    }
}

/// The inverse of [`separated`].
///
/// # Safety
/// The processor has AVX2.
#[inline(always)]
unsafe fn joined(run: usize, even: __m256, odd: __m256) -> (__m256, __m256) {
    // SAFETY: the caller promises the instruction set.
    unsafe {
        let (even, odd) = (middle_exchanged(even), middle_exchanged(odd));
        if run == 1 {
            (_mm256_unpacklo_ps(even, odd), _mm256_unpackhi_ps(even, odd))
        } else {
            (_mm256_shuffle_ps::<0x44>(even, odd), _mm256_shuffle_ps::<0xee>(even, odd))
        }
    }
}

/// The transpose of an 8 x 8 matrix.
///
/// # Safety
/// The processor has AVX2.
#[inline(always)]
unsafe fn transposed(r: [__m256; 8]) -> [__m256; 8] {
    // SAFETY: the caller promises the instruction set.
    unsafe {
        let mut pairs = r;
        for i in 0..4 {
            pairs[2 * i] = _mm256_unpacklo_ps(r[2 * i], r[2 * i + 1]);
            pairs[2 * i + 1] = _mm256_unpackhi_ps(r[2 * i], r[2 * i + 1]);
        }
        let mut quads = pairs;
        for i in 0..2 {
            let [a, b, c, d] = [pairs[4 * i], pairs[4 * i + 1], pairs[4 * i + 2], pairs[4 * i + 3]];
            quads[4 * i] = _mm256_shuffle_ps::<0x44>(a, c);
            quads[4 * i + 1] = _mm256_shuffle_ps::<0xee>(a, c);
            quads[4 * i + 2] = _mm256_shuffle_ps::<0x44>(b, d);
            quads[4 * i + 3] = _mm256_shuffle_ps::<0xee>(b, d);
        }
        let mut out = quads;
        for j in 0..4 {
            out[j] = _mm256_permute2f128_ps::<0x20>(quads[j], quads[4 + j]);
            out[4 + j] = _mm256_permute2f128_ps::<0x31>(quads[j], quads[4 + j]);
        }
        out
    }
}
