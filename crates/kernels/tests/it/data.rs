//! Random data from a fixed seed, and comparisons of vectors.

use sharpness_kernels::Real;

/// Sums of a few thousand products of numbers below 1, made in another order in `f64`.
pub(crate) const F64_ROUNDING: f64 = 1e-13;
/// The same in `f32`, against `f64` of the same rounded data: some ten units of the last place (6e-8) in the mean square.
pub(crate) const F32_ROUNDING: f64 = 2e-6;

/// The generator SplitMix64 (Steele, Lea, Flood 2014), written here so that test data never change.
#[derive(Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) const fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Uniform on `[-1, 1)`.
    pub(crate) fn number(&mut self) -> f64 {
        (self.word() >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
    }

    /// Uniform numbers on `[-1, 1)`, rounded to `R`.
    pub(crate) fn vector<R: Real>(&mut self, len: usize) -> Vec<R> {
        (0..len).map(|_| R::from_f64(self.number())).collect()
    }
}

pub(crate) fn wide<R: Real>(x: &[R]) -> Vec<f64> {
    x.iter().map(|x| x.to_f64()).collect()
}

pub(crate) fn bits<R: Real>(x: &[R]) -> Vec<u64> {
    x.iter().map(|x| x.to_f64().to_bits()).collect()
}

pub(crate) fn norm(x: &[f64]) -> f64 {
    x.iter().map(|x| x * x).sum::<f64>().sqrt()
}

/// Asserts `‖got - want‖ <= tolerance ‖want‖` in the 2-norm.
#[track_caller]
pub(crate) fn assert_near<R: Real>(got: &[R], want: &[f64], tolerance: f64, what: &str) {
    assert_within(got, want, tolerance * norm(want), what);
}

/// Asserts `‖got - want‖ <= error` in the 2-norm.
#[track_caller]
pub(crate) fn assert_within<R: Real>(got: &[R], want: &[f64], error: f64, what: &str) {
    assert_eq!(got.len(), want.len(), "{what}: lengths");
    let found = norm(&got.iter().zip(want).map(|(g, w)| g.to_f64() - w).collect::<Vec<_>>());
    assert!(found <= error, "{what}: off by {found:e} where {error:e} is allowed");
}

/// Asserts that two vectors hold the same bits.
#[track_caller]
pub(crate) fn assert_same<R: Real>(got: &[R], want: &[R], what: &str) {
    assert!(bits(got) == bits(want), "{what}: got {got:?}, want {want:?}");
}
