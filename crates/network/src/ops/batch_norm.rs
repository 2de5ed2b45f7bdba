//! Batch normalisation (Ioffe and Szegedy 2015), differentiated through its batch statistics, and an epilogue: `y = e(γ x̂ + β)`.
//!
//! The epilogue is linear given the choices that it made at the primal point: `E`, with `z̄ = Eᵀ ȳ` and `dz̄ = Eᵀ dȳ`. Per
//! channel, over `N = n h w` elements, with `s = (σ² + ε)^(-1/2)` and `x̂ = s (x - μ)`:
//!
//! - gradient, with `a = mean(z̄)`, `c = mean(z̄ x̂)`, `k = γ s`: `β̄ = N a`, `γ̄ = N c`, `x̄ = k (z̄ - a - c x̂)`;
//! - tangent, with `p = mean(ẋ)`, `m = mean(x̂ ẋ)`: `x̂˙ = s (ẋ - p - m x̂)`, `ẏ = E (γ x̂˙ + γ̇ x̂ + β̇)`; also `ṡ = -s² m`;
//! - gradient's tangent, with `e = mean(dz̄)`, `f = mean(dz̄ x̂)`, `q = mean(z̄ (ẋ - p))`, `ċ = f + s (q - m c)`,
//!   `k̇ = γ̇ s - k s m`: `dβ̄ = N e`, `dγ̄ = N ċ`, and
//!   `dx̄ = k̇ (z̄ - a) + k (dz̄ - e) - k c s (ẋ - p) - (k̇ c + k ċ - k c s m) x̂`.
//!
//! With running statistics `μ` and `s` are constants: `a = c = p = m = e = 0` in the terms that carry them to `x`.
//!
//! Sums and results share a pass over a channel, so that each rule is one kernel. Only `μ`, `σ²` and sums are kept between rules.

use super::shapes::only;
use crate::backend::{
    Accumulate, BatchNormLayer, BatchNormPoint, Device, Epilogue, Normalization, OperandSizes, PointOf,
    Shape, Target, Vectors, View,
};
use crate::op::{
    BatchNorm, Context, Direction, Gradients, Init, Op, Point, Saved, SavedSizes, Slots, TapeKind, TensorSpec,
};

/// Batch norm over the examples and pixels of each channel, with PyTorch's defaults.
#[derive(Clone, Debug)]
pub struct BatchNorm2d {
    /// Channels.
    pub channels: usize,
    /// What follows in the same pass; plain ops have nothing here.
    pub epilogue: Epilogue,
}

/// Added to the variance.
const EPSILON: f64 = 1e-5;

/// Wide vectors that are kept.
const WIDES: usize = 8;

/// The by-products of the rules: what the epilogue chose, and wide vectors of one number per channel.
struct Kept<'a, B: Device> {
    choice: &'a mut B::Bytes,
    /// `μ` and `σ²`.
    statistics: (&'a mut B::Wide, &'a mut B::Wide),
    /// `β̄` and `γ̄` of the gradient that products differentiate.
    sums: (&'a mut B::Wide, &'a mut B::Wide),
    /// `p` and `m`.
    means: (&'a mut B::Wide, &'a mut B::Wide),
    scratch: (&'a mut B::Wide, &'a mut B::Wide),
}

impl<'a, B: Device> Kept<'a, B> {
    fn of(saved: &'a mut Saved<B>) -> Self {
        match (&mut saved.bytes[..], &mut saved.wides[..]) {
            ([choice], [mean, variance, beta, gamma, p, m, t0, t1]) => Self {
                choice,
                statistics: (mean, variance),
                sums: (beta, gamma),
                means: (p, m),
                scratch: (t0, t1),
            },
            _ => unreachable!("`saved` names nine by-products"),
        }
    }
}

impl BatchNorm2d {
    /// The weight of a new batch in the running statistics.
    pub const MOMENTUM: f64 = 0.1;

    /// A batch norm that nothing follows.
    pub const fn new(channels: usize) -> Self {
        Self { channels, epilogue: Epilogue::None }
    }

    const fn layer(&self, input: Shape, statistics: BatchNorm) -> BatchNormLayer {
        let of_batch = matches!(statistics, BatchNorm::Batch);
        BatchNormLayer { input, epilogue: self.epilogue, epsilon: EPSILON, of_batch }
    }
}

impl<B: Normalization + Vectors> Op<B> for BatchNorm2d {
    fn kind(&self) -> &'static str {
        match self.epilogue {
            Epilogue::None => "batch_norm",
            Epilogue::Relu => "batch_norm+relu",
            Epilogue::ReluMaxPool => "batch_norm+relu+pool",
        }
    }

    fn output(&self, inputs: &[Shape]) -> Result<Shape, String> {
        let input = only(inputs)?;
        if input.channels() != self.channels {
            return Err(format!("expects {} channels, got {input}", self.channels));
        }
        match self.epilogue.output((input.height(), input.width())) {
            (0, _) | (_, 0) => Err(format!("a 2x2 window does not fit an image of {input}")),
            (height, width) => Ok(Shape::new(self.channels, height, width)),
        }
    }

    fn parameters(&self) -> Vec<TensorSpec> {
        vec![
            TensorSpec::new("weight", vec![self.channels], Init::Constant(1.0)),
            TensorSpec::new("bias", vec![self.channels], Init::Constant(0.0)),
        ]
    }

    fn state(&self) -> Vec<TensorSpec> {
        vec![
            TensorSpec::new("running_mean", vec![self.channels], Init::Constant(0.0)),
            TensorSpec::new("running_var", vec![self.channels], Init::Constant(1.0)),
        ]
    }

    fn saved(&self, backend: &B, capacity: usize, inputs: &[Shape], _: TapeKind) -> SavedSizes {
        let choice = self.operands(backend, capacity, inputs).choice;
        SavedSizes { bytes: vec![choice], ..SavedSizes::wides(WIDES, self.channels) }
    }

    fn operands(&self, backend: &B, capacity: usize, inputs: &[Shape]) -> OperandSizes {
        backend.batch_norm_sizes(&self.layer(inputs[0], BatchNorm::Batch), capacity)
    }

    fn value(&self, cx: &Context<'_, B>, at: &Point<'_, B>, saved: &mut Saved<B>, y: &mut B::Buffer) {
        let (layer, kept) = (self.layer(cx.inputs[0], cx.pass.batch_norm), Kept::of(saved));
        let (mean, variance) = kept.statistics;
        if cx.pass.batch_norm == BatchNorm::Running {
            cx.backend.widen(at.state[0], mean);
            cx.backend.widen(at.state[1], variance);
        }
        let affine = (at.w[0], at.w[1]);
        cx.backend.batch_norm_value(&layer, cx.n, at.x[0], affine, (mean, variance), kept.choice, y);
    }

    fn gradient(
        &self,
        cx: &Context<'_, B>,
        at: &Point<'_, B>,
        saved: &mut Saved<B>,
        dy: &B::Buffer,
        out: &mut Gradients<'_, B>,
    ) {
        let (layer, kept) = (self.layer(cx.inputs[0], cx.pass.batch_norm), Kept::of(saved));
        // A later product needs the sums of its own gradient, which is the one that keeps them.
        let (beta, gamma) = if cx.keeps { kept.sums } else { kept.scratch };
        let at = point(at, &kept.statistics, kept.choice);
        cx.backend.batch_norm_gradient(&layer, cx.n, at, dy, (&mut *beta, &mut *gamma), target(out));
        parameter_gradients(cx, (gamma, beta), out);
    }

    fn tangent(
        &self,
        cx: &Context<'_, B>,
        at: &Point<'_, B>,
        saved: &mut Saved<B>,
        dot: &Direction<'_, B>,
        y_dot: &mut B::Buffer,
    ) {
        let (layer, kept) = (self.layer(cx.inputs[0], cx.pass.batch_norm), Kept::of(saved));
        let (at, dots) = (point(at, &kept.statistics, kept.choice), (dot.w[0], dot.w[1]));
        cx.backend.batch_norm_tangent(&layer, cx.n, at, dot.x[0], dots, kept.means, y_dot);
    }

    fn gradient_tangent(
        &self,
        cx: &Context<'_, B>,
        at: &Point<'_, B>,
        saved: &mut Saved<B>,
        adjoint: (&B::Buffer, &B::Buffer),
        dot: &Direction<'_, B>,
        out: &mut Gradients<'_, B>,
    ) {
        let (layer, kept) = (self.layer(cx.inputs[0], cx.pass.batch_norm), Kept::of(saved));
        let (at, (beta, gamma)) = (point(at, &kept.statistics, kept.choice), kept.scratch);
        let (known, dots) = ([shared(&kept.sums), shared(&kept.means)], (dot.x[0], dot.w[0]));
        let (sums, dx) = ((&mut *beta, &mut *gamma), target(out));
        cx.backend.batch_norm_gradient_tangent(&layer, cx.n, at, known, adjoint, dots, sums, dx);
        parameter_gradients(cx, (gamma, beta), out);
    }

    /// `running = (1 - momentum) running + momentum · batch`, with the unbiased variance, as PyTorch does.
    fn update_state(&self, cx: &Context<'_, B>, saved: &mut Saved<B>, state: &mut Slots<'_, B::Buffer>) {
        let Kept { statistics: (mean, variance), scratch: (t0, t1), .. } = Kept::of(saved);
        let factors = addend_factors(cx);
        for (slot, (statistic, factor)) in [mean, variance].into_iter().zip(factors).enumerate() {
            let running = state.at(slot);
            cx.backend.widen(View::new(running.buffer, running.start, running.len), t0);
            cx.backend.polynomial(&[(1.0 - Self::MOMENTUM, &[t0]), (factor, &[statistic])], t1);
            cx.backend.narrow(t1, Accumulate::Set, running);
        }
    }

    fn statistics(&self, cx: &Context<'_, B>, saved: &mut Saved<B>) -> Vec<Vec<f64>> {
        let Kept { statistics: (mean, variance), scratch: (addend, _), .. } = Kept::of(saved);
        let of = |(statistic, factor): (&mut B::Wide, f64)| {
            cx.backend.polynomial(&[(factor, &[statistic])], addend);
            cx.backend.read(addend)
        };
        [mean, variance].into_iter().zip(addend_factors(cx)).map(of).collect()
    }
}

/// The factors of a batch's mean and (biased) variance in what is added to the running statistics.
fn addend_factors<B: Device>(cx: &Context<'_, B>) -> [f64; 2] {
    let count = u32::try_from(cx.n * cx.inputs[0].pixels()).map_or(f64::INFINITY, f64::from);
    [1.0, count / (count - 1.0).max(1.0)].map(|factor| BatchNorm2d::MOMENTUM * factor)
}

fn shared<'a, T>((first, second): &'a (&mut T, &mut T)) -> (&'a T, &'a T) {
    (&**first, &**second)
}

/// The point of the rules after the value.
fn point<'a, B: Device>(
    at: &Point<'a, B>,
    statistics: &'a (&mut B::Wide, &mut B::Wide),
    choice: &'a B::Bytes,
) -> PointOf<'a, B> {
    BatchNormPoint { x: at.x[0], gamma: at.w[0], statistics: shared(statistics), choice }
}

/// Where the gradient of the input goes.
fn target<'a, B: Device>(out: &'a mut Gradients<'_, B>) -> Target<'a, B::Buffer> {
    out.x[0].as_mut().map(|(dx, accumulate)| (&mut **dx, *accumulate))
}

/// `γ̄ (+)= sums.0`, `β̄ (+)= sums.1`.
fn parameter_gradients<B: Vectors>(
    cx: &Context<'_, B>,
    sums: (&B::Wide, &B::Wide),
    out: &mut Gradients<'_, B>,
) {
    for (slot, sum) in [sums.0, sums.1].into_iter().enumerate() {
        cx.backend.narrow(sum, out.accumulate, out.w.at(slot));
    }
}
