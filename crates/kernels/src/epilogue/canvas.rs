//! Images in blocks of 16 channels, and the strips in which they are worked on.

use std::ops::Range;

use crate::simd::LANES;

/// A zero-bordered image in blocks of 16 channels: element `(y, x)` of image `i` is the 16 numbers from
/// `16 ((i * height + y + border) * width + x + border)`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Canvas {
    pub(crate) height: usize,
    pub(crate) width: usize,
    pub(crate) border: usize,
}

impl Canvas {
    /// Numbers of `images` images.
    pub(crate) const fn len(&self, images: usize) -> usize {
        images * self.height * self.width * LANES
    }

    /// The offset of tile `(i, j)` of an image, where tiles are `step` pixels apart.
    pub(crate) const fn tile(&self, image: usize, (i, j): (usize, usize), step: usize) -> usize {
        ((image * self.height + i * step) * self.width + j * step) * LANES
    }

    /// Numbers between rows.
    pub(crate) const fn row(&self) -> usize {
        self.width * LANES
    }

    /// The offsets of the pixels of images of `size`, row by row and image by image, with `step` pixels between neighbours.
    pub(crate) const fn pixels(&self, (height, width): (usize, usize), step: usize) -> Pixels {
        Pixels { canvas: *self, height, width, step, image: 0, y: 0, x: 0 }
    }
}

/// See [`Canvas::pixels`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pixels {
    canvas: Canvas,
    height: usize,
    width: usize,
    step: usize,
    image: usize,
    y: usize,
    x: usize,
}

impl Pixels {
    /// The offset of the next pixel.
    #[inline(always)]
    pub(crate) fn step(&mut self) -> usize {
        let Canvas { height, width, border } = self.canvas;
        let row = self.image * height + self.y * self.step + border;
        let offset = (row * width + self.x * self.step + border) * LANES;
        self.x += 1;
        if self.x == self.width {
            self.x = 0;
            self.y += 1;
            if self.y == self.height {
                self.y = 0;
                self.image += 1;
            }
        }
        offset
    }
}

/// Pixels of a full strip: in a block of 16 channels they stay in the first-level cache.
const STRIP_PIXELS: usize = 256;

/// How images are cut into strips: an even number of rows of one image, or whole images where they are small.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Strips {
    height: usize,
    width: usize,
    /// Images of a strip.
    images: usize,
    /// Rows of a strip.
    rows: usize,
}

impl Strips {
    pub(crate) fn new((height, width): (usize, usize)) -> Self {
        let whole = STRIP_PIXELS / (height * width).max(1);
        let rows = 2 * (STRIP_PIXELS / (2 * width).max(1)).max(1);
        if whole == 0 {
            Self { height, width, images: 1, rows }
        } else {
            Self { height, width, images: whole, rows: height }
        }
    }

    /// The canvas of a strip, with an even number of rows, whose width is a multiple of `tile` pixels.
    pub(crate) const fn canvas(&self, tile: usize) -> Canvas {
        Canvas { height: self.rows.next_multiple_of(2), width: self.width.next_multiple_of(tile), border: 0 }
    }

    /// Images of a strip.
    pub(crate) const fn images(&self) -> usize {
        self.images
    }

    /// `images` in the ranges of strips.
    pub(crate) fn images_of(&self, images: Range<usize>) -> impl Iterator<Item = Range<usize>> + use<> {
        ranges(images, self.images)
    }

    /// The rows of an image in the ranges of strips.
    pub(crate) fn rows(&self) -> impl Iterator<Item = Range<usize>> + use<> {
        ranges(0..self.height, self.rows)
    }
}

/// `range` in parts of `step`; the last may be shorter.
fn ranges(range: Range<usize>, step: usize) -> impl Iterator<Item = Range<usize>> {
    let end = range.end;
    range.step_by(step).map(move |start| start..(start + step).min(end))
}
