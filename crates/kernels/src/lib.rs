//! CPU loops over slices: matrix products, convolution, pooling, per-channel reductions, elementwise maps and losses.
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
mod disjoint;
pub mod dropout;
pub mod elementwise;
pub mod epilogue;
pub mod layout;
pub mod linear;
pub mod loss;
pub mod matmul;
mod parallel;
pub mod pool2d;
mod product;
mod real;
pub mod reduce;
pub mod sgd;
pub mod simd;
mod transpose;
pub mod workspace;

pub use allocator::Allocator;
pub use real::Real;

/// Whether a kernel overwrites its output or adds to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accumulate {
    /// The output is overwritten; what it held is not read.
    Set,
    /// The result is added to the output.
    Add,
}

impl Accumulate {
    /// What each term of a sum does in turn: the first as the sum, all others add to it.
    fn each(self) -> impl Iterator<Item = Self> {
        std::iter::once(self).chain(std::iter::repeat(Self::Add))
    }
}
