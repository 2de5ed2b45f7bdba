//! Activation functions: `f`, `f'` and `f''` give all four rules.
//!
//! `x̄ = f'(x) ȳ`, `ẏ = f'(x) ẋ`, `d x̄ = f'(x) dȳ + f''(x) ẋ ȳ`.

use super::shapes::only;
use crate::backend::{self, Accumulate, Activation, Shape};
use crate::op::{Context, Direction, Gradients, Homogeneity, Op, Point, Saved};

/// A nonlinearity applied to every element.
#[derive(Clone, Debug)]
pub struct Elementwise(pub Activation);

impl<B: backend::Elementwise> Op<B> for Elementwise {
    fn kind(&self) -> &'static str {
        self.0.name()
    }

    fn homogeneity(&self) -> Homogeneity {
        if self.0.is_homogeneous() { Homogeneity::Input } else { Homogeneity::None }
    }

    fn output(&self, inputs: &[Shape]) -> Result<Shape, String> {
        only(inputs)
    }

    fn value(&self, cx: &Context<'_, B>, at: &Point<'_, B>, _: &mut Saved<B>, y: &mut B::Buffer) {
        cx.backend.activation(self.0, cx.n * cx.output.elements(), at.x[0], y);
    }

    fn gradient(
        &self,
        cx: &Context<'_, B>,
        at: &Point<'_, B>,
        _: &mut Saved<B>,
        dy: &B::Buffer,
        out: &mut Gradients<'_, B>,
    ) {
        if let Some((dx, accumulate)) = &mut out.x[0] {
            cx.backend.activation_first(self.0, cx.n * cx.output.elements(), at.x[0], dy, *accumulate, dx);
        }
    }

    fn tangent(
        &self,
        cx: &Context<'_, B>,
        at: &Point<'_, B>,
        _: &mut Saved<B>,
        dot: &Direction<'_, B>,
        y_dot: &mut B::Buffer,
    ) {
        if let Some(x_dot) = dot.x[0] {
            let len = cx.n * cx.output.elements();
            cx.backend.activation_first(self.0, len, at.x[0], x_dot, Accumulate::Set, y_dot);
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
        let Some(x_dot) = dot.x[0] else {
            return self.gradient(cx, at, saved, dy_dot, out);
        };
        if let Some((dx, accumulate)) = &mut out.x[0] {
            let len = cx.n * cx.output.elements();
            cx.backend.activation_second(self.0, len, at.x[0], dy_dot, (x_dot, dy), *accumulate, dx);
        }
    }
}
