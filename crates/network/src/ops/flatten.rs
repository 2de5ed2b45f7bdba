//! An image as a vector of features, in PyTorch's order `(c, h, w)`. Linear.

use super::shapes::only;
use crate::backend::{Layout, Shape};
use crate::op::{Context, Direction, Gradients, Homogeneity, Op, Point, Saved};

/// `[c, h, w]` to `[c h w, 1, 1]`.
#[derive(Clone, Debug)]
pub struct Flatten;

impl<B: Layout> Op<B> for Flatten {
    fn kind(&self) -> &'static str {
        "flatten"
    }

    fn homogeneity(&self) -> Homogeneity {
        Homogeneity::Input
    }

    fn output(&self, inputs: &[Shape]) -> Result<Shape, String> {
        Ok(Shape::features(only(inputs)?.elements()))
    }

    fn value(&self, cx: &Context<'_, B>, at: &Point<'_, B>, _: &mut Saved<B>, y: &mut B::Buffer) {
        cx.backend.flatten(cx.inputs[0], cx.n, at.x[0], y);
    }

    fn gradient(
        &self,
        cx: &Context<'_, B>,
        _: &Point<'_, B>,
        _: &mut Saved<B>,
        dy: &B::Buffer,
        out: &mut Gradients<'_, B>,
    ) {
        if let Some((dx, accumulate)) = &mut out.x[0] {
            cx.backend.unflatten(cx.inputs[0], cx.n, dy, *accumulate, dx);
        }
    }

    fn tangent(
        &self,
        cx: &Context<'_, B>,
        _: &Point<'_, B>,
        _: &mut Saved<B>,
        dot: &Direction<'_, B>,
        y_dot: &mut B::Buffer,
    ) {
        if let Some(x_dot) = dot.x[0] {
            cx.backend.flatten(cx.inputs[0], cx.n, x_dot, y_dot);
        }
    }
}
