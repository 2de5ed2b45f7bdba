//! A batch norm, and what its rules are evaluated with.

use sharpness_backend::{Accumulate, Epilogue};

use crate::epilogue::Size;
use crate::simd::LANES;

/// Elements that are read, combined and written while they stay in the first-level cache; a multiple of 16.
pub(super) const BLOCK: usize = 2048;

/// A batch norm of `x: [channels, n, height, width]`, and what follows it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BatchNorm {
    /// The size of the input.
    pub size: Size,
    /// What follows.
    pub epilogue: Epilogue,
    /// Added to the variance.
    pub epsilon: f64,
    /// Whether the statistics are those of the batch; else they are given, and constant.
    pub of_batch: bool,
}

/// Where rules are evaluated: what [`BatchNorm::value`] read and wrote.
#[derive(Clone, Copy, Debug)]
pub struct Point<'a, R> {
    /// The input.
    pub x: &'a [R],
    /// The mean of each channel.
    pub mean: &'a [f64],
    /// The variance of each channel.
    pub variance: &'a [f64],
    /// The factor `γ` of each channel.
    pub gamma: &'a [R],
    /// What the epilogue chose.
    pub choice: &'a [u8],
}

/// Two numbers for each channel.
pub type Pair<'a> = (&'a [f64], &'a [f64]);
/// Two numbers for each channel, to be written.
pub type PairMut<'a> = (&'a mut [f64], &'a mut [f64]);
/// Where the gradient of the input goes; `None` if it is not needed.
pub type Target<'a, R> = Option<(&'a mut [R], Accumulate)>;

impl BatchNorm {
    /// Elements of one channel before the epilogue.
    pub(super) const fn channel(&self) -> usize {
        self.size.n * self.size.height * self.size.width
    }

    /// Elements of one channel after the epilogue.
    pub(super) const fn channel_outputs(&self) -> usize {
        let (height, width) = self.epilogue.output((self.size.height, self.size.width));
        self.size.n * height * width
    }

    /// Bytes of the choices of one channel.
    pub(super) const fn channel_choices(&self) -> usize {
        self.choices(self.channel(), self.channel_outputs())
    }

    /// Bytes of the choices of so many elements before and after the epilogue.
    pub(super) const fn choices(&self, elements: usize, outputs: usize) -> usize {
        match self.epilogue {
            Epilogue::None => 0,
            Epilogue::Relu => 2 * elements.div_ceil(LANES),
            Epilogue::ReluMaxPool => outputs,
        }
    }

    /// Elements of a block before and after the epilogue; those of whole images where there is a pooling.
    pub(super) fn block(&self) -> (usize, usize) {
        if self.epilogue != Epilogue::ReluMaxPool {
            return (BLOCK, BLOCK);
        }
        let pixels = self.size.height * self.size.width;
        let images = (BLOCK / pixels.max(1)).max(1);
        let (height, width) = self.epilogue.output((self.size.height, self.size.width));
        (images * pixels, images * height * width)
    }

    /// Elements of a task's scratch: two blocks before the epilogue.
    pub(super) fn staging_len(&self) -> usize {
        if self.epilogue == Epilogue::None { 0 } else { 2 * self.block().0 }
    }
}
