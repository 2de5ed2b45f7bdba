//! Between the host's order of an activation's elements, the device's, and that of flat features.

use crate::{Accumulate, Device, Shape};

/// Images as bytes, and what makes numbers of them: `(scale · byte - mean) / deviation`.
#[derive(Clone, Copy, Debug)]
pub struct Pixels<'a> {
    /// The bytes of all images, `[images, channels, inner]`.
    pub bytes: &'a [u8],
    /// What a byte is multiplied with.
    pub scale: f64,
    /// The means, `[channels, inner]`.
    pub mean: &'a [f64],
    /// The divisors, `[channels, inner]`.
    pub deviation: &'a [f64],
}

/// Between the host's order of an activation's elements, the device's, and that of flat features. See the [crate] for
/// what all kernels promise.
pub trait Layout: Device {
    /// Overwrites the first `n` examples of an activation with `x: [n, c, h, w]`.
    fn upload_images(&self, shape: Shape, n: usize, x: &[f64], to: &mut Self::Buffer);

    /// Overwrites the first examples of an activation with the images with the given numbers.
    fn upload_pixels(&self, shape: Shape, pixels: &Pixels<'_>, numbers: &[u32], to: &mut Self::Buffer);

    /// The first `n` examples of an activation as `[n, c, h, w]`.
    fn download_activations(&self, shape: Shape, n: usize, x: &Self::Buffer) -> Vec<f64>;

    /// `y: [c h w, 1, 1]` = the features of `x: shape` in PyTorch's order.
    fn flatten(&self, shape: Shape, n: usize, x: &Self::Buffer, y: &mut Self::Buffer);

    /// `x (+)=` the adjoint of [`Self::flatten`].
    fn unflatten(
        &self,
        shape: Shape,
        n: usize,
        y: &Self::Buffer,
        accumulate: Accumulate,
        x: &mut Self::Buffer,
    );
}
