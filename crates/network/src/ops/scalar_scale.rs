//! Every element times one number: `y = s x` (Fixup; Zhang, Dauphin, Ma 2019).
//!
//! `ẏ = s ẋ + ṡ x`, `x̄ = s ȳ`, `s̄ = Σ x ȳ`, `d x̄ = ṡ ȳ + s dȳ`, `d s̄ = Σ (ẋ ȳ + x dȳ)`.

use super::shapes::{only, whole};
use crate::backend::{Accumulate, Channels, Shape, Vectors};
use crate::op::{Context, Direction, Gradients, Init, Op, Point, Saved, SavedSizes, TapeKind, TensorSpec};

/// A scalar factor that begins at one.
#[derive(Clone, Debug)]
pub struct ScalarScale;

impl<B: Channels + Vectors> Op<B> for ScalarScale {
    fn kind(&self) -> &'static str {
        "scalar_scale"
    }

    fn output(&self, inputs: &[Shape]) -> Result<Shape, String> {
        only(inputs)
    }

    fn parameters(&self) -> Vec<TensorSpec> {
        vec![TensorSpec::new("", vec![1], Init::Constant(1.0))]
    }

    fn saved(&self, _: &B, _: usize, _: &[Shape], _: TapeKind) -> SavedSizes {
        SavedSizes::wides(3, 1)
    }

    fn value(&self, cx: &Context<'_, B>, at: &Point<'_, B>, saved: &mut Saved<B>, y: &mut B::Buffer) {
        let scale = &mut saved.wides[0];
        cx.backend.widen(at.w[0], scale);
        cx.backend.channel_affine(whole(cx.output), cx.n, &[(scale, at.x[0])], None, Accumulate::Set, y);
    }

    fn gradient(
        &self,
        cx: &Context<'_, B>,
        at: &Point<'_, B>,
        saved: &mut Saved<B>,
        dy: &B::Buffer,
        out: &mut Gradients<'_, B>,
    ) {
        let [scale, sum, _] = saved.wides.as_mut_slice() else { return };
        cx.backend.widen(at.w[0], scale);
        if let Some((dx, accumulate)) = &mut out.x[0] {
            cx.backend.channel_affine(whole(cx.output), cx.n, &[(scale, dy)], None, *accumulate, dx);
        }
        cx.backend.channel_dot(whole(cx.output), cx.n, at.x[0], dy, sum);
        cx.backend.narrow(sum, out.accumulate, out.w.at(0));
    }

    fn tangent(
        &self,
        cx: &Context<'_, B>,
        at: &Point<'_, B>,
        saved: &mut Saved<B>,
        dot: &Direction<'_, B>,
        y_dot: &mut B::Buffer,
    ) {
        let [scale, scale_dot, _] = saved.wides.as_mut_slice() else { return };
        cx.backend.widen(at.w[0], scale);
        cx.backend.widen(dot.w[0], scale_dot);
        let (scale, scale_dot) = (&*scale, &*scale_dot);
        let input = dot.x[0].map(|x_dot| (scale, x_dot));
        let terms: Vec<_> = std::iter::once((scale_dot, at.x[0])).chain(input).collect();
        cx.backend.channel_affine(whole(cx.output), cx.n, &terms, None, Accumulate::Set, y_dot);
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
        let [scale, scale_dot, sum] = saved.wides.as_mut_slice() else { return };
        let shape = whole(cx.output);
        cx.backend.widen(at.w[0], scale);
        cx.backend.widen(dot.w[0], scale_dot);
        if let Some((dx, accumulate)) = &mut out.x[0] {
            let terms = [(&*scale_dot, dy), (&*scale, dy_dot)];
            cx.backend.channel_affine(shape, cx.n, &terms, None, *accumulate, dx);
        }
        cx.backend.channel_dot(shape, cx.n, at.x[0], dy_dot, sum);
        cx.backend.narrow(sum, out.accumulate, out.w.at(0));
        if let Some(x_dot) = dot.x[0] {
            cx.backend.channel_dot(shape, cx.n, x_dot, dy, sum);
            cx.backend.narrow(sum, Accumulate::Add, out.w.at(0));
        }
    }
}
