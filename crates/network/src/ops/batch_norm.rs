//! Batch normalisation (Ioffe and Szegedy 2015), differentiated through its batch statistics.
//!
//! Per channel, over `N = n h w` elements, with `s = (σ² + ε)^(-1/2)` and `x̂ = s (x - μ)`:
//!
//! - value `y = γ x̂ + β`;
//! - gradient, with `a = mean(ȳ)`, `c = mean(ȳ x̂)`, `k = γ s`: `β̄ = N a`, `γ̄ = N c`, `x̄ = k (ȳ - a - c x̂)`;
//! - tangent, with `p = mean(ẋ)`, `m = mean(x̂ ẋ)`: `x̂˙ = s (ẋ - p - m x̂)`, `ẏ = γ x̂˙ + γ̇ x̂ + β̇`; also `ṡ = -s² m`;
//! - gradient's tangent, with `e = mean(dȳ)`, `f = mean(dȳ x̂)`, `q = mean(ȳ ẋ)`, `ċ = f + s (q - m c - p a)`,
//!   `k̇ = γ̇ s - k s m`: `dβ̄ = N e`, `dγ̄ = N ċ`, and
//!   `dx̄ = k̇ ȳ + k dȳ - k c s ẋ - (k̇ c + k ċ - k c s m) x̂ - (k̇ a + k e - k c s p)`.
//!
//! With running statistics `μ` and `s` are constants: `a = c = p = m = e = 0` in the terms that carry them to `x`.

use super::only;
use crate::backend::{Accumulate, Backend, Shape, View};
use crate::op::{
    BatchNorm, Context, Direction, Gradients, Init, Op, Point, Saved, SavedSizes, Slots, TapeKind, TensorSpec,
};

/// Batch norm over the examples and pixels of each channel, with PyTorch's defaults.
#[derive(Clone, Debug)]
pub struct BatchNorm2d {
    /// Channels.
    pub channels: usize,
}

/// Added to the variance.
const EPSILON: f64 = 1e-5;
/// The weight of a new batch in the running statistics.
const MOMENTUM: f64 = 0.1;

/// Wide vectors of one channel count: statistics of the batch, sums of the rules, and scratch of the coefficients.
const WIDES: usize = 16;

/// Names for the wide vectors of [`Saved`].
struct Wides<'a, W> {
    mean: &'a mut W,
    variance: &'a mut W,
    s: &'a mut W,
    gamma: &'a mut W,
    gamma_dot: &'a mut W,
    beta: &'a mut W,
    a: &'a mut W,
    c: &'a mut W,
    p: &'a mut W,
    m: &'a mut W,
    e: &'a mut W,
    f: &'a mut W,
    q: &'a mut W,
    t0: &'a mut W,
    t1: &'a mut W,
    t2: &'a mut W,
}

impl<'a, W> Wides<'a, W> {
    fn of(wides: &'a mut [W]) -> Self {
        let [mean, variance, s, gamma, gamma_dot, beta, a, c, p, m, e, f, q, t0, t1, t2] = wides else {
            unreachable!("batch norm allocates {WIDES} wide vectors")
        };
        Self { mean, variance, s, gamma, gamma_dot, beta, a, c, p, m, e, f, q, t0, t1, t2 }
    }
}

/// Elements of one channel of the batch.
fn count<B: Backend>(cx: &Context<'_, B>) -> f64 {
    u32::try_from(cx.n * cx.output.pixels()).map_or(f64::INFINITY, f64::from)
}

/// `out = Σ x / N`, or `Σ x y / N`.
fn mean<B: Backend>(
    cx: &Context<'_, B>,
    x: &B::Buffer,
    y: Option<&B::Buffer>,
    scratch: &mut B::Wide,
    out: &mut B::Wide,
) {
    match y {
        None => cx.backend.channel_sum(cx.output, cx.n, x, scratch),
        Some(y) => cx.backend.channel_dot(cx.output, cx.n, x, y, scratch),
    }
    cx.backend.polynomial(&[(1.0 / count(cx), &[scratch])], out);
}

impl<B: Backend> Op<B> for BatchNorm2d {
    fn kind(&self) -> &'static str {
        "batch_norm"
    }

    fn output(&self, inputs: &[Shape]) -> Result<Shape, String> {
        let input = only(inputs)?;
        if input.channels != self.channels {
            return Err(format!("expects {} channels, got {input}", self.channels));
        }
        Ok(input)
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

    fn saved(&self, _: &B, capacity: usize, inputs: &[Shape], _: TapeKind) -> SavedSizes {
        let normalised = capacity * inputs[0].elements();
        SavedSizes { buffers: vec![normalised], ..SavedSizes::wides(WIDES, self.channels) }
    }

    fn value(&self, cx: &Context<'_, B>, at: &Point<'_, B>, saved: &mut Saved<B>, y: &mut B::Buffer) {
        let (b, x, normalised) = (cx.backend, at.x[0], &mut saved.buffers[0]);
        let w = Wides::of(&mut saved.wides);
        let Wides { mean: mu, variance, s, gamma, beta, t0, t1, .. } = w;
        b.widen(at.w[0], gamma);
        b.widen(at.w[1], beta);
        match cx.pass.batch_norm {
            BatchNorm::Batch => {
                mean(cx, x, None, t0, mu);
                // Two passes: the variance of centred values loses no digits.
                b.polynomial(&[(0.0, &[mu]), (1.0, &[])], t0);
                b.polynomial(&[(-1.0, &[mu])], t1);
                b.channel_affine(cx.output, cx.n, &[(t0, x)], Some(t1), Accumulate::Set, normalised);
                mean(cx, normalised, Some(normalised), t0, variance);
            }
            BatchNorm::Running => {
                b.widen(at.state[0], mu);
                b.widen(at.state[1], variance);
            }
        }
        b.inverse_sqrt(variance, EPSILON, s);
        b.polynomial(&[(-1.0, &[s, mu])], t0);
        b.channel_affine(cx.output, cx.n, &[(s, x)], Some(t0), Accumulate::Set, normalised);
        b.channel_affine(cx.output, cx.n, &[(gamma, normalised)], Some(beta), Accumulate::Set, y);
    }

    fn gradient(
        &self,
        cx: &Context<'_, B>,
        at: &Point<'_, B>,
        saved: &mut Saved<B>,
        dy: &B::Buffer,
        out: &mut Gradients<'_, B>,
    ) {
        let (b, normalised) = (cx.backend, &saved.buffers[0]);
        let Wides { s, gamma, a, c, t0, t1, t2, .. } = Wides::of(&mut saved.wides);
        b.widen(at.w[0], gamma);
        mean(cx, dy, None, t0, a);
        mean(cx, dy, Some(normalised), t0, c);
        self.parameter_gradients(cx, (c, a), t0, out);
        let Some((dx, accumulate)) = &mut out.x[0] else { return };
        b.polynomial(&[(1.0, &[gamma, s])], t0);
        match cx.pass.batch_norm {
            BatchNorm::Batch => {
                b.polynomial(&[(-1.0, &[gamma, s, c])], t1);
                b.polynomial(&[(-1.0, &[gamma, s, a])], t2);
                b.channel_affine(cx.output, cx.n, &[(t0, dy), (t1, normalised)], Some(t2), *accumulate, dx);
            }
            BatchNorm::Running => b.channel_affine(cx.output, cx.n, &[(t0, dy)], None, *accumulate, dx),
        }
    }

    fn tangent(
        &self,
        cx: &Context<'_, B>,
        at: &Point<'_, B>,
        saved: &mut Saved<B>,
        dot: &Direction<'_, B>,
        y_dot: &mut B::Buffer,
    ) {
        let (b, normalised) = (cx.backend, &saved.buffers[0]);
        let Wides { s, gamma, gamma_dot, beta, p, m, t0, t1, t2, .. } = Wides::of(&mut saved.wides);
        b.widen(at.w[0], gamma);
        b.widen(dot.w[0], gamma_dot);
        b.widen(dot.w[1], beta);
        match (cx.pass.batch_norm, dot.x[0]) {
            (BatchNorm::Batch, Some(x_dot)) => {
                mean(cx, x_dot, None, t0, p);
                mean(cx, x_dot, Some(normalised), t0, m);
            }
            _ => {
                b.clear(p);
                b.clear(m);
            }
        }
        b.polynomial(&[(1.0, &[gamma, s])], t0);
        b.polynomial(&[(1.0, &[gamma_dot]), (-1.0, &[gamma, s, m])], t1);
        b.polynomial(&[(1.0, &[beta]), (-1.0, &[gamma, s, p])], t2);
        let (t0, t1, t2) = (&*t0, &*t1, &*t2);
        let input = dot.x[0].map(|x_dot| (t0, x_dot));
        let terms: Vec<_> = std::iter::once((t1, normalised)).chain(input).collect();
        b.channel_affine(cx.output, cx.n, &terms, Some(t2), Accumulate::Set, y_dot);
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
        let (b, normalised, batch) = (cx.backend, &saved.buffers[0], cx.pass.batch_norm == BatchNorm::Batch);
        let w = Wides::of(&mut saved.wides);
        let Wides { s, gamma, gamma_dot, a, c, p, m, e, f, q, t0, t1, t2, beta: c_dot, .. } = w;
        b.widen(at.w[0], gamma);
        b.widen(dot.w[0], gamma_dot);
        for (x, y, out) in [(dy, None, &mut *a), (dy, Some(normalised), &mut *c)] {
            mean(cx, x, y, t0, out);
        }
        for (x, y, out) in [(dy_dot, None, &mut *e), (dy_dot, Some(normalised), &mut *f)] {
            mean(cx, x, y, t0, out);
        }
        match dot.x[0] {
            Some(x_dot) => mean(cx, dy, Some(x_dot), t0, q),
            None => b.clear(q),
        }
        b.polynomial(&[(1.0, &[f]), (1.0, &[s, q]), (-1.0, &[s, m, c]), (-1.0, &[s, p, a])], c_dot);
        self.parameter_gradients(cx, (c_dot, e), t0, out);
        let Some((dx, accumulate)) = &mut out.x[0] else { return };
        // k̇ ȳ + k dȳ, the part that both modes share: running statistics have m = 0.
        b.polynomial(&[(1.0, &[gamma_dot, s]), (-1.0, &[gamma, s, s, m])], t0);
        b.polynomial(&[(1.0, &[gamma, s])], t1);
        b.channel_affine(cx.output, cx.n, &[(t0, dy), (t1, dy_dot)], None, *accumulate, dx);
        if !batch {
            return;
        }
        let (k_dot, k) = (&*t0, &*t1);
        let pull = [(-1.0, &[k_dot, &*c][..]), (-1.0, &[k, &*c_dot]), (1.0, &[k, &*c, &*s, &*m])];
        b.polynomial(&pull, t2);
        b.polynomial(&[(-1.0, &[k_dot, a]), (-1.0, &[k, e]), (1.0, &[k, c, s, p])], f);
        b.polynomial(&[(-1.0, &[k, c, s])], q);
        let (t2, q) = (&*t2, &*q);
        let input = dot.x[0].map(|x_dot| (q, x_dot));
        let terms: Vec<_> = std::iter::once((t2, normalised)).chain(input).collect();
        b.channel_affine(cx.output, cx.n, &terms, Some(f), Accumulate::Add, dx);
    }

    /// `running = (1 - momentum) running + momentum · batch`, with the unbiased variance, as PyTorch does.
    fn update_state(&self, cx: &Context<'_, B>, saved: &mut Saved<B>, state: &mut Slots<'_, B::Buffer>) {
        let Wides { mean, variance, t0, t1, .. } = Wides::of(&mut saved.wides);
        let unbiased = count(cx) / (count(cx) - 1.0).max(1.0);
        for (slot, (statistic, factor)) in [(mean, 1.0), (variance, unbiased)].into_iter().enumerate() {
            let running = state.at(slot);
            cx.backend.widen(View::new(running.buffer, running.start, running.len), t0);
            cx.backend.polynomial(&[(1.0 - MOMENTUM, &[t0]), (MOMENTUM * factor, &[statistic])], t1);
            cx.backend.narrow(t1, Accumulate::Set, running);
        }
    }
}

impl BatchNorm2d {
    /// `γ̄ (+)= N mean.0`, `β̄ (+)= N mean.1`.
    fn parameter_gradients<B: Backend>(
        &self,
        cx: &Context<'_, B>,
        means: (&B::Wide, &B::Wide),
        scratch: &mut B::Wide,
        out: &mut Gradients<'_, B>,
    ) {
        for (slot, mean) in [means.0, means.1].into_iter().enumerate() {
            cx.backend.polynomial(&[(count(cx), &[mean])], scratch);
            cx.backend.narrow(scratch, out.accumulate, out.w.at(slot));
        }
    }
}
