//! Average pooling without padding, over windows or over the whole image. Linear.

use super::only;
use crate::backend::{Backend, Pool2d, Shape};
use crate::op::{Context, Direction, Gradients, Op, Point, Saved};

/// The mean of each `kernel x kernel` window.
#[derive(Clone, Debug)]
pub struct AveragePool {
    /// Height and width of the window.
    pub kernel: usize,
    /// Distance between neighbouring windows.
    pub stride: usize,
}

/// The mean of each channel's image.
#[derive(Clone, Debug)]
pub struct GlobalAveragePool;

/// What differs between the two: the window.
trait Window {
    const KIND: &'static str;
    fn geometry(&self, input: Shape) -> Pool2d;
}

impl Window for AveragePool {
    const KIND: &'static str = "average_pool";
    fn geometry(&self, input: Shape) -> Pool2d {
        let (kernel, stride) = (self.kernel, self.stride);
        Pool2d {
            height: input.height,
            width: input.width,
            kernel_height: kernel,
            kernel_width: kernel,
            stride,
        }
    }
}

impl Window for GlobalAveragePool {
    const KIND: &'static str = "global_average_pool";
    fn geometry(&self, input: Shape) -> Pool2d {
        let (height, width) = (input.height, input.width);
        Pool2d { height, width, kernel_height: height, kernel_width: width, stride: 1 }
    }
}

impl<B: Backend, W: Window + std::fmt::Debug + Send> Op<B> for W {
    fn kind(&self) -> &'static str {
        W::KIND
    }

    fn output(&self, inputs: &[Shape]) -> Result<Shape, String> {
        let input = only(inputs)?;
        let (height, width) = self
            .geometry(input)
            .output()
            .ok_or_else(|| format!("the window does not fit an image of {input}"))?;
        Ok(Shape::new(input.channels, height, width))
    }

    fn value(&self, cx: &Context<'_, B>, at: &Point<'_, B>, _: &mut Saved<B>, y: &mut B::Buffer) {
        cx.backend.average_pool(&self.geometry(cx.inputs[0]), cx.n * cx.output.channels, at.x[0], y);
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
            let (geometry, planes) = (self.geometry(cx.inputs[0]), cx.n * cx.output.channels);
            cx.backend.average_pool_adjoint(&geometry, planes, dy, *accumulate, dx);
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
            let (geometry, planes) = (self.geometry(cx.inputs[0]), cx.n * cx.output.channels);
            cx.backend.average_pool(&geometry, planes, x_dot, y_dot);
        }
    }
}
