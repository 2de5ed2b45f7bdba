//! A linear layer: `y = w x + b`.
//!
//! Bilinear in `(x, w)`: `ẏ = w ẋ + ẇ x + ḃ`, `d x̄ = wᵀ dȳ + ẇᵀ ȳ`, `d w̄ = dȳ xᵀ + ȳ ẋᵀ`.

use super::bias::{add_bias, bias_gradient};
use super::only;
use crate::backend::{Backend, Shape, View};
use crate::op::{Context, Direction, Gradients, Init, Op, Point, Saved, TensorSpec};

/// A linear layer on flattened features, with a bias.
#[derive(Clone, Debug)]
pub struct Linear {
    /// Features of the input.
    pub features_in: usize,
    /// Features of the output.
    pub features_out: usize,
    /// How the weights begin.
    pub weight: Init,
    /// How the bias begins.
    pub bias: Init,
}

impl Linear {
    /// PyTorch's default beginning: weights and bias uniform within `1 / sqrt(features_in)`.
    pub fn torch_default(features_in: usize, features_out: usize) -> Self {
        let fan_in = u32::try_from(features_in.max(1)).map_or(f64::INFINITY, f64::from);
        let init = Init::Uniform(1.0 / fan_in.sqrt());
        Self { features_in, features_out, weight: init, bias: init }
    }

    const fn size(&self) -> (usize, usize) {
        (self.features_in, self.features_out)
    }

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
        if let Some((dx, accumulate)) = &mut out.x[0] {
            cx.backend.linear_input_gradient(self.size(), cx.n, inputs, *accumulate, dx);
        }
        cx.backend.linear_weight_gradient(self.size(), cx.n, weights, out.accumulate, out.w.at(0));
        bias_gradient(cx, bias, &mut saved.wides[0], out.accumulate, out.w.at(1));
    }
}

impl<B: Backend> Op<B> for Linear {
    fn kind(&self) -> &'static str {
        "linear"
    }

    fn output(&self, inputs: &[Shape]) -> Result<Shape, String> {
        let input = only(inputs)?;
        if input != Shape::features(self.features_in) {
            return Err(format!("expects {} flat features, got {input}", self.features_in));
        }
        Ok(Shape::features(self.features_out))
    }

    fn parameters(&self) -> Vec<TensorSpec> {
        vec![
            TensorSpec::new("weight", vec![self.features_out, self.features_in], self.weight),
            TensorSpec::new("bias", vec![self.features_out], self.bias),
        ]
    }

    fn allocate(&self, backend: &B, _: usize, _: &[Shape]) -> Saved<B> {
        Saved::wides(backend, 1, self.features_out)
    }

    fn flops(&self, _: &[Shape]) -> u64 {
        2 * (self.features_in * self.features_out) as u64
    }

    fn value(&self, cx: &Context<'_, B>, at: &Point<'_, B>, saved: &mut Saved<B>, y: &mut B::Buffer) {
        cx.backend.linear_forward(self.size(), cx.n, &[(at.x[0], at.w[0])], y);
        add_bias(cx, at.w[1], &mut saved.wides[0], y);
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
        cx.backend.linear_forward(self.size(), cx.n, &pairs, y_dot);
        add_bias(cx, dot.w[1], &mut saved.wides[0], y_dot);
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
