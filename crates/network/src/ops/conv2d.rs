//! Convolution with an optional bias: `y = x ∗ w + b`. Bilinear: `bilinear.rs` makes the four rules of its contractions.

use super::bilinear::{ActivationPair, Bilinear, WeightPair};
use super::only;
use crate::backend::{Accumulate, Backend, Conv2d, Shape, ViewMut};
use crate::op::{Context, Init, TensorSpec};

/// A square convolution with zero padding.
#[derive(Clone, Debug)]
pub struct Convolution {
    /// Channels of the input.
    pub channels_in: usize,
    /// Channels of the output.
    pub channels_out: usize,
    /// Height and width of the kernel.
    pub kernel: usize,
    /// Distance between neighbouring outputs.
    pub stride: usize,
    /// Zeros added on each side.
    pub padding: usize,
    /// How the weights begin.
    pub weight: Init,
    /// How the bias begins, or no bias.
    pub bias: Option<Init>,
}

impl Convolution {
    const fn geometry(&self, input: Shape) -> Conv2d {
        Conv2d {
            channels_in: self.channels_in,
            channels_out: self.channels_out,
            height: input.height,
            width: input.width,
            kernel: self.kernel,
            stride: self.stride,
            padding: self.padding,
        }
    }
}

impl Bilinear for Convolution {
    const KIND: &'static str = "conv2d";

    fn shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        let input = only(inputs)?;
        if input.channels != self.channels_in {
            return Err(format!("expects {} channels, got {input}", self.channels_in));
        }
        let (height, width) = self
            .geometry(input)
            .output()
            .ok_or_else(|| format!("a {0}x{0} kernel does not fit an image of {input}", self.kernel))?;
        Ok(Shape::new(self.channels_out, height, width))
    }

    fn channels_out(&self) -> usize {
        self.channels_out
    }

    fn weight(&self) -> TensorSpec {
        let shape = vec![self.channels_out, self.channels_in, self.kernel, self.kernel];
        TensorSpec::new("weight", shape, self.weight)
    }

    fn bias(&self) -> Option<Init> {
        self.bias
    }

    fn products(&self, input: Shape) -> u64 {
        let pixels = self.geometry(input).output().map_or(0, |(h, w)| h * w);
        (self.geometry(input).weights() * pixels) as u64
    }

    fn forward<B: Backend>(&self, cx: &Context<'_, B>, pairs: &[WeightPair<'_, B>], y: &mut B::Buffer) {
        cx.backend.conv_forward(&self.geometry(cx.inputs[0]), cx.n, pairs, y);
    }

    fn input_gradient<B: Backend>(
        &self,
        cx: &Context<'_, B>,
        pairs: &[WeightPair<'_, B>],
        accumulate: Accumulate,
        x: &mut B::Buffer,
    ) {
        cx.backend.conv_input_gradient(&self.geometry(cx.inputs[0]), cx.n, pairs, accumulate, x);
    }

    fn weight_gradient<B: Backend>(
        &self,
        cx: &Context<'_, B>,
        pairs: &[ActivationPair<'_, B>],
        accumulate: Accumulate,
        w: ViewMut<'_, B::Buffer>,
    ) {
        cx.backend.conv_weight_gradient(&self.geometry(cx.inputs[0]), cx.n, pairs, accumulate, w);
    }
}
