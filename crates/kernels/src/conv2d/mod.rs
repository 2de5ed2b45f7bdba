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
pub use plan::{Method, Plan};

use crate::epilogue::Size;

/// The geometry of a convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conv2d {
    /// Channels of the input.
    pub channels_in: usize,
    /// Channels of the output.
    pub channels_out: usize,
    /// Height of the input in pixels.
    pub height: usize,
    /// Width of the input in pixels.
    pub width: usize,
    /// Height and width of the kernel.
    pub kernel: usize,
    /// Distance between neighbouring outputs, in input pixels.
    pub stride: usize,
    /// Zeros added on each side.
    pub padding: usize,
}

impl Conv2d {
    /// Height and width of the output, or `None` where the kernel does not fit the padded image once.
    pub fn output(&self) -> Option<(usize, usize)> {
        let size = |input: usize| {
            let room = (input + 2 * self.padding).checked_sub(self.kernel)?;
            Some(room.checked_div(self.stride)? + 1)
        };
        Some((size(self.height)?, size(self.width)?))
    }

    /// Elements of the weights.
    pub fn weights(&self) -> usize {
        self.channels_out * self.channels_in * self.kernel * self.kernel
    }

    /// The size of the output of `n` examples.
    fn size(&self, n: usize) -> Size {
        let (height, width) = self.sizes();
        Size { channels: self.channels_out, n, height, width }
    }

    fn sizes(&self) -> (usize, usize) {
        self.output().expect("the geometry of a convolution is checked where it is made")
    }
}
