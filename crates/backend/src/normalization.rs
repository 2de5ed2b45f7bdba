//! Batch norm with an epilogue.

use crate::{Accumulate, Device, Epilogue, OperandSizes, Shape, View};

/// A batch norm of inputs of this shape, and what follows it in the same pass.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BatchNormLayer {
    /// The shape of the input.
    pub input: Shape,
    /// What follows.
    pub epilogue: Epilogue,
    /// Added to the variance.
    pub epsilon: f64,
    /// Whether the statistics are those of the batch; else they are given, and constant.
    pub of_batch: bool,
}

/// Where the rules of a [`BatchNormLayer`] are evaluated: what [`Normalization::batch_norm_value`] read and wrote.
#[derive(Debug)]
pub struct BatchNormPoint<'a, T, W, C> {
    /// The input.
    pub x: &'a T,
    /// The factor of each channel.
    pub gamma: View<'a, T>,
    /// The mean and the variance of each channel.
    pub statistics: (&'a W, &'a W),
    /// What the epilogue chose.
    pub choice: &'a C,
}

// Derived impls would ask for `T: Copy`.
impl<T, W, C> Clone for BatchNormPoint<'_, T, W, C> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T, W, C> Copy for BatchNormPoint<'_, T, W, C> {}

/// A [`BatchNormPoint`] of a device's buffers.
pub type PointOf<'a, B> =
    BatchNormPoint<'a, <B as Device>::Buffer, <B as Device>::Wide, <B as Device>::Bytes>;

/// Where the gradient of an input goes and whether it is added there; `None` if it is not needed.
pub type Target<'a, T> = Option<(&'a mut T, Accumulate)>;

/// Batch norm with an epilogue. See the [crate] for what all kernels promise.
pub trait Normalization: Device {
    /// The bytes of choices and of scratch of a batch norm for `n` examples; its operands are prepared by nobody.
    fn batch_norm_sizes(&self, layer: &BatchNormLayer, n: usize) -> OperandSizes;

    /// `y` = the epilogue of the normalised input, with `affine = (γ, β)`, and `choice` = what it chose. Statistics of the batch
    /// overwrite `statistics` (mean and variance); others are read there.
    #[expect(clippy::too_many_arguments, reason = "a closed kernel names all its operands")]
    fn batch_norm_value(
        &self,
        layer: &BatchNormLayer,
        n: usize,
        x: &Self::Buffer,
        affine: (View<'_, Self::Buffer>, View<'_, Self::Buffer>),
        statistics: (&mut Self::Wide, &mut Self::Wide),
        choice: &mut Self::Bytes,
        y: &mut Self::Buffer,
    );

    /// `sums = (β̄, γ̄)` and `dx (+)=` the gradient of the input, from the gradient `dy` after the epilogue.
    fn batch_norm_gradient(
        &self,
        layer: &BatchNormLayer,
        n: usize,
        at: PointOf<'_, Self>,
        dy: &Self::Buffer,
        sums: (&mut Self::Wide, &mut Self::Wide),
        dx: Target<'_, Self::Buffer>,
    );

    /// `y_dot` = the tangent after the epilogue, with `dot = (γ̇, β̇)`, and `means` = what [`Self::batch_norm_gradient_tangent`]
    /// needs of it.
    #[expect(clippy::too_many_arguments, reason = "a closed kernel names all its operands")]
    fn batch_norm_tangent(
        &self,
        layer: &BatchNormLayer,
        n: usize,
        at: PointOf<'_, Self>,
        x_dot: Option<&Self::Buffer>,
        dot: (View<'_, Self::Buffer>, View<'_, Self::Buffer>),
        means: (&mut Self::Wide, &mut Self::Wide),
        y_dot: &mut Self::Buffer,
    );

    /// `sums` = the derivatives of `β̄` and `γ̄`, and `dx (+)=` that of the input's gradient, along `dot = (ẋ, γ̇)` and `dȳ`, with
    /// `adjoint = (ȳ, dȳ)` and `known` = the sums of the gradient and the means of the tangent.
    #[expect(clippy::too_many_arguments, reason = "a closed kernel names all its operands")]
    fn batch_norm_gradient_tangent(
        &self,
        layer: &BatchNormLayer,
        n: usize,
        at: PointOf<'_, Self>,
        known: [(&Self::Wide, &Self::Wide); 2],
        adjoint: (&Self::Buffer, &Self::Buffer),
        dot: (Option<&Self::Buffer>, View<'_, Self::Buffer>),
        sums: (&mut Self::Wide, &mut Self::Wide),
        dx: Target<'_, Self::Buffer>,
    );
}
