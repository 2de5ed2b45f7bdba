//! Two-dimensional convolution (cross-correlation, as in PyTorch) and the two contractions that are its adjoints.
//!
//! With `y = conv(x, w)`: [`forward`] gives `y`, [`input_gradient`] the `x̄` with `⟨ȳ, conv(x, w)⟩ = ⟨x̄, x⟩`, and
//! [`weight_gradient`] the `w̄` with `⟨ȳ, conv(x, w)⟩ = ⟨w̄, w⟩`. Each takes a sum of pairs, so that the tangent
//! `conv(ẋ, w) + conv(x, ẇ)` is made in one call.
//!
//! Shapes: `x: [c_in, n, h, w]`, `y: [c_out, n, h_out, w_out]`, weights `[c_out, c_in, kernel, kernel]` row-major.
//!
//! A [`Plan`] has the same contractions by the algorithm that suits the geometry, with an epilogue, on prepared operands.

mod direct;
mod im2col;
mod plan;
pub mod reference;
mod winograd;

pub use im2col::{forward, input_gradient, weight_gradient};
pub use plan::{ConvolutionAlgorithm, Plan};

use sharpness_backend::Conv2d;

use crate::epilogue::Size;

/// The size of the output of `n` examples.
fn output_size(g: &Conv2d, n: usize) -> Size {
    let (height, width) = g.sizes();
    Size { channels: g.channels_out, n, height, width }
}
