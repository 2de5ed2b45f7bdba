//! The sum of two activations: `y = a + b`. Linear.

use crate::backend::{Accumulate, Shape, Vectors, View, ViewMut};
use crate::op::{Context, Direction, Gradients, Op, Point, Saved};

/// `y = a + b`.
#[derive(Clone, Debug)]
pub struct Add;

impl<B: Vectors> Op<B> for Add {
    fn kind(&self) -> &'static str {
        "add"
    }

    fn output(&self, inputs: &[Shape]) -> Result<Shape, String> {
        match inputs {
            [a, b] if a == b => Ok(*a),
            [a, b] => Err(format!("adds equal shapes, got {a} and {b}")),
            _ => Err(format!("takes two inputs, got {}", inputs.len())),
        }
    }

    fn value(&self, cx: &Context<'_, B>, at: &Point<'_, B>, _: &mut Saved<B>, y: &mut B::Buffer) {
        let len = cx.n * cx.output.elements();
        let terms: Vec<_> = at.x.iter().map(|x| (1.0, View::new(*x, 0, len))).collect();
        cx.backend.linear_combination(&terms, Accumulate::Set, ViewMut::new(y, 0, len));
    }

    fn gradient(
        &self,
        cx: &Context<'_, B>,
        _: &Point<'_, B>,
        _: &mut Saved<B>,
        dy: &B::Buffer,
        out: &mut Gradients<'_, B>,
    ) {
        let len = cx.n * cx.output.elements();
        for (dx, accumulate) in out.x.iter_mut().flatten() {
            cx.backend.linear_combination(
                &[(1.0, View::new(dy, 0, len))],
                *accumulate,
                ViewMut::new(dx, 0, len),
            );
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
        let len = cx.n * cx.output.elements();
        let terms: Vec<_> = dot.x.iter().flatten().map(|x| (1.0, View::new(*x, 0, len))).collect();
        cx.backend.linear_combination(&terms, Accumulate::Set, ViewMut::new(y_dot, 0, len));
    }
}
