//! Convolution with an optional bias: `y = x ∗ w + b`.
//!
//! Bilinear in `(x, w)`, so that the three contractions of a convolution and sums of their pairs give all four rules:
//! `ẏ = ẋ ∗ w + x ∗ ẇ + ḃ`, `d x̄ = dȳ ∗ᵀ w + ȳ ∗ᵀ ẇ`, `d w̄ = ⟨x, dȳ⟩ + ⟨ẋ, ȳ⟩`.

use super::bias::{add_bias, bias_gradient};
use super::only;
use crate::backend::{Backend, Conv2d, Shape, View};
use crate::op::{Context, Direction, Gradients, Init, Op, Point, Saved, TensorSpec};

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
    fn geometry(&self, input: Shape) -> Conv2d {
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

impl<B: Backend> Op<B> for Convolution {
    fn kind(&self) -> &'static str {
        "conv2d"
    }

    fn output(&self, inputs: &[Shape]) -> Result<Shape, String> {
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

    fn parameters(&self) -> Vec<TensorSpec> {
        let shape = vec![self.channels_out, self.channels_in, self.kernel, self.kernel];
        let bias = self.bias.map(|init| TensorSpec::new("bias", vec![self.channels_out], init));
        std::iter::once(TensorSpec::new("weight", shape, self.weight)).chain(bias).collect()
    }

    fn allocate(&self, backend: &B, _: usize, _: &[Shape]) -> Saved<B> {
        Saved::wides(backend, 1, self.channels_out)
    }

    fn flops(&self, inputs: &[Shape]) -> u64 {
        let pixels = self.geometry(inputs[0]).output().map_or(0, |(h, w)| h * w);
        2 * (self.geometry(inputs[0]).weights() * pixels) as u64
    }

    fn value(&self, cx: &Context<'_, B>, at: &Point<'_, B>, saved: &mut Saved<B>, y: &mut B::Buffer) {
        cx.backend.conv_forward(&self.geometry(cx.inputs[0]), cx.n, &[(at.x[0], at.w[0])], y);
        if let Some(bias) = at.w.get(1) {
            add_bias(cx, *bias, &mut saved.wides[0], y);
        }
    }

    fn gradient(
        &self,
        cx: &Context<'_, B>,
        at: &Point<'_, B>,
        saved: &mut Saved<B>,
        dy: &B::Buffer,
        out: &mut Gradients<'_, B>,
    ) {
        self.contract(cx, saved, &[(dy, at.w[0])], &[(at.x[0], dy)], dy, out);
    }

    fn tangent(
        &self,
        cx: &Context<'_, B>,
        at: &Point<'_, B>,
        saved: &mut Saved<B>,
        dot: &Direction<'_, B>,
        y_dot: &mut B::Buffer,
    ) {
        let input = dot.x[0].map(|x_dot| (x_dot, at.w[0]));
        let pairs: Vec<_> = std::iter::once((at.x[0], dot.w[0])).chain(input).collect();
        cx.backend.conv_forward(&self.geometry(cx.inputs[0]), cx.n, &pairs, y_dot);
        if let Some(bias) = dot.w.get(1) {
            add_bias(cx, *bias, &mut saved.wides[0], y_dot);
        }
    }

    fn gradient_tangent(
        &self,
        cx: &Context<'_, B>,
        at: &Point<'_, B>,
        saved: &mut Saved<B>,
        (dy, dy_dot): (&B::Buffer, &B::Buffer),
        dot: &Direction<'_, B>,
        out: &mut Gradients<'_, B>,
    ) {
        let input = dot.x[0].map(|x_dot| (x_dot, dy));
        let weights: Vec<_> = std::iter::once((at.x[0], dy_dot)).chain(input).collect();
        self.contract(cx, saved, &[(dy_dot, at.w[0]), (dy, dot.w[0])], &weights, dy_dot, out);
    }
}

impl Convolution {
    /// `x̄ (+)= Σ` of the input pairs, `w̄ (+)= Σ` of the weight pairs, `b̄ (+)= Σ bias`.
    fn contract<B: Backend>(
        &self,
        cx: &Context<'_, B>,
        saved: &mut Saved<B>,
        inputs: &[(&B::Buffer, View<'_, B::Buffer>)],
        weights: &[(&B::Buffer, &B::Buffer)],
        bias: &B::Buffer,
        out: &mut Gradients<'_, B>,
    ) {
        let geometry = self.geometry(cx.inputs[0]);
        if let Some((dx, accumulate)) = &mut out.x[0] {
            cx.backend.conv_input_gradient(&geometry, cx.n, inputs, *accumulate, dx);
        }
        cx.backend.conv_weight_gradient(&geometry, cx.n, weights, out.accumulate, out.w.at(0));
        if self.bias.is_some() {
            bias_gradient(cx, bias, &mut saved.wides[0], out.accumulate, out.w.at(1));
        }
    }
}
