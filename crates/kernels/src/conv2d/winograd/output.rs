//! From sums in the transformed domain back to pixels.

use super::forms::Matrix;
use super::sandwich::sandwich;
use super::tiling::{Group, Tiling};
use crate::epilogue::canvas::Canvas;
use crate::simd::{LANES, Lanes, Leaf};

/// Sums in the transformed domain, `[point][tile][row]`, from the first of 16 channels on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sums<'a, S> {
    pub(super) values: &'a [S],
    /// Numbers between points, and between tiles.
    pub(super) point: usize,
    pub(super) row: usize,
}

/// The loop of [`untransform`].
pub(super) struct Untransform<'a, S, M, const P: usize, const O: usize>(pub(super) Tiles<'a, S, M>);

impl<V: Lanes, M: Matrix<P, O>, const P: usize, const O: usize> Leaf<V>
    for Untransform<'_, V::Scalar, M, P, O>
{
    #[inline(always)]
    fn run(self) {
        untransform::<V, P, O>(self.0);
    }
}

/// What [`untransform`] reads and writes: the tiles, the sums, the matrix, the canvas and its pixels, and whether tiles overlap.
pub(super) type Tiles<'a, S, F> = (&'a Tiling, Group, Sums<'a, S>, F, Canvas, &'a mut [S], bool);

/// `M m Mᵀ` of all tiles of 16 channels, onto the canvas. Tiles that overlap are added.
#[inline(always)]
pub(super) fn untransform<V: Lanes, const P: usize, const O: usize>(
    (tiling, group, sums, f, canvas, pixels, overlap): Tiles<'_, V::Scalar, impl Matrix<P, O>>,
) {
    let mut tile = 0;
    for image in 0..group.images {
        for i in 0..tiling.tiles.0 {
            for j in 0..tiling.tiles.1 {
                let to = &mut pixels[canvas.tile(image, (i, j), tiling.size.output)..];
                let from = (&sums.values[tile * sums.row..], (P * sums.point, sums.point));
                sandwich::<V, P, O>(f, from, (to, (canvas.row(), LANES)), overlap);
                tile += 1;
            }
        }
    }
}
