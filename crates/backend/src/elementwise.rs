//! Activation functions and their derivatives.

use crate::{Accumulate, Activation, Device};

/// Activation functions and their derivatives. See the [crate] for what all kernels promise.
pub trait Elementwise: Device {
    /// `y = f(x)`, over `len` elements.
    fn activation(&self, kind: Activation, len: usize, x: &Self::Buffer, y: &mut Self::Buffer);

    /// `y (+)= f'(x) ⊙ v`.
    fn activation_first(
        &self,
        kind: Activation,
        len: usize,
        x: &Self::Buffer,
        v: &Self::Buffer,
        accumulate: Accumulate,
        y: &mut Self::Buffer,
    );

    /// `y (+)= f'(x) ⊙ v + f''(x) ⊙ a ⊙ b`, with `curved = (a, b)`.
    #[expect(clippy::too_many_arguments, reason = "a closed kernel names all its operands")]
    fn activation_second(
        &self,
        kind: Activation,
        len: usize,
        x: &Self::Buffer,
        v: &Self::Buffer,
        curved: (&Self::Buffer, &Self::Buffer),
        accumulate: Accumulate,
        y: &mut Self::Buffer,
    );
}
