//! A convolution with Fixup's numbers around it, in one pass: `y = relu(conv(x + a, s w) + b + r)` with numbers `a`, `s`, `b` and a
//! residual `r` (Zhang, Dauphin, Ma 2019).
//!
//! With `u = x + a`, `v = s w`, `M` the mask of the ReLU, `t̄ = M ȳ`, and the adjoints of `bilinear.rs`:
//!
//! - gradient: `ū = t̄ ·ₓ v`, `v̄ = u ·w t̄`; `x̄ = ū`, `r̄ = t̄`, `ā = Σ ū`, `b̄ = Σ t̄`, `w̄ = s v̄`, `s̄ = ⟨w, v̄⟩`;
//! - tangent: `u̇ = ẋ + ȧ`, `v̇ = s ẇ + ṡ w`, `ẏ = M (u̇ · v + u · v̇ + ḃ + ṙ)`;
//! - gradient's tangent: `dū = dt̄ ·ₓ v + t̄ ·ₓ v̇`, `dv̄ = u ·w dt̄ + u̇ ·w t̄`, `dw̄ = s dv̄ + ṡ v̄`, `ds̄ = ⟨w, dv̄⟩ + ⟨ẇ, v̄⟩`, and
//!   `x̄`, `r̄`, `ā`, `b̄` as above from `dū` and `dt̄ = M dȳ`.

use super::bilinear::{ActivationPair, Call, Operand, WeightPair};
use crate::backend::{
    Accumulate, Addends, BilinearLayer, Choice, Contraction, Contractions, Conv2d, Device, Epilogue,
    OperandSizes, Prepared, Shape, Vectors, View, ViewMut,
};
use crate::op::{
    Context, Direction, Gradients, Init, Op, Point, Saved, SavedSizes, Scratch, TapeKind, TensorSpec,
};

/// A 3x3 convolution without a bias per channel, and the ReLU after it. With two inputs the second one is the residual. Only
/// [`fuse`](crate::Model::compile) makes it of plain ops.
#[derive(Clone, Debug)]
pub struct FixupConvolution {
    /// Channels of the input.
    pub channels_in: usize,
    /// Channels of the output.
    pub channels_out: usize,
    /// Distance between neighbouring outputs.
    pub stride: usize,
    /// Whether a number is added to the input. Zero in the beginning.
    pub has_shift: bool,
    /// How the weights begin.
    pub weight: Init,
    /// Whether the weights have a factor. One in the beginning.
    pub has_scale: bool,
}

/// A gradient of the scaled weights, and the parameters whose scale and weights belong to it.
type ScaledGradient<'a, B> = (&'a <B as Device>::Buffer, &'a [View<'a, <B as Device>::Buffer>]);

/// The by-products of a layer.
struct Kept<'a, B: Device> {
    input: &'a mut B::Buffer,
    /// `v` and `v̇`.
    scaled: &'a mut B::Buffer,
    scaled_dot: &'a mut B::Buffer,
    /// `v̄` at the primal point, and that of any other sweep.
    kept_gradient: &'a mut B::Buffer,
    gradient: &'a mut B::Buffer,
    choice: &'a mut B::Bytes,
    sum: &'a mut B::Wide,
}

impl<'a, B: Device> Kept<'a, B> {
    fn of(saved: &'a mut Saved<B>) -> Self {
        match (&mut saved.buffers[..], &mut saved.bytes[..], &mut saved.wides[..]) {
            ([input, scaled, scaled_dot, kept_gradient, gradient], [choice], [sum]) => {
                Self { input, scaled, scaled_dot, kept_gradient, gradient, choice, sum }
            }
            _ => unreachable!("`saved` names seven by-products"),
        }
    }
}

impl FixupConvolution {
    const fn geometry(&self, input: Shape) -> Conv2d {
        Conv2d {
            channels_in: self.channels_in,
            channels_out: self.channels_out,
            height: input.height(),
            width: input.width(),
            kernel: 3,
            stride: self.stride,
            padding: 1,
        }
    }

    const fn layer(&self, input: Shape) -> BilinearLayer {
        BilinearLayer {
            contraction: Contraction::Convolution(self.geometry(input)),
            epilogue: Epilogue::Relu,
            is_shifted: self.has_shift,
        }
    }

    /// The places of the weights, their factor and the bias among the parameters; a shift is the first.
    const fn places(&self) -> (usize, Option<usize>, usize) {
        let weight = self.has_shift as usize;
        if self.has_scale { (weight, Some(weight + 1), weight + 2) } else { (weight, None, weight + 1) }
    }

    /// The part of `w` that is the shift.
    fn shift<'w, B: Device>(&self, w: &[View<'w, B::Buffer>]) -> Option<View<'w, B::Buffer>> {
        w.first().copied().filter(|_| self.has_shift)
    }

    /// `v`, as [`Op::value`] made it.
    fn scaled<'a, B: Device>(&self, at: &Point<'a, B>, scaled: &'a B::Buffer) -> View<'a, B::Buffer> {
        let weight = at.w[self.places().0];
        if self.has_scale { View::new(scaled, 0, weight.len) } else { weight }
    }

    /// `v̇`, as [`Op::tangent`] made it.
    fn scaled_dot<'a, B: Device>(
        &self,
        dot: &Direction<'a, B>,
        scaled: &'a B::Buffer,
    ) -> View<'a, B::Buffer> {
        let weight = dot.w[self.places().0];
        if self.has_scale { View::new(scaled, 0, weight.len) } else { weight }
    }

    /// `u̇`, prepared in `slot` where it has to be; `None` is zero.
    fn input_dot<'b, B: Contractions + Vectors>(
        &self,
        call: &Call<'_, B>,
        dot: &Direction<'b, B>,
        slot: &'b mut B::Buffer,
    ) -> Option<Operand<'b, B>> {
        let shift = self.shift::<B>(dot.w);
        match (dot.x[0], shift) {
            (None, None) => None,
            (Some(x_dot), shift) => Some(call.input(x_dot, shift, slot)),
            (None, Some(_)) => {
                // The input is data. No network of ours shifts it.
                let zeros = call.cx.backend.buffer(call.cx.n * call.cx.inputs[0].elements());
                call.cx.backend.prepare_input(&call.layer, call.cx.n, &zeros, shift, slot);
                Some(Prepared::new(slot))
            }
        }
    }

    /// The gradients of all but the weights and their factor: from the pairs of the input's gradient, and from `dy`.
    fn around<B: Contractions + Vectors>(
        &self,
        call: &Call<'_, B>,
        inputs: &[WeightPair<'_, B>],
        (dy, choice, sum): (&B::Buffer, &B::Bytes, &mut B::Wide),
        out: &mut Gradients<'_, B>,
    ) {
        let (b, n, layer) = (call.cx.backend, call.cx.n, &call.layer);
        if let Some(Some((r, accumulate))) = out.x.get_mut(1) {
            b.residual_gradient(layer, n, dy, choice, *accumulate, r);
        }
        let shift = self.has_shift;
        match &mut out.x[0] {
            Some((dx, accumulate)) => {
                let sum = shift.then_some(&mut *sum);
                b.bilinear_input_gradient(layer, n, inputs, choice, *accumulate, dx, sum);
            }
            None if shift => {
                let mut dx = b.buffer(n * call.cx.inputs[0].elements());
                b.bilinear_input_gradient(
                    layer,
                    n,
                    inputs,
                    choice,
                    Accumulate::Set,
                    &mut dx,
                    Some(&mut *sum),
                );
            }
            None => {}
        }
        if shift {
            b.narrow(sum, out.accumulate, out.w.at(0));
        }
        b.bilinear_bias_gradient(layer, n, dy, choice, sum);
        b.narrow(sum, out.accumulate, out.w.at(self.places().2));
    }

    /// `w̄` and `s̄` from terms of `v̄`: pairs of a gradient of the scaled weights with the scale and the weights that belong to it.
    fn unscale<B: Vectors>(
        &self,
        b: &B,
        terms: &[ScaledGradient<'_, B>],
        sum: &mut B::Wide,
        out: &mut Gradients<'_, B>,
    ) {
        let (weight, Some(scale), _) = self.places() else { return };
        let mut accumulate = out.accumulate;
        for (gradient, w) in terms {
            let gradient = View::new(*gradient, 0, w[weight].len);
            b.scaled_sum(&[(w[scale], gradient)], accumulate, out.w.at(weight));
            b.dot(w[weight], gradient, 0, sum);
            b.narrow(sum, accumulate, out.w.at(scale));
            accumulate = Accumulate::Add;
        }
    }

    /// The gradient of the scaled weights, or that of the weights themselves where they have no factor.
    fn weights<B: Contractions + Vectors>(
        &self,
        call: &Call<'_, B>,
        (pairs, choice): (&[ActivationPair<'_, B>], &B::Bytes),
        scaled: &mut B::Buffer,
        out: &mut Gradients<'_, B>,
    ) {
        let (b, n, weight) = (call.cx.backend, call.cx.n, self.places().0);
        if self.has_scale {
            let len = out.w.ranges[weight].len();
            let to = ViewMut::new(scaled, 0, len);
            b.bilinear_weight_gradient(&call.layer, n, pairs, choice, Accumulate::Set, to);
        } else {
            b.bilinear_weight_gradient(&call.layer, n, pairs, choice, out.accumulate, out.w.at(weight));
        }
    }
}

impl<B: Contractions + Vectors> Op<B> for FixupConvolution {
    fn kind(&self) -> &'static str {
        match (self.has_shift, self.has_scale) {
            (false, false) => "conv2d+bias+relu",
            (true, false) => "bias+conv2d+bias+relu",
            (false, true) => "conv2d+scale+bias+add+relu",
            (true, true) => "bias+conv2d+scale+bias+add+relu",
        }
    }

    fn output(&self, inputs: &[Shape]) -> Result<Shape, String> {
        let Some(input) = inputs.first().filter(|input| input.channels() == self.channels_in) else {
            return Err(format!("expects {} channels, got {inputs:?}", self.channels_in));
        };
        let (height, width) = self
            .geometry(*input)
            .output()
            .ok_or_else(|| format!("a 3x3 kernel does not fit an image of {input}"))?;
        let output = Shape::new(self.channels_out, height, width);
        match &inputs[1..] {
            [] => Ok(output),
            [residual] if *residual == output => Ok(output),
            [residual] => Err(format!("cannot add a residual of {residual} to {output}")),
            _ => Err(format!("takes one or two inputs, got {}", inputs.len())),
        }
    }

    fn parameters(&self) -> Vec<TensorSpec> {
        let number = |name, value| TensorSpec::new(name, vec![1], Init::Constant(value));
        let shape = vec![self.channels_out, self.channels_in, 3, 3];
        let weight = TensorSpec::new("weight", shape, self.weight);
        let shift = self.has_shift.then(|| number("shift", 0.0)).into_iter();
        let after = self.has_scale.then(|| number("scale", 1.0)).into_iter().chain([number("bias", 0.0)]);
        shift.chain([weight]).chain(after).collect()
    }

    fn saved(&self, backend: &B, capacity: usize, inputs: &[Shape], kind: TapeKind) -> SavedSizes {
        let sizes = self.operands(backend, capacity, inputs);
        let weights = if self.has_scale { self.geometry(inputs[0]).weights() } else { 0 };
        let kept = |len, is_kept| if is_kept { len } else { 0 };
        let products = kind == TapeKind::Products;
        let buffers = vec![
            kept(sizes.input, kind != TapeKind::Values),
            weights,
            kept(weights, products),
            kept(weights, products),
            kept(weights, kind != TapeKind::Values),
        ];
        SavedSizes { buffers, wides: vec![1], bytes: vec![sizes.choice] }
    }

    fn operands(&self, backend: &B, capacity: usize, inputs: &[Shape]) -> OperandSizes {
        backend.operand_sizes(&self.layer(inputs[0]), capacity)
    }

    fn reads_input(&self, backend: &B, inputs: &[Shape], input: usize) -> bool {
        input == 0 && Op::operands(self, backend, 1, inputs).input == 0
    }

    fn flops(&self, inputs: &[Shape]) -> u64 {
        let pixels = self.geometry(inputs[0]).output().map_or(0, |(h, w)| h * w);
        2 * (self.geometry(inputs[0]).weights() * pixels) as u64
    }

    fn value(&self, cx: &Context<'_, B>, at: &Point<'_, B>, saved: &mut Saved<B>, y: &mut B::Buffer) {
        let (call, kept) = (Call::new(self.layer(cx.inputs[0]), cx), Kept::of(saved));
        let (weight, scale, bias) = self.places();
        if let Some(scale) = scale {
            let to = ViewMut::new(kept.scaled, 0, at.w[weight].len);
            cx.backend.scaled_sum(&[(at.w[scale], at.w[weight])], Accumulate::Set, to);
        }
        let scratch = &mut *call.scratch();
        let slot = if cx.keeps { kept.input } else { &mut scratch.input };
        let u = call.input(at.x[0], self.shift::<B>(at.w), slot);
        let addends = Addends { bias: Some(at.w[bias]), residual: at.x.get(1).copied() };
        let pairs = [(u, self.scaled(at, kept.scaled))];
        cx.backend.bilinear_forward(&call.layer, cx.n, &pairs, addends, Choice::Record(kept.choice), y);
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
        let gradient = if cx.keeps { kept.kept_gradient } else { kept.gradient };
        let scratch = &mut *call.scratch();
        let u = call.kept_input(at.x[0], kept.input);
        let dt = call.output(dy, kept.choice, &mut scratch.output);
        self.around(&call, &[(dt, self.scaled(at, kept.scaled))], (dy, kept.choice, kept.sum), out);
        self.weights(&call, (&[(u, dt)], kept.choice), gradient, out);
        self.unscale(cx.backend, &[(gradient, at.w)], kept.sum, out);
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
        let (weight, scale, bias) = self.places();
        if let Some(scale) = scale {
            let terms = [(at.w[scale], dot.w[weight]), (dot.w[scale], at.w[weight])];
            let to = ViewMut::new(kept.scaled_dot, 0, at.w[weight].len);
            cx.backend.scaled_sum(&terms, Accumulate::Set, to);
        }
        let scratch = &mut *call.scratch();
        let u_dot = self.input_dot(&call, dot, &mut scratch.input);
        let own = (call.kept_input(at.x[0], kept.input), self.scaled_dot(dot, kept.scaled_dot));
        let mut pairs = [own; 2];
        let mut count = 1;
        if let Some(u_dot) = u_dot {
            pairs[1] = (u_dot, self.scaled(at, kept.scaled));
            count = 2;
        }
        let addends = Addends { bias: Some(dot.w[bias]), residual: dot.x.get(1).copied().flatten() };
        let choice = Choice::Replay(&*kept.choice);
        cx.backend.bilinear_forward(&call.layer, cx.n, &pairs[..count], addends, choice, y_dot);
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
        let (u, dt) = (call.kept_input(at.x[0], kept.input), call.output(dy, kept.choice, adjoint));
        let dt_dot = call.output(dy_dot, kept.choice, output);
        let inputs = [(dt_dot, self.scaled(at, kept.scaled)), (dt, self.scaled_dot(dot, kept.scaled_dot))];
        self.around(&call, &inputs, (dy_dot, kept.choice, kept.sum), out);
        let mut weights = [(u, dt_dot); 2];
        let mut count = 1;
        if let Some(u_dot) = self.input_dot(&call, dot, input) {
            weights[1] = (u_dot, dt);
            count = 2;
        }
        self.weights(&call, (&weights[..count], kept.choice), kept.gradient, out);
        let terms = [(&*kept.gradient, at.w), (&*kept.kept_gradient, dot.w)];
        self.unscale(cx.backend, &terms, kept.sum, out);
    }
}
