//! The matrix products of the `gemm-f32` and `gemm-f64` crates.

use gemm_common::Parallelism;

/// A matrix product over raw memory: `m, n, k`; the output, the strides of its columns and rows, and whether to add to it; the
/// operands with their strides; the factors of the output and of the product; which of the three to conjugate; threads.
pub(crate) type Product<R> = unsafe fn(
    usize,
    usize,
    usize,
    *mut R,
    isize,
    isize,
    bool,
    *const R,
    isize,
    isize,
    *const R,
    isize,
    isize,
    R,
    R,
    bool,
    bool,
    bool,
    Parallelism,
);

/// Numbers whose matrices can be multiplied.
pub trait Multiply: Sized {
    /// The product for this processor. It is fastest where the output's columns are contiguous.
    #[doc(hidden)]
    fn product() -> Product<Self>;
}

impl Multiply for f32 {
    fn product() -> Product<Self> {
        gemm_f32::gemm::f32::get_gemm_fn()
    }
}

impl Multiply for f64 {
    fn product() -> Product<Self> {
        gemm_f64::gemm::f64::get_gemm_fn()
    }
}
