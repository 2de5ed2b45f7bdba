//! Average pooling without padding, over windows or over the whole image. Linear.

use super::shapes::image;
use crate::backend::{Pool2d, Pooling, Shape};
use crate::op::{Context, Direction, Gradients, Homogeneity, Op, Point, Saved};

/// The mean of each window of a channel's image.
#[derive(Clone, Debug)]
pub enum AveragePool {
    /// Windows of `kernel x kernel` pixels that begin `stride` pixels apart.
    Windows {
        /// Height and width of the window.
        kernel: usize,
        /// Distance between neighbouring windows.
        stride: usize,
    },
    /// One window: the whole image.
    Global,
}

impl AveragePool {
    const fn geometry(&self, input: Shape) -> Pool2d {
        let (height, width) = (input.height(), input.width());
        let (kernel_height, kernel_width, stride) = match *self {
            Self::Windows { kernel, stride } => (kernel, kernel, stride),
            Self::Global => (height, width, 1),
        };
        Pool2d { height, width, kernel_height, kernel_width, stride }
    }
}

impl<B: Pooling> Op<B> for AveragePool {
    fn kind(&self) -> &'static str {
        match self {
            Self::Windows { .. } => "average_pool",
            Self::Global => "global_average_pool",
        }
    }

    fn homogeneity(&self) -> Homogeneity {
        Homogeneity::Input
    }

    fn output(&self, inputs: &[Shape]) -> Result<Shape, String> {
        let input = image(inputs)?;
        let (height, width) = self
            .geometry(input)
            .output()
            .ok_or_else(|| format!("the window does not fit an image of {input}"))?;
        Ok(Shape::new(input.channels(), height, width))
    }

    fn value(&self, cx: &Context<'_, B>, at: &Point<'_, B>, _: &mut Saved<B>, y: &mut B::Buffer) {
        cx.backend.average_pool(&self.geometry(cx.inputs[0]), cx.n * cx.output.channels(), at.x[0], y);
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
            let (geometry, planes) = (self.geometry(cx.inputs[0]), cx.n * cx.output.channels());
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
            let (geometry, planes) = (self.geometry(cx.inputs[0]), cx.n * cx.output.channels());
            cx.backend.average_pool(&geometry, planes, x_dot, y_dot);
        }
    }
}
