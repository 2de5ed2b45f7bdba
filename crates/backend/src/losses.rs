//! Losses of a batch of outputs against labels.

use serde::{Deserialize, Serialize};

use crate::Device;

/// Which loss.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Loss {
    /// Softmax cross-entropy.
    #[default]
    #[serde(rename = "cross-entropy")]
    SoftmaxCrossEntropy,
    /// Half the squared distance to the one-hot target.
    SquaredError,
}

/// Losses of a batch of outputs against labels. See the [crate] for what all kernels promise.
pub trait Losses: Device {
    /// `sums[0] +=` the examples' losses, `sums[1] +=` the number of correct outputs.
    fn loss_value(
        &self,
        loss: Loss,
        classes: usize,
        n: usize,
        z: &Self::Buffer,
        labels: &Self::Integers,
        sums: &mut Self::Wide,
    );

    /// `dz = scale ·` the gradient of the sum of the losses, and `sums` as in [`Self::loss_value`].
    #[expect(clippy::too_many_arguments, reason = "a closed kernel names all its operands")]
    fn loss_gradient(
        &self,
        loss: Loss,
        classes: usize,
        n: usize,
        z: &Self::Buffer,
        labels: &Self::Integers,
        scale: f64,
        sums: &mut Self::Wide,
        dz: &mut Self::Buffer,
    );

    /// `out = scale · H v` with the Hessian of the sum of the losses in `z`.
    #[expect(clippy::too_many_arguments, reason = "a closed kernel names all its operands")]
    fn loss_hessian_product(
        &self,
        loss: Loss,
        classes: usize,
        n: usize,
        z: &Self::Buffer,
        labels: &Self::Integers,
        scale: f64,
        v: &Self::Buffer,
        out: &mut Self::Buffer,
    );

    /// `out = scale · r (rᵀ v)` for each example's column of `r` and `v`.
    fn rank_one_product(
        &self,
        classes: usize,
        n: usize,
        r: &Self::Buffer,
        scale: f64,
        v: &Self::Buffer,
        out: &mut Self::Buffer,
    );
}
