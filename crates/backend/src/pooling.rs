//! Pooling without padding, and subsampling.

use crate::{Accumulate, Device, Shape};

/// The geometry of a pooling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pool2d {
    /// Height of the input in pixels.
    pub height: usize,
    /// Width of the input in pixels.
    pub width: usize,
    /// Height of the window; at most 16.
    pub kernel_height: usize,
    /// Width of the window; at most 16 for max pooling.
    pub kernel_width: usize,
    /// Distance between neighbouring windows.
    pub stride: usize,
}

impl Pool2d {
    /// Height and width of the output, or `None` where no window fits.
    pub fn output(&self) -> Option<(usize, usize)> {
        let size = |input: usize, kernel: usize| {
            Some(input.checked_sub(kernel)?.checked_div(self.stride)? + 1).filter(|_| kernel > 0)
        };
        Some((size(self.height, self.kernel_height)?, size(self.width, self.kernel_width)?))
    }

    /// Height and width of the output, and the pixels of an input plane.
    ///
    /// # Panics
    /// If no window fits.
    #[inline]
    pub fn sizes(&self) -> (usize, usize, usize) {
        let (h, w) = self.output().expect("the geometry of a pooling is checked at construction");
        (h, w, self.height * self.width)
    }

    /// The index in the plane of offset `k` of the window of output `(oy, ox)`.
    #[inline]
    pub const fn at(&self, (oy, ox): (usize, usize), k: usize) -> usize {
        let (ky, kx) = (k / self.kernel_width, k % self.kernel_width);
        (oy * self.stride + ky) * self.width + ox * self.stride + kx
    }

    /// Elements of a window.
    #[inline]
    pub const fn window(&self) -> usize {
        self.kernel_height * self.kernel_width
    }
}

/// Pooling without padding, and subsampling. See the [crate] for what all kernels promise.
pub trait Pooling: Device {
    /// `y` = the maxima of the windows of `planes` images, `choice` = which element of its window each is.
    fn max_pool(
        &self,
        pool: &Pool2d,
        planes: usize,
        x: &Self::Buffer,
        y: &mut Self::Buffer,
        choice: &mut Self::Bytes,
    );

    /// `y` = the elements of `x` that `choice` names.
    fn max_pool_gather(
        &self,
        pool: &Pool2d,
        planes: usize,
        x: &Self::Buffer,
        choice: &Self::Bytes,
        y: &mut Self::Buffer,
    );

    /// `x (+)=` the adjoint of [`Self::max_pool_gather`].
    fn max_pool_scatter(
        &self,
        pool: &Pool2d,
        planes: usize,
        y: &Self::Buffer,
        choice: &Self::Bytes,
        accumulate: Accumulate,
        x: &mut Self::Buffer,
    );

    /// `y` = the means of the windows.
    fn average_pool(&self, pool: &Pool2d, planes: usize, x: &Self::Buffer, y: &mut Self::Buffer);

    /// `x (+)=` the adjoint of [`Self::average_pool`].
    fn average_pool_adjoint(
        &self,
        pool: &Pool2d,
        planes: usize,
        y: &Self::Buffer,
        accumulate: Accumulate,
        x: &mut Self::Buffer,
    );

    /// `y: [channels_out, ⌈h/2⌉, ⌈w/2⌉]` = every second pixel of `x: shape`, then channels of zeros.
    fn subsample(&self, shape: Shape, channels_out: usize, n: usize, x: &Self::Buffer, y: &mut Self::Buffer);

    /// `x (+)=` the adjoint of [`Self::subsample`].
    fn subsample_adjoint(
        &self,
        shape: Shape,
        channels_out: usize,
        n: usize,
        y: &Self::Buffer,
        accumulate: Accumulate,
        x: &mut Self::Buffer,
    );
}
