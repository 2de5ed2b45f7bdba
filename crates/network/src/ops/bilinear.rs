//! Layers that are bilinear in an input and weights, with an optional bias per channel and an epilogue: `y = e(x · w + b)`.
//!
//! The epilogue `e` is linear given the choices that it made at the primal point, so three contractions give all four rules.
//! With `·` the product, `·ₓ` its adjoint in `x`, `·w` its adjoint in `w`, `E` the linear map of the choices and `z̄ = Eᵀ ȳ`:
//! `x̄ = z̄ ·ₓ w`, `w̄ = x ·w z̄`, `ẏ = E (ẋ · w + x · ẇ + ḃ)`, `d x̄ = dz̄ ·ₓ w + z̄ ·ₓ ẇ`, `d w̄ = x ·w dz̄ + ẋ ·w z̄`, and
//! `b̄ = Σ z̄`. The contractions take sums of pairs, so that each of these is one call.
//!
//! Contractions take operands that the backend prepared: `x` stays prepared where a later sweep needs it.

use std::cell::RefMut;
use std::fmt::Debug;

use smallvec::SmallVec;

use crate::backend::{
    self, Addends, BilinearLayer, Choice, Contractions, Device, OperandSizes, Prepared, Shape, Vectors, View,
};
use crate::op::{
    Context, Direction, Gradients, Homogeneity, Init, Op, Point, Saved, SavedSizes, Scratch, TapeKind,
    TensorSpec,
};

/// An operand of a contraction.
pub(super) type Operand<'a, B> = Prepared<'a, <B as Device>::Buffer>;
/// An input or an output gradient, and weights.
pub(super) type WeightPair<'a, B> = backend::WeightPair<'a, <B as Device>::Buffer>;
/// An input and an output gradient.
pub(super) type ActivationPair<'a, B> = backend::ActivationPair<'a, <B as Device>::Buffer>;

/// What a bilinear layer is.
pub(super) trait Bilinear: Debug + Send {
    /// As [`Op::output`].
    fn shape(&self, inputs: &[Shape]) -> Result<Shape, String>;
    /// The layer on inputs of this shape.
    fn layer(&self, input: Shape) -> BilinearLayer;
    /// The weights.
    fn weight(&self) -> TensorSpec;
    /// How the bias begins, or no bias.
    fn bias(&self) -> Option<Init>;
    /// The multiplications of one example's value.
    fn products(&self, input: Shape) -> u64;
    /// As [`Op::kind`].
    fn kind(&self) -> &'static str;
}

/// The kept by-products of a layer.
struct Kept<'a, B: Device> {
    /// The prepared input.
    input: &'a mut B::Buffer,
    /// What the epilogue chose.
    choice: &'a mut B::Bytes,
    /// One wide number per channel.
    sums: &'a mut B::Wide,
}

impl<'a, B: Device> Kept<'a, B> {
    fn of(saved: &'a mut Saved<B>) -> Self {
        match (&mut saved.buffers[..], &mut saved.bytes[..], &mut saved.wides[..]) {
            ([input], [choice], [sums]) => Self { input, choice, sums },
            _ => unreachable!("`saved` names three by-products"),
        }
    }
}

/// One call of a rule: the layer, and what its operands take.
pub(super) struct Call<'a, B: Device> {
    pub(super) cx: &'a Context<'a, B>,
    pub(super) layer: BilinearLayer,
    sizes: OperandSizes,
}

impl<'a, B: Contractions + Vectors> Call<'a, B> {
    pub(super) fn new(layer: BilinearLayer, cx: &'a Context<'a, B>) -> Self {
        Self { cx, layer, sizes: cx.backend.operand_sizes(&layer, cx.n) }
    }

    pub(super) fn scratch(&self) -> RefMut<'a, Scratch<B>> {
        self.cx.scratch.borrow_mut()
    }

    /// `x + shift`, prepared in `slot` where it has to be. Only a shifted layer takes a shift.
    pub(super) fn input<'b>(
        &self,
        x: &'b B::Buffer,
        shift: Option<View<'_, B::Buffer>>,
        slot: &'b mut B::Buffer,
    ) -> Operand<'b, B> {
        if self.sizes.input == 0 {
            return Prepared::new(x);
        }
        self.cx.backend.prepare_input(&self.layer, self.cx.n, x, shift, slot);
        Prepared::new(slot)
    }

    /// `x`, as [`Self::input`] prepared it in `kept`.
    pub(super) const fn kept_input<'b>(&self, x: &'b B::Buffer, kept: &'b B::Buffer) -> Operand<'b, B> {
        Prepared::new(if self.sizes.input == 0 { x } else { kept })
    }

    /// `Eᵀ dy`, prepared in `slot` where it has to be.
    pub(super) fn output<'b>(
        &self,
        dy: &'b B::Buffer,
        choice: &B::Bytes,
        slot: &'b mut B::Buffer,
    ) -> Operand<'b, B> {
        if self.sizes.output == 0 {
            return Prepared::new(dy);
        }
        self.cx.backend.prepare_output(&self.layer, self.cx.n, dy, choice, slot);
        Prepared::new(slot)
    }

    /// `x̄ (+)= Σ` of the input's pairs, `w̄ (+)= Σ` of the weights' pairs, and `b̄ (+)=` the gradient of the bias from `dy`.
    fn contract(
        &self,
        (inputs, weights): (&[WeightPair<'_, B>], &[ActivationPair<'_, B>]),
        (dy, choice, sums): (&B::Buffer, &B::Bytes, &mut B::Wide),
        out: &mut Gradients<'_, B>,
    ) {
        let (backend, n) = (self.cx.backend, self.cx.n);
        if let Some((dx, accumulate)) = &mut out.x[0] {
            backend.bilinear_input_gradient(&self.layer, n, inputs, choice, *accumulate, dx, None);
        }
        backend.bilinear_weight_gradient(&self.layer, n, weights, choice, out.accumulate, out.w.at(0));
        if out.w.ranges.len() > 1 {
            backend.bilinear_bias_gradient(&self.layer, n, dy, choice, sums);
            backend.narrow(sums, out.accumulate, out.w.at(1));
        }
    }
}

impl<B: Contractions + Vectors, L: Bilinear> Op<B> for L {
    fn kind(&self) -> &'static str {
        Bilinear::kind(self)
    }

    fn homogeneity(&self) -> Homogeneity {
        Homogeneity::Layer
    }

    fn output(&self, inputs: &[Shape]) -> Result<Shape, String> {
        self.shape(inputs)
    }

    fn parameters(&self) -> Vec<TensorSpec> {
        let weight = self.weight();
        let channels = weight.shape[0];
        let bias = self.bias().map(|init| TensorSpec::new("bias", vec![channels], init));
        std::iter::once(weight).chain(bias).collect()
    }

    fn saved(&self, backend: &B, capacity: usize, inputs: &[Shape], kind: TapeKind) -> SavedSizes {
        let sizes = self.operands(backend, capacity, inputs);
        let input = if kind == TapeKind::Values { 0 } else { sizes.input };
        let channels = self.weight().shape[0];
        SavedSizes { buffers: vec![input], wides: vec![channels], bytes: vec![sizes.choice] }
    }

    fn operands(&self, backend: &B, capacity: usize, inputs: &[Shape]) -> OperandSizes {
        backend.operand_sizes(&self.layer(inputs[0]), capacity)
    }

    fn reads_input(&self, backend: &B, inputs: &[Shape], _: usize) -> bool {
        Op::operands(self, backend, 1, inputs).input == 0
    }

    fn flops(&self, inputs: &[Shape]) -> u64 {
        2 * self.products(inputs[0])
    }

    fn value(&self, cx: &Context<'_, B>, at: &Point<'_, B>, saved: &mut Saved<B>, y: &mut B::Buffer) {
        let (call, kept) = (Call::new(self.layer(cx.inputs[0]), cx), Kept::of(saved));
        let scratch = &mut *call.scratch();
        let x = call.input(at.x[0], None, if cx.keeps { kept.input } else { &mut scratch.input });
        let addends = Addends { bias: at.w.get(1).copied(), residual: None };
        let choice = Choice::Record(kept.choice);
        cx.backend.bilinear_forward(&call.layer, cx.n, &[(x, at.w[0])], addends, choice, y);
    }

    fn gradient(
        &self,
        cx: &Context<'_, B>,
        at: &Point<'_, B>,
        saved: &mut Saved<B>,
        dy: &B::Buffer,
        out: &mut Gradients<'_, B>,
    ) {
        let (call, kept) = (Call::new(self.layer(cx.inputs[0]), cx), Kept::of(saved));
        let scratch = &mut *call.scratch();
        let x = call.kept_input(at.x[0], kept.input);
        let dz = call.output(dy, kept.choice, &mut scratch.output);
        call.contract((&[(dz, at.w[0])], &[(x, dz)]), (dy, kept.choice, kept.sums), out);
    }

    fn tangent(
        &self,
        cx: &Context<'_, B>,
        at: &Point<'_, B>,
        saved: &mut Saved<B>,
        dot: &Direction<'_, B>,
        y_dot: &mut B::Buffer,
    ) {
        let (call, kept) = (Call::new(self.layer(cx.inputs[0]), cx), Kept::of(saved));
        let scratch = &mut *call.scratch();
        let input = dot.x[0].map(|x_dot| (call.input(x_dot, None, &mut scratch.input), at.w[0]));
        let own = (call.kept_input(at.x[0], kept.input), dot.w[0]);
        let pairs: SmallVec<[WeightPair<'_, B>; 2]> = std::iter::once(own).chain(input).collect();
        let addends = Addends { bias: dot.w.get(1).copied(), residual: None };
        let choice = Choice::Replay(&*kept.choice);
        cx.backend.bilinear_forward(&call.layer, cx.n, &pairs, addends, choice, y_dot);
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
        let (call, kept) = (Call::new(self.layer(cx.inputs[0]), cx), Kept::of(saved));
        let Scratch { input, output, adjoint } = &mut *call.scratch();
        let (x, dz) = (call.kept_input(at.x[0], kept.input), call.output(dy, kept.choice, adjoint));
        let dz_dot = call.output(dy_dot, kept.choice, output);
        let input = dot.x[0].map(|x_dot| (call.input(x_dot, None, input), dz));
        let weights: SmallVec<[ActivationPair<'_, B>; 2]> =
            std::iter::once((x, dz_dot)).chain(input).collect();
        let inputs = [(dz_dot, at.w[0]), (dz, dot.w[0])];
        call.contract((&inputs, &weights), (dy_dot, kept.choice, kept.sums), out);
    }
}
