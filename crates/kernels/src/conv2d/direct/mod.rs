//! 3 x 3 convolution of few input channels as the direct sum, 16 output channels at a time.
//!
//! Images are copied into frames with a border of zeros, in which the channels of an image row follow each other:
//! `[row][channel][pixel]`. Then the taps of all input channels are `3 channels_in` frame rows at equal distances, 3 pixels
//! each, and the window of the next image row begins `channels_in` frame rows later. Weights are `[block of 16 output
//! channels][frame row][pixel][16]`.

mod forward;
mod frames;
mod gradient;
mod shape;

use shape::{Pairs, Shape};

use sharpness_backend::{Accumulate, Conv2d, Epilogue};

use super::im2col;
use crate::Real;
use crate::disjoint::Disjoint;
use crate::epilogue::blocks::{Choices, Source, Target};
use crate::epilogue::{Addends, Choice};
use crate::workspace::{Workspace, bytes};

/// Input channels up to which the direct sum is the fastest.
const CHANNELS: usize = 4;
/// The most examples whose output gradient is computed at once for the input gradient.
const INPUT_GRADIENT_EXAMPLES: usize = 8;

/// A convolution with its epilogue.
#[derive(Clone, Copy, Debug)]
pub(super) struct Direct {
    pub(super) geometry: Conv2d,
    pub(super) epilogue: Epilogue,
}

impl Direct {
    /// Whether the geometry is one that this algorithm is for.
    pub(super) const fn fits(g: &Conv2d) -> bool {
        let size = g.height > 0 && g.width > 0 && g.channels_in > 0 && g.channels_in <= CHANNELS;
        size && g.kernel == 3 && g.stride == 1 && g.padding == 1
    }

    /// Bytes that the largest contraction takes of the workspace: its tasks on each thread, and what they share.
    pub(super) fn scratch_bytes<R: Real>(&self, n: usize) -> usize {
        let shape = Shape::new(&self.geometry, n);
        let shared = (2 * shape.panel()).max(shape.groups() * shape.panel());
        // A buffer that served one of them may grow to serve the other.
        let one = bytes::<R>(shape.task_len(2).max(shared));
        rayon::current_num_threads() * one + one.max(self.input_gradient_bytes::<R>(n))
    }

    /// Bytes that [`Self::input_gradient`] takes of the workspace.
    fn input_gradient_bytes<R: Real>(&self, n: usize) -> usize {
        // A block's gradient before the epilogue is computed even if there is no epilogue.
        bytes::<R>(im2col::scratch_len(&self.geometry, Epilogue::Relu, INPUT_GRADIENT_EXAMPLES.min(n)))
    }

    /// `y` = the epilogue of `Σ_k conv(x_k, w_k)` and the addends.
    pub(super) fn forward<R: Real>(
        &self,
        n: usize,
        pairs: Pairs<'_, R>,
        addends: Addends<'_, R>,
        choice: Choice<'_>,
        y: &mut [R],
        workspace: &Workspace<R>,
    ) {
        let g = &self.geometry;
        let target = Target {
            y: Disjoint::new(y),
            channels: g.channels_out,
            image: self.epilogue.output((g.height, g.width)),
            stride: 1,
            addends,
            epilogue: self.epilogue,
            choices: Choices::from(choice),
            accumulate: Accumulate::Set,
            sums: None,
        };
        R::with_lanes(forward::Forward { shape: Shape::new(g, n), pairs, target, workspace });
    }

    /// `x (+)= Σ_k convᵀ(dy_k, w_k)` for gradients `dy_k` after the epilogue.
    pub(super) fn input_gradient<R: Real>(
        &self,
        n: usize,
        pairs: Pairs<'_, R>,
        choice: &[u8],
        accumulate: Accumulate,
        x: &mut [R],
        workspace: &Workspace<R>,
    ) {
        let then = (self.epilogue, choice, INPUT_GRADIENT_EXAMPLES);
        im2col::input_gradient_then(&self.geometry, then, n, pairs, accumulate, x, workspace);
    }

    /// `w (+)= Σ_k` of the adjoint in the weights, for pairs of an input and a gradient after the epilogue.
    pub(super) fn weight_gradient<R: Real>(
        &self,
        n: usize,
        pairs: Pairs<'_, R>,
        choice: &[u8],
        accumulate: Accumulate,
        w: &mut [R],
        workspace: &Workspace<R>,
    ) {
        let g = &self.geometry;
        let image = self.epilogue.output((g.height, g.width));
        // The pairs' gradients take turns as the pixels of one source.
        let source = Source {
            x: &[],
            channels: g.channels_out,
            image,
            stride: 1,
            shift: None,
            epilogue: self.epilogue,
            choice,
        };
        let shape = Shape::new(g, n);
        R::with_lanes(gradient::WeightGradient { shape, pairs, source, accumulate, w, workspace });
    }
}
