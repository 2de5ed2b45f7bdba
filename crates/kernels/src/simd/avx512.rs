//! Lanes of AVX-512: one register.
#![expect(
    unsafe_code,
    reason = "vectors load and store through pointers, with instructions that the processor must have"
)]

use std::arch::x86_64::*;

use super::lanes::{LANES, Lanes, Leaf, deinterleaved, interleaved};

/// A register of 16 `f32`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Avx512(__m512);

/// For runs of 1, 2, 4, 8 and 16 lanes: the lanes of two registers that make two others.
type Permutations = [[[i32; LANES]; 2]; 5];

/// Those of [`Lanes::deinterleave`].
static DEINTERLEAVED: Permutations = permutations(false);
/// Those of [`Lanes::interleave`].
static INTERLEAVED: Permutations = permutations(true);

#[expect(clippy::cast_possible_truncation, reason = "two registers have 32 lanes")]
const fn permutations(inverse: bool) -> Permutations {
    let mut all = [[[0; LANES]; 2]; 5];
    let mut i = 0;
    while i < 10 * LANES {
        let (shift, lane) = (i / (2 * LANES), i % (2 * LANES));
        let run = 1 << shift;
        let source = if inverse { interleaved(run, lane) } else { deinterleaved(run, lane) };
        all[shift][lane / LANES][lane % LANES] = source as i32;
        i += 1;
    }
    all
}

/// The two registers of lanes of `a` and then `b`.
///
/// # Safety
/// The processor has AVX-512 F.
#[inline(always)]
unsafe fn permuted(a: Avx512, b: Avx512, lanes: &[[i32; LANES]; 2]) -> (Avx512, Avx512) {
    // SAFETY: the caller promises the instruction set, and both rows have 16 indices.
    unsafe {
        let first = _mm512_loadu_si512(lanes[0].as_ptr().cast());
        let second = _mm512_loadu_si512(lanes[1].as_ptr().cast());
        (Avx512(_mm512_permutex2var_ps(a.0, first, b.0)), Avx512(_mm512_permutex2var_ps(a.0, second, b.0)))
    }
}

/// Runs a loop with AVX-512 enabled for it and all that is inlined into it.
///
/// # Safety
/// The processor has these features.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,fma")]
unsafe fn enabled<V>(leaf: impl Leaf<V>) {
    leaf.run();
}

impl Lanes for Avx512 {
    type Scalar = f32;
    // 28 of the 32 registers accumulate, 2 hold a row of the right factor and 1 a broadcast element of the left one.
    const TILE: (usize, usize) = (14, 2);

    #[inline(always)]
    fn vectorize(leaf: impl Leaf<Self>) {
        // SAFETY: `Vectorized::with_lanes` chose these lanes because the processor has the features.
        unsafe { enabled::<Self>(leaf) }
    }
    #[inline(always)]
    fn splat(x: f32) -> Self {
        // SAFETY: as in `vectorize`, here and below where the only condition is the instruction set.
        Self(unsafe { _mm512_set1_ps(x) })
    }
    #[inline(always)]
    unsafe fn load(p: *const f32) -> Self {
        // SAFETY: the caller promises 16 readable numbers.
        Self(unsafe { _mm512_loadu_ps(p) })
    }
    #[inline(always)]
    unsafe fn store(self, p: *mut f32) {
        // SAFETY: the caller promises 16 writable numbers.
        unsafe { _mm512_storeu_ps(p, self.0) };
    }
    #[inline(always)]
    fn prefetch(p: *const f32) {
        // SAFETY: as in `splat`; a prefetch reads nothing.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(p.cast()) };
    }
    #[inline(always)]
    fn add(self, x: Self) -> Self {
        // SAFETY: as in `splat`.
        Self(unsafe { _mm512_add_ps(self.0, x.0) })
    }
    #[inline(always)]
    fn sub(self, x: Self) -> Self {
        // SAFETY: as in `splat`.
        Self(unsafe { _mm512_sub_ps(self.0, x.0) })
    }
    #[inline(always)]
    fn mul(self, x: Self) -> Self {
        // SAFETY: as in `splat`.
        Self(unsafe { _mm512_mul_ps(self.0, x.0) })
    }
    #[inline(always)]
    fn mul_add(self, x: Self, y: Self) -> Self {
        // SAFETY: as in `splat`.
        Self(unsafe { _mm512_fmadd_ps(self.0, x.0, y.0) })
    }
    #[inline(always)]
    fn transpose(rows: &mut [Self; LANES]) {
        // SAFETY: as in `splat`.
        unsafe { transposed(rows) };
    }
    #[inline(always)]
    fn greater(self, x: Self) -> u16 {
        // SAFETY: as in `splat`.
        unsafe { _mm512_cmp_ps_mask::<_CMP_GT_OQ>(self.0, x.0) }
    }
    #[inline(always)]
    fn nan(self) -> u16 {
        // SAFETY: as in `splat`.
        unsafe { _mm512_cmp_ps_mask::<_CMP_UNORD_Q>(self.0, self.0) }
    }
    #[inline(always)]
    fn keep(self, mask: u16) -> Self {
        // SAFETY: as in `splat`.
        Self(unsafe { _mm512_maskz_mov_ps(mask, self.0) })
    }
    #[inline(always)]
    fn blend(self, mask: u16, x: Self) -> Self {
        // SAFETY: as in `splat`.
        Self(unsafe { _mm512_mask_mov_ps(self.0, mask, x.0) })
    }
    #[inline(always)]
    fn bytes(mask: u16) -> u128 {
        // SAFETY: as in `splat`; the register and the integer have the same size and any bits are valid.
        unsafe { std::mem::transmute(_mm_movm_epi8(mask)) }
    }
    #[inline(always)]
    fn bits(words: &[u8], bit: usize) -> u16 {
        let words = &words[..2 * LANES];
        // SAFETY: as in `splat`; the slice has 32 bytes.
        unsafe {
            let words = _mm256_loadu_si256(words.as_ptr().cast());
            _mm256_test_epi16_mask(words, _mm256_set1_epi16((1_u16 << bit).cast_signed()))
        }
    }
    #[inline(always)]
    fn set_bits(words: &mut [u8], bit: usize, mask: u16) {
        let words = &mut words[..2 * LANES];
        // SAFETY: as in `splat`; the slice has 32 bytes.
        unsafe {
            let old = _mm256_loadu_si256(words.as_ptr().cast());
            let bits = _mm256_maskz_set1_epi16(mask, (1_u16 << bit).cast_signed());
            _mm256_storeu_si256(words.as_mut_ptr().cast(), _mm256_or_si256(old, bits));
        }
    }
    #[inline(always)]
    fn bytes_equal(bytes: u128, value: u8) -> u16 {
        // SAFETY: as in `bytes`.
        unsafe {
            _mm_cmpeq_epi8_mask(
                std::mem::transmute::<u128, __m128i>(bytes),
                _mm_set1_epi8(value.cast_signed()),
            )
        }
    }
    #[inline(always)]
    fn deinterleave(run: usize, a: Self, b: Self) -> (Self, Self) {
        // SAFETY: as in `splat`.
        unsafe { permuted(a, b, &DEINTERLEAVED[run.trailing_zeros() as usize]) }
    }
    #[inline(always)]
    fn interleave(run: usize, even: Self, odd: Self) -> (Self, Self) {
        // SAFETY: as in `splat`.
        unsafe { permuted(even, odd, &INTERLEAVED[run.trailing_zeros() as usize]) }
    }
}

/// The transpose of a 16 x 16 matrix: pairs, then quadruples within the 128-bit parts, then the parts.
///
/// # Safety
/// The processor has AVX-512 F.
#[inline(always)]
unsafe fn transposed(rows: &mut [Avx512; LANES]) {
    // SAFETY: the caller promises the instruction set.
    unsafe {
        let mut quads = [_mm512_setzero_ps(); LANES];
        for i in (0..LANES).step_by(4) {
            let [a, b, c, d] = [rows[i].0, rows[i + 1].0, rows[i + 2].0, rows[i + 3].0];
            let (ab_low, ab_high) = (_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b));
            let (cd_low, cd_high) = (_mm512_unpacklo_ps(c, d), _mm512_unpackhi_ps(c, d));
            quads[i] = _mm512_shuffle_ps::<0x44>(ab_low, cd_low);
            quads[i + 1] = _mm512_shuffle_ps::<0xee>(ab_low, cd_low);
            quads[i + 2] = _mm512_shuffle_ps::<0x44>(ab_high, cd_high);
            quads[i + 3] = _mm512_shuffle_ps::<0xee>(ab_high, cd_high);
        }
        // Part k of quads[4 i + j] holds column 4 k + j of rows 4 i .. 4 i + 4.
        for j in 0..4 {
            let [a, b, c, d] = [quads[j], quads[4 + j], quads[8 + j], quads[12 + j]];
            let (ab_low, ab_high) = (_mm512_shuffle_f32x4::<0x88>(a, b), _mm512_shuffle_f32x4::<0xdd>(a, b));
            let (cd_low, cd_high) = (_mm512_shuffle_f32x4::<0x88>(c, d), _mm512_shuffle_f32x4::<0xdd>(c, d));
            rows[j].0 = _mm512_shuffle_f32x4::<0x88>(ab_low, cd_low);
            rows[4 + j].0 = _mm512_shuffle_f32x4::<0x88>(ab_high, cd_high);
            rows[8 + j].0 = _mm512_shuffle_f32x4::<0xdd>(ab_low, cd_low);
            rows[12 + j].0 = _mm512_shuffle_f32x4::<0xdd>(ab_high, cd_high);
        }
    }
}
