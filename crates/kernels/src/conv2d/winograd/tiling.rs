//! How images are cut into tiles, and tiles into groups.

use std::ops::Range;

use sharpness_backend::Conv2d;

use crate::epilogue::blocks::Part;
use crate::epilogue::canvas::Canvas;
use crate::simd::LANES;

/// Tiles of a full group: enough rows for the matrix products, few enough that a group's sums stay in the second-level cache.
const GROUP_TILES: usize = 100;

/// The size of a form in two dimensions.
#[derive(Clone, Copy, Debug)]
pub(super) struct Size {
    /// Pixels of a tile's input along each axis.
    pub(super) input: usize,
    /// Points along each axis.
    pub(super) points: usize,
    /// Pixels of a tile's output along each axis.
    pub(super) output: usize,
}

/// The tiles of `n` images, in groups of whole images.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tiling {
    pub(super) size: Size,
    /// Tiles of an image along each axis.
    pub(super) tiles: (usize, usize),
    pub(super) n: usize,
    /// Images of a full group.
    pub(super) images: usize,
}

/// Images of one group.
#[derive(Clone, Copy, Debug)]
pub(super) struct Group {
    pub(super) index: usize,
    /// The first image and how many.
    pub(super) first: usize,
    pub(super) images: usize,
    /// Tiles of the group.
    pub(super) tiles: usize,
}

impl Group {
    /// Block `block` of the group's images, which have `height` rows, of `n` images in all.
    pub(super) const fn part(&self, n: usize, block: usize, height: usize) -> Part {
        Part { n, block, slot: self.index, images: self.first..self.first + self.images, rows: 0..height }
    }
}

impl Tiling {
    pub(super) fn new(g: &Conv2d, n: usize, size: Size) -> Self {
        let tiles = (g.height.div_ceil(size.output), g.width.div_ceil(size.output));
        let images = (GROUP_TILES / (tiles.0 * tiles.1).max(1)).max(1);
        Self { size, tiles, n, images }
    }

    pub(super) const fn groups(&self) -> usize {
        self.n.div_ceil(self.images)
    }

    pub(super) fn group(&self, index: usize) -> Group {
        let first = index * self.images;
        let images = self.images.min(self.n - first);
        Group { index, first, images, tiles: images * self.tiles.0 * self.tiles.1 }
    }

    /// The groups of part `part` of `parts`.
    pub(super) fn part(&self, part: usize, parts: usize) -> Range<usize> {
        self.groups() * part / parts..self.groups() * (part + 1) / parts
    }

    /// Tiles of a full group.
    pub(super) const fn group_tiles(&self) -> usize {
        self.images * self.tiles.0 * self.tiles.1
    }

    pub(super) const fn points(&self) -> usize {
        self.size.points * self.size.points
    }

    /// Numbers between the points of a block of 16 channels: an odd number of lines, so that points lie in different cache sets.
    pub(super) const fn point(&self) -> usize {
        (self.group_tiles() | 1) * LANES
    }

    /// Numbers of one block of 16 channels of a transformed full group, `[point][tile][16]`. One line more keeps blocks out of
    /// each other's cache sets.
    pub(super) const fn block(&self) -> usize {
        self.points() * self.point() + LANES
    }

    /// The image under the tiles' inputs.
    pub(super) const fn input_canvas(&self) -> Canvas {
        let Size { input, output, .. } = self.size;
        let (height, width) = ((self.tiles.0 - 1) * output + input, (self.tiles.1 - 1) * output + input);
        // Where a tile's input is larger than its output, it begins at the padding.
        Canvas { height, width, border: (input > output) as usize }
    }

    /// The image under the tiles' outputs.
    pub(super) const fn output_canvas(&self) -> Canvas {
        let output = self.size.output;
        Canvas { height: self.tiles.0 * output, width: self.tiles.1 * output, border: 0 }
    }
}
