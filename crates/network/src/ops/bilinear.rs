//! Layers that are bilinear in an input and weights, with an optional bias per channel: `y = x · w + b`.
//!
//! Three contractions give all four rules. With `·` the product, `·ₓ` its adjoint in `x` and `·w` its adjoint in `w`:
//! `x̄ = ȳ ·ₓ w`, `w̄ = x ·w ȳ`, `ẏ = ẋ · w + x · ẇ + ḃ`, `d x̄ = dȳ ·ₓ w + ȳ ·ₓ ẇ`, `d w̄ = x ·w dȳ + ẋ ·w ȳ`, and `b̄ = Σ ȳ`.
//! The contractions take sums of pairs, so that each of these is one call.

use std::fmt::Debug;

use crate::backend::{Accumulate, Backend, Shape, View, ViewMut};
use crate::op::{Context, Direction, Gradients, Init, Op, Point, Saved, TensorSpec};

/// An activation and weights, or an activation's gradient and weights.
pub(super) type WeightPair<'a, B> = (&'a <B as Backend>::Buffer, View<'a, <B as Backend>::Buffer>);
/// An input and an output's gradient.
pub(super) type ActivationPair<'a, B> = (&'a <B as Backend>::Buffer, &'a <B as Backend>::Buffer);

/// What a bilinear layer is, and its three contractions.
pub(super) trait Bilinear: Debug + Send {
    /// As [`Op::kind`]; a constant, so that tests find it in the source.
    const KIND: &'static str;

    /// As [`Op::output`].
    fn shape(&self, inputs: &[Shape]) -> Result<Shape, String>;
    /// Channels or features of the output.
    fn channels_out(&self) -> usize;
    /// The weights.
    fn weight(&self) -> TensorSpec;
    /// How the bias begins, or no bias.
    fn bias(&self) -> Option<Init>;
    /// As [`Op::flops`].
    fn products(&self, input: Shape) -> u64;

    /// `y = Σ_k x_k · w_k`.
    fn forward<B: Backend>(&self, cx: &Context<'_, B>, pairs: &[WeightPair<'_, B>], y: &mut B::Buffer);
    /// `x (+)= Σ_k y_k ·ₓ w_k`.
    fn input_gradient<B: Backend>(
        &self,
        cx: &Context<'_, B>,
        pairs: &[WeightPair<'_, B>],
        accumulate: Accumulate,
        x: &mut B::Buffer,
    );
    /// `w (+)= Σ_k x_k ·w y_k`.
    fn weight_gradient<B: Backend>(
        &self,
        cx: &Context<'_, B>,
        pairs: &[ActivationPair<'_, B>],
        accumulate: Accumulate,
        w: ViewMut<'_, B::Buffer>,
    );
}

/// `y += b[c]` where there is a bias; `scratch` has one wide number per channel.
fn add_bias<B: Backend>(
    cx: &Context<'_, B>,
    bias: Option<&View<'_, B::Buffer>>,
    scratch: &mut B::Wide,
    y: &mut B::Buffer,
) {
    if let Some(bias) = bias {
        cx.backend.widen(*bias, scratch);
        cx.backend.channel_affine(cx.output, cx.n, &[], Some(scratch), Accumulate::Add, y);
    }
}

/// `x̄ (+)= Σ` of the input's pairs, `w̄ (+)= Σ` of the weights' pairs, `b̄[c] (+)= Σ bias`.
fn contract<B: Backend, L: Bilinear>(
    layer: &L,
    cx: &Context<'_, B>,
    saved: &mut Saved<B>,
    (inputs, weights, bias): (&[WeightPair<'_, B>], &[ActivationPair<'_, B>], &B::Buffer),
    out: &mut Gradients<'_, B>,
) {
    if let Some((dx, accumulate)) = &mut out.x[0] {
        layer.input_gradient(cx, inputs, *accumulate, dx);
    }
    layer.weight_gradient(cx, weights, out.accumulate, out.w.at(0));
    if layer.bias().is_some() {
        cx.backend.channel_sum(cx.output, cx.n, bias, &mut saved.wides[0]);
        cx.backend.narrow(&saved.wides[0], out.accumulate, out.w.at(1));
    }
}

impl<B: Backend, L: Bilinear> Op<B> for L {
    fn kind(&self) -> &'static str {
        L::KIND
    }

    fn output(&self, inputs: &[Shape]) -> Result<Shape, String> {
        self.shape(inputs)
    }

    fn parameters(&self) -> Vec<TensorSpec> {
        let bias = self.bias().map(|init| TensorSpec::new("bias", vec![self.channels_out()], init));
        std::iter::once(self.weight()).chain(bias).collect()
    }

    fn allocate(&self, backend: &B, _: usize, _: &[Shape]) -> Saved<B> {
        Saved::wides(backend, 1, self.channels_out())
    }

    fn flops(&self, inputs: &[Shape]) -> u64 {
        2 * self.products(inputs[0])
    }

    fn value(&self, cx: &Context<'_, B>, at: &Point<'_, B>, saved: &mut Saved<B>, y: &mut B::Buffer) {
        self.forward(cx, &[(at.x[0], at.w[0])], y);
        add_bias(cx, at.w.get(1), &mut saved.wides[0], y);
    }

    fn gradient(
        &self,
        cx: &Context<'_, B>,
        at: &Point<'_, B>,
        saved: &mut Saved<B>,
        dy: &B::Buffer,
        out: &mut Gradients<'_, B>,
    ) {
        contract(self, cx, saved, (&[(dy, at.w[0])], &[(at.x[0], dy)], dy), out);
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
        self.forward(cx, &pairs, y_dot);
        add_bias(cx, dot.w.get(1), &mut saved.wides[0], y_dot);
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
        contract(self, cx, saved, (&[(dy_dot, at.w[0]), (dy, dot.w[0])], &weights, dy_dot), out);
    }
}
