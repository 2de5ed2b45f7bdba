//! The two number types of the engine.

use sharpness_backend::Scalar;

/// A [`Scalar`] whose matrices can be multiplied and that has vectors.
pub trait Real: Scalar + crate::gemm::Multiply + crate::simd::Vectorized {}

impl Real for f32 {}
impl Real for f64 {}
