//! The sizes of one call.

use sharpness_backend::Conv2d;

use super::frames::{self, Frames};
use crate::epilogue::canvas::Strips;
use crate::simd::LANES;

/// Pixels of the images of one task.
const TASK_PIXELS: usize = 1 << 11;
/// Tasks at most: each has its own part of the weights' gradient.
const TASKS: usize = 64;

/// Pairs of an operand and another, which a contraction sums over.
pub(super) type Pairs<'a, S> = &'a [(&'a [S], &'a [S])];

/// The sizes of one call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    pub(super) g: Conv2d,
    pub(super) n: usize,
    pub(super) strips: Strips,
    pub(super) frames: Frames,
}

impl Shape {
    pub(super) fn new(g: &Conv2d, n: usize) -> Self {
        Self { g: *g, n, strips: Strips::new((g.height, g.width)), frames: Frames::new(g) }
    }

    /// Blocks of 16 output channels.
    pub(super) const fn blocks(&self) -> usize {
        self.g.channels_out.div_ceil(LANES)
    }

    /// Frame rows of a window.
    pub(super) const fn rows(&self) -> usize {
        3 * self.g.channels_in
    }

    /// Numbers of one block of weights.
    pub(super) const fn block(&self) -> usize {
        self.rows() * 3 * LANES
    }

    /// Numbers of all weights.
    pub(super) const fn panel(&self) -> usize {
        self.blocks() * self.block()
    }

    /// Images of a full task.
    pub(super) fn images(&self) -> usize {
        let images = (TASK_PIXELS / (self.g.height * self.g.width)).max(self.n.div_ceil(TASKS)).max(1);
        images.next_multiple_of(self.strips.images())
    }

    pub(super) fn groups(&self) -> usize {
        self.n.div_ceil(self.images())
    }

    /// The images of a task.
    pub(super) fn group(&self, index: usize) -> std::ops::Range<usize> {
        index * self.images()..self.n.min((index + 1) * self.images())
    }

    /// Numbers of the frames of the images of a strip.
    pub(super) const fn frames_len(&self) -> usize {
        self.strips.images() * self.frames.len()
    }

    /// Numbers of the scratch of a task with frames of `pairs` operands.
    pub(super) const fn task_len(&self, pairs: usize) -> usize {
        pairs * self.frames_len() + self.strips.canvas(frames::TILE).len(self.strips.images())
    }
}
