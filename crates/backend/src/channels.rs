//! Sums over channels, and affine maps of them.

use crate::{Accumulate, Device, Shape};

/// Sums over channels, and affine maps of them. See the [crate] for what all kernels promise.
pub trait Channels: Device {
    /// `out[c] = Σ x` over the examples and pixels of each channel. A `shape` of one channel of all elements sums everything.
    fn channel_sum(&self, shape: Shape, n: usize, x: &Self::Buffer, out: &mut Self::Wide);

    /// `out[c] = Σ x y` over the examples and pixels of each channel.
    fn channel_dot(&self, shape: Shape, n: usize, x: &Self::Buffer, y: &Self::Buffer, out: &mut Self::Wide);

    /// `y (+)= Σ_k a_k[c] x_k + b[c]`.
    fn channel_affine(
        &self,
        shape: Shape,
        n: usize,
        terms: &[(&Self::Wide, &Self::Buffer)],
        bias: Option<&Self::Wide>,
        accumulate: Accumulate,
        y: &mut Self::Buffer,
    );
}
