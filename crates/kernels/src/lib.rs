//! CPU loops over slices: matrix products, convolution, pooling, per-channel reductions, elementwise maps and losses; and
//! [`Cpu`], the backend that they make up.
//!
//! This crate knows no tensors and no derivatives. Activations have the layout `[c, n, h, w]`: channels outermost, then the
//! examples of the batch, then the image. A channel is one contiguous range, a convolution is one matrix product and a
//! linear layer's activations `[features, n]` are the case `h = w = 1`.
//!
//! Every reduction runs over blocks whose size depends on the data alone, so the same input gives the same bits for any
//! number of threads. Sums that decide something are `f64`.
//!
//! ```
//! use sharpness_backend::{Backend, Device, Reference, Vectors, View};
//! use sharpness_kernels::{ConvolutionAlgorithm, Cpu};
//!
//! /// `⟨x, x⟩`, accumulated in double precision.
//! fn square<D: Vectors>(device: &D, x: &[f64]) -> f64 {
//!     let (mut buffer, mut sum) = (device.buffer(x.len()), device.wide(1));
//!     device.upload(x, &mut buffer);
//!     let view = View::new(&buffer, 0, x.len());
//!     device.dot(view, view, 0, &mut sum);
//!     device.read(&sum)[0]
//! }
//!
//! let x: Vec<f64> = (0..10_000).map(|i| f64::from(i % 7)).collect();
//! let cpu = Cpu::<f32>::new(ConvolutionAlgorithm::Auto);
//! // Small whole numbers, so that nothing is rounded.
//! assert_eq!(square(&cpu, &x), square(&Reference, &x));
//! assert_eq!((cpu.precision(), cpu.double().precision()), ("f32", "f64"));
//! ```

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
