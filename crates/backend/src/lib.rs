//! The loops that a network needs, as traits: ops hold the calculus, a backend holds the loops.
//!
//! A backend implements a small trait for each family of kernels, and an op bounds only those that it uses. [`Backend`] is
//! all of them.
//!
//! # Contract
//! - Buffers are opaque. Host data passes only through [`Device::upload`], [`Layout::upload_images`],
//!   [`Layout::upload_pixels`], [`Device::upload_integers`], [`Device::download`], [`Layout::download_activations`],
//!   [`Device::read`] and [`Device::read_into`]; only these calls may wait for a device.
//! - Outputs are parameters and are allocated by the caller beforehand. Kernels overwrite them unless an [`Accumulate`] says
//!   otherwise. Inputs and outputs do not overlap.
//! - The layout of activations is the backend's own business: ops name a [`Shape`] and a number of examples `n`. Parameter
//!   vectors are flat and have PyTorch's order (row-major, `[out, in, kh, kw]`) everywhere.
//! - Ties: max pooling takes the first maximum in row order, and a NaN wins; `ReLU'(0) = 0`; an output's class is its first
//!   maximum.
//! - Reductions accumulate in `f64` in an order that depends on the data's size alone.
//! - Dropout masks are Philox4x32-10 words of (seed, step, layer, example, element).
//!
//! [`Reference`] is the backend of plain loops, to compare others with (`conformance`, behind the feature of that name):
//!
//! ```
//! use sharpness_backend::{Accumulate, Backend, Reference, View, ViewMut};
//!
//! /// `‖x + y‖²` on any device.
//! fn squared_norm_of_sum<B: Backend>(device: &B, x: &[f64], y: &[f64]) -> f64 {
//!     let [mut a, mut b, mut sum] = [x, y, x].map(|vector| device.buffer(vector.len()));
//!     device.upload(x, &mut a);
//!     device.upload(y, &mut b);
//!     let view = |buffer| View::new(buffer, 0, x.len());
//!     let terms = [(1.0, view(&a)), (1.0, view(&b))];
//!     device.linear_combination(&terms, Accumulate::Set, ViewMut::new(&mut sum, 0, x.len()));
//!     let mut square = device.wide(1);
//!     device.dot(view(&sum), view(&sum), 0, &mut square);
//!     device.read(&square)[0]
//! }
//!
//! assert_eq!(squared_norm_of_sum(&Reference, &[1.0, 2.0], &[2.0, 2.0]), 25.0);
//! ```

mod accumulate;
mod activation;
mod channels;
#[cfg(feature = "conformance")]
pub mod conformance;
mod contractions;
mod device;
mod dropout;
mod elementwise;
mod epilogue;
mod layout;
mod losses;
mod normalization;
mod pooling;
mod reference;
mod scalar;
mod shape;
mod update;
mod vectors;
mod view;

pub use accumulate::Accumulate;
pub use activation::{Activation, Function, Visitor};
pub use channels::Channels;
pub use contractions::{
    ActivationPair, Addends, BilinearLayer, Choice, Contraction, Contractions, Conv2d, OperandSizes,
    Prepared, WeightPair,
};
pub use device::{Device, Fusion};
pub use dropout::{Dropout, MaskKey, philox4x32};
pub use elementwise::Elementwise;
pub use epilogue::Epilogue;
pub use layout::{Layout, Pixels};
pub use losses::{Loss, Losses};
pub use normalization::{BatchNormLayer, BatchNormPoint, Normalization, PointOf, Target};
pub use pooling::{Pool2d, Pooling};
pub use reference::Reference;
pub use scalar::Scalar;
pub use shape::Shape;
pub use update::{Adam, Sgd, Update, UpdateFunction, UpdateVisitor, Updates};
pub use vectors::{Monomial, Scaled, Vectors};
pub use view::{View, ViewMut};

/// All that a network can ask of a device.
pub trait Backend:
    Device
    + Layout
    + Vectors
    + Elementwise
    + Contractions
    + Normalization
    + Pooling
    + Channels
    + Dropout
    + Losses
    + Updates
{
    /// The same device in double precision, by which results are checked.
    type Double: Backend<Double = Self::Double>;

    /// The same device in double precision.
    fn double(&self) -> Self::Double;
}
