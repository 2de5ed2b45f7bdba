//! CPU loops over slices: matrix products, convolution, pooling, per-channel reductions, elementwise maps and losses; and
//! [`Cpu`], the backend that is made of them.
//!
//! This crate knows no tensors and no derivatives. Activations have the layout `[c, n, h, w]`: channels outermost, then the
//! examples of the batch, then the image. A channel is one contiguous range, a convolution is one matrix product and a
//! linear layer's activations `[features, n]` are the case `h = w = 1`.
//!
//! Every reduction runs over blocks whose size depends on the data alone, so the same input gives the same bits for any
//! number of threads. Sums that decide something are `f64`.

pub mod activation;
mod allocator;
pub mod batch_norm;
pub mod channels;
pub mod conv2d;
mod cpu;
mod disjoint;
pub mod dropout;
pub mod elementwise;
pub mod epilogue;
mod gemm;
pub mod layout;
pub mod linear;
pub mod loss;
pub mod matmul;
mod parallel;
pub mod pool2d;
mod product;
mod real;
pub mod reduce;
pub mod simd;
mod transpose;
pub mod update;
pub mod workspace;

pub use allocator::Allocator;
pub use conv2d::ConvolutionAlgorithm;
pub use cpu::Cpu;
pub use real::Real;
