//! Max pooling without padding. Linear wherever no two elements of a window tie: tangents and gradients follow the choice.

use super::shapes::image;
use crate::backend::{Pool2d, Pooling, Shape};
use crate::op::{Context, Direction, Gradients, Homogeneity, Op, Point, Saved, SavedSizes, TapeKind};

/// The maximum of each `kernel x kernel` window.
#[derive(Clone, Debug)]
pub struct MaxPool {
    /// Height and width of the window; at most 16.
    pub kernel: usize,
    /// Distance between neighbouring windows.
    pub stride: usize,
}

impl MaxPool {
    const fn geometry(&self, input: Shape) -> Pool2d {
        Pool2d {
            height: input.height(),
            width: input.width(),
            kernel_height: self.kernel,
            kernel_width: self.kernel,
            stride: self.stride,
        }
    }

    fn shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        let input = image(inputs)?;
        if self.kernel > 16 {
            return Err(format!("a max-pooling window is at most 16x16, got {0}x{0}", self.kernel));
        }
        let (height, width) = self
            .geometry(input)
            .output()
            .ok_or_else(|| format!("a {0}x{0} window does not fit an image of {input}", self.kernel))?;
        Ok(Shape::new(input.channels(), height, width))
    }
}

impl<B: Pooling> Op<B> for MaxPool {
    fn kind(&self) -> &'static str {
        "max_pool"
    }

    fn homogeneity(&self) -> Homogeneity {
        Homogeneity::Input
    }

    fn output(&self, inputs: &[Shape]) -> Result<Shape, String> {
        self.shape(inputs)
    }

    fn saved(&self, _: &B, capacity: usize, inputs: &[Shape], _: TapeKind) -> SavedSizes {
        let elements = self.shape(inputs).map_or(0, |shape| shape.elements());
        SavedSizes { bytes: vec![capacity * elements], ..SavedSizes::default() }
    }

    fn value(&self, cx: &Context<'_, B>, at: &Point<'_, B>, saved: &mut Saved<B>, y: &mut B::Buffer) {
        let planes = cx.n * cx.output.channels();
        cx.backend.max_pool(&self.geometry(cx.inputs[0]), planes, at.x[0], y, &mut saved.bytes[0]);
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
            let (geometry, planes) = (self.geometry(cx.inputs[0]), cx.n * cx.output.channels());
            cx.backend.max_pool_scatter(&geometry, planes, dy, &saved.bytes[0], *accumulate, dx);
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
            let (geometry, planes) = (self.geometry(cx.inputs[0]), cx.n * cx.output.channels());
            cx.backend.max_pool_gather(&geometry, planes, x_dot, &saved.bytes[0], y_dot);
        }
    }
}
