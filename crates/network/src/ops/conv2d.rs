//! Convolution with an optional bias and an epilogue: `y = e(x ∗ w + b)`. Bilinear: `bilinear.rs` makes its four rules.

use super::bilinear::Bilinear;
use super::shapes::image;
use crate::backend::{BilinearLayer, Contraction, Conv2d, Epilogue, Shape};
use crate::op::{Init, TensorSpec};

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
    /// What follows in the same pass; plain ops have nothing here.
    pub epilogue: Epilogue,
}

impl Convolution {
    /// A 3x3 convolution that keeps the image's size. Nothing follows.
    pub const fn same(channels_in: usize, channels_out: usize, weight: Init, bias: Option<Init>) -> Self {
        let epilogue = Epilogue::None;
        Self { channels_in, channels_out, kernel: 3, stride: 1, padding: 1, weight, bias, epilogue }
    }

    const fn geometry(&self, input: Shape) -> Conv2d {
        Conv2d {
            channels_in: self.channels_in,
            channels_out: self.channels_out,
            height: input.height(),
            width: input.width(),
            kernel: self.kernel,
            stride: self.stride,
            padding: self.padding,
        }
    }
}

impl Bilinear for Convolution {
    fn shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        let input = image(inputs)?;
        if input.channels() != self.channels_in {
            return Err(format!("expects {} channels, got {input}", self.channels_in));
        }
        let (height, width) = self
            .geometry(input)
            .output()
            .ok_or_else(|| format!("a {0}x{0} kernel does not fit an image of {input}", self.kernel))?;
        match self.epilogue.output((height, width)) {
            (0, _) | (_, 0) => Err(format!("a 2x2 window does not fit an image of {height}x{width}")),
            (height, width) => Ok(Shape::new(self.channels_out, height, width)),
        }
    }

    fn layer(&self, input: Shape) -> BilinearLayer {
        let contraction = Contraction::Convolution(self.geometry(input));
        BilinearLayer { contraction, epilogue: self.epilogue, is_shifted: false }
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

    fn kind(&self) -> &'static str {
        match self.epilogue {
            Epilogue::None => "conv2d",
            Epilogue::Relu => "conv2d+relu",
            Epilogue::ReluMaxPool => "conv2d+relu+pool",
        }
    }
}
