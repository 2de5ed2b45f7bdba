//! Every second pixel, then channels of zeros: the shortcut of a widening Fixup block (Zhang, Dauphin, Ma 2019). Linear.

use super::shapes::image;
use crate::backend::{Pooling, Shape};
use crate::op::{Context, Direction, Gradients, Homogeneity, Op, Point, Saved};

/// Stride-2 subsampling that appends channels of zeros.
#[derive(Clone, Debug)]
pub struct Subsample {
    /// Channels of the output; at least those of the input.
    pub channels_out: usize,
}

impl<B: Pooling> Op<B> for Subsample {
    fn kind(&self) -> &'static str {
        "subsample"
    }

    fn homogeneity(&self) -> Homogeneity {
        Homogeneity::Input
    }

    fn output(&self, inputs: &[Shape]) -> Result<Shape, String> {
        let input = image(inputs)?;
        if self.channels_out < input.channels() {
            return Err(format!("cannot bring {} channels down to {}", input.channels(), self.channels_out));
        }
        Ok(Shape::new(self.channels_out, input.height().div_ceil(2), input.width().div_ceil(2)))
    }

    fn value(&self, cx: &Context<'_, B>, at: &Point<'_, B>, _: &mut Saved<B>, y: &mut B::Buffer) {
        cx.backend.subsample(cx.inputs[0], self.channels_out, cx.n, at.x[0], y);
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
            cx.backend.subsample_adjoint(cx.inputs[0], self.channels_out, cx.n, dy, *accumulate, dx);
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
            cx.backend.subsample(cx.inputs[0], self.channels_out, cx.n, x_dot, y_dot);
        }
    }
}
