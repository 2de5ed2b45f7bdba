//! Dropout (Srivastava et al. 2014): `y = m ⊙ x`, where `m` is 0 with probability `p` and `1 / (1 - p)` otherwise. Linear.

use super::shapes::only;
use crate::backend::{self, Accumulate, MaskKey, Shape, Vectors, View, ViewMut};
use crate::op::{Context, Direction, Gradients, Homogeneity, Op, Point, Saved, SavedSizes, TapeKind};

/// Dropout with a mask from the counter-based stream of the [`Pass`](crate::op::Pass); the identity where that has none.
#[derive(Clone, Debug)]
pub struct DropoutOp {
    /// The probability that an element is dropped.
    pub probability: f64,
    /// The number of this dropout layer in the network: part of the stream's counter.
    pub layer: u32,
}

impl DropoutOp {
    /// `y (+)= m ⊙ x`, or `x` where dropout is off.
    fn apply<B: Vectors>(
        &self,
        cx: &Context<'_, B>,
        saved: &Saved<B>,
        x: &B::Buffer,
        accumulate: Accumulate,
        y: &mut B::Buffer,
    ) {
        let len = cx.n * cx.output.elements();
        let (x, y) = (View::new(x, 0, len), ViewMut::new(y, 0, len));
        if cx.pass.dropout.is_some() && self.probability > 0.0 {
            cx.backend.multiply(View::new(&saved.buffers[0], 0, len), x, accumulate, y);
        } else {
            cx.backend.linear_combination(&[(1.0, x)], accumulate, y);
        }
    }
}

impl<B: backend::Dropout + Vectors> Op<B> for DropoutOp {
    fn kind(&self) -> &'static str {
        "dropout"
    }

    fn homogeneity(&self) -> Homogeneity {
        Homogeneity::Input
    }

    fn output(&self, inputs: &[Shape]) -> Result<Shape, String> {
        only(inputs)
    }

    fn saved(&self, _: &B, capacity: usize, inputs: &[Shape], _: TapeKind) -> SavedSizes {
        SavedSizes { buffers: vec![capacity * inputs[0].elements()], ..SavedSizes::default() }
    }

    fn value(&self, cx: &Context<'_, B>, at: &Point<'_, B>, saved: &mut Saved<B>, y: &mut B::Buffer) {
        if let Some(dropout) = cx.pass.dropout {
            let key = MaskKey { seed: dropout.seed, step: dropout.step, layer: self.layer };
            let mask = &mut saved.buffers[0];
            cx.backend.dropout_mask(self.probability, key, cx.output, cx.n, cx.examples, mask);
        }
        self.apply(cx, saved, at.x[0], Accumulate::Set, y);
    }

    fn gradient(
        &self,
        cx: &Context<'_, B>,
        _: &Point<'_, B>,
        saved: &mut Saved<B>,
        dy: &B::Buffer,
        out: &mut Gradients<'_, B>,
    ) {
        if let Some((dx, accumulate)) = &mut out.x[0] {
            self.apply(cx, saved, dy, *accumulate, dx);
        }
    }

    fn tangent(
        &self,
        cx: &Context<'_, B>,
        _: &Point<'_, B>,
        saved: &mut Saved<B>,
        dot: &Direction<'_, B>,
        y_dot: &mut B::Buffer,
    ) {
        if let Some(x_dot) = dot.x[0] {
            self.apply(cx, saved, x_dot, Accumulate::Set, y_dot);
        }
    }
}
