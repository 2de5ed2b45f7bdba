//! Images with a border of zeros.

use std::ops::Range;

use sharpness_backend::{Conv2d, Scalar};

/// Pixels of a full tile of results. Frames are so wide that all tiles of a row are full.
pub(super) const TILE: usize = 8;

/// The frame of one image, `[row][channel][pixel]`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frames {
    channels: usize,
    image: (usize, usize),
    /// Rows: those of the image made even, and two of the border.
    height: usize,
    /// Pixels of a frame row.
    pub(super) width: usize,
}

impl Frames {
    pub(super) const fn new(g: &Conv2d) -> Self {
        let (height, width) = (g.height.next_multiple_of(2) + 2, g.width.next_multiple_of(TILE) + 2);
        Self { channels: g.channels_in, image: (g.height, g.width), height, width }
    }

    /// Numbers of the frame of an image.
    pub(super) const fn len(&self) -> usize {
        self.height * self.row()
    }

    /// Numbers between image rows.
    pub(super) const fn row(&self) -> usize {
        self.channels * self.width
    }

    /// Copies `images` of `x: [channels, n, height, width]` into the frames `to`, whose borders are zero.
    pub(super) fn fill<R: Scalar>(&self, x: &[R], n: usize, images: Range<usize>, to: &mut [R]) {
        let (height, width) = self.image;
        for (image, to) in images.zip(to.chunks_exact_mut(self.len())) {
            for channel in 0..self.channels {
                let x = &x[(channel * n + image) * height * width..][..height * width];
                for (y, x) in x.chunks_exact(width).enumerate() {
                    let start = (y + 1) * self.row() + channel * self.width + 1;
                    to[start..start + width].copy_from_slice(x);
                }
            }
        }
    }
}
