//! One op, one file, four rules.

mod add;
mod average_pool;
mod batch_norm;
mod bilinear;
mod conv2d;
mod dropout;
mod elementwise;
mod fixup_convolution;
mod flatten;
mod linear;
mod max_pool;
mod scalar_bias;
mod scalar_scale;
mod subsample;

pub use add::Add;
pub use average_pool::AveragePool;
pub use batch_norm::BatchNorm2d;
pub use conv2d::Convolution;
pub use dropout::DropoutOp;
pub use elementwise::Elementwise;
pub use fixup_convolution::FixupConvolution;
pub use flatten::Flatten;
pub use linear::Linear;
pub use max_pool::MaxPool;
pub use scalar_bias::ScalarBias;
pub use scalar_scale::ScalarScale;
pub use subsample::Subsample;

use crate::backend::Shape;

/// The only input of an op that takes one.
fn only(inputs: &[Shape]) -> Result<Shape, String> {
    match inputs {
        [shape] => Ok(*shape),
        _ => Err(format!("takes one input, got {}", inputs.len())),
    }
}

/// The only input of an op that takes one image.
fn image(inputs: &[Shape]) -> Result<Shape, String> {
    let shape = only(inputs)?;
    if shape.rank() == 3 { Ok(shape) } else { Err(format!("expects channels x height x width, got {shape}")) }
}

/// The whole of an activation as one channel, for sums over everything and scalar coefficients.
fn whole(shape: Shape) -> Shape {
    Shape::new(1, 1, shape.elements())
}
