//! One number added to every element: `y = x + b` (Fixup; Zhang, Dauphin, Ma 2019).
//!
//! `ẏ = ẋ + ḃ`, `x̄ = ȳ`, `b̄ = Σ ȳ`; linear, so that the gradient's tangent is the gradient of `dȳ`.

use super::shapes::{only, whole};
use crate::backend::{Accumulate, Channels, Shape, Vectors, View, ViewMut};
use crate::op::{Context, Direction, Gradients, Init, Op, Point, Saved, SavedSizes, TapeKind, TensorSpec};

/// A scalar bias that begins at zero.
#[derive(Clone, Debug)]
pub struct ScalarBias;

impl ScalarBias {
    /// `y = x + b`; a missing `x` is zero.
    fn shift<B: Channels + Vectors>(
        cx: &Context<'_, B>,
        saved: &mut Saved<B>,
        x: Option<&B::Buffer>,
        b: View<'_, B::Buffer>,
        y: &mut B::Buffer,
    ) {
        let [one, bias] = saved.wides.as_mut_slice() else { return };
        cx.backend.polynomial(&[(1.0, &[])], one);
        cx.backend.widen(b, bias);
        let term = x.map(|x| (&*one, x));
        cx.backend.channel_affine(whole(cx.output), cx.n, term.as_slice(), Some(bias), Accumulate::Set, y);
    }
}

impl<B: Channels + Vectors> Op<B> for ScalarBias {
    fn kind(&self) -> &'static str {
        "scalar_bias"
    }

    fn output(&self, inputs: &[Shape]) -> Result<Shape, String> {
        only(inputs)
    }

    fn parameters(&self) -> Vec<TensorSpec> {
        vec![TensorSpec::new("", vec![1], Init::Constant(0.0))]
    }

    fn saved(&self, _: &B, _: usize, _: &[Shape], _: TapeKind) -> SavedSizes {
        SavedSizes::wides(2, 1)
    }

    fn value(&self, cx: &Context<'_, B>, at: &Point<'_, B>, saved: &mut Saved<B>, y: &mut B::Buffer) {
        Self::shift(cx, saved, Some(at.x[0]), at.w[0], y);
    }

    fn gradient(
        &self,
        cx: &Context<'_, B>,
        _: &Point<'_, B>,
        saved: &mut Saved<B>,
        dy: &B::Buffer,
        out: &mut Gradients<'_, B>,
    ) {
        let len = cx.n * cx.output.elements();
        if let Some((dx, accumulate)) = &mut out.x[0] {
            cx.backend.linear_combination(
                &[(1.0, View::new(dy, 0, len))],
                *accumulate,
                ViewMut::new(dx, 0, len),
            );
        }
        cx.backend.channel_sum(whole(cx.output), cx.n, dy, &mut saved.wides[1]);
        cx.backend.narrow(&saved.wides[1], out.accumulate, out.w.at(0));
    }

    fn tangent(
        &self,
        cx: &Context<'_, B>,
        _: &Point<'_, B>,
        saved: &mut Saved<B>,
        dot: &Direction<'_, B>,
        y_dot: &mut B::Buffer,
    ) {
        Self::shift(cx, saved, dot.x[0], dot.w[0], y_dot);
    }
}
