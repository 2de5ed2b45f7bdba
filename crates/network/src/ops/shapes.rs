//! What ops ask of the shapes of their inputs.

use crate::backend::Shape;

/// The only input of an op that takes one.
pub(super) fn only(inputs: &[Shape]) -> Result<Shape, String> {
    match inputs {
        [shape] => Ok(*shape),
        _ => Err(format!("takes one input, got {}", inputs.len())),
    }
}

/// The only input of an op that takes one image.
pub(super) fn image(inputs: &[Shape]) -> Result<Shape, String> {
    let shape = only(inputs)?;
    if shape.rank() == 3 { Ok(shape) } else { Err(format!("expects channels x height x width, got {shape}")) }
}

/// The whole of an activation as one channel, for sums over everything and scalar coefficients.
pub(super) fn whole(shape: Shape) -> Shape {
    Shape::new(1, 1, shape.elements())
}
