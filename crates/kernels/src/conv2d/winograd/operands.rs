//! Inputs and output gradients in the transformed domain: `Bᵀ x B` and `A ȳ Aᵀ` of every tile.
//!
//! Layout: `[group][block of 16 channels][point][tile][16]`. It is the left factor of the sums over channels, and both factors
//! of the sums over tiles, so that no matrix product packs anything.

use rayon::prelude::*;

use sharpness_backend::Scalar;

use super::forms::Matrix;
use super::sandwich::sandwich;
use super::tiling::{Group, Tiling};
use crate::epilogue::blocks::{Read, Source};
use crate::epilogue::canvas::Canvas;
use crate::epilogue::rows::Stage;
use crate::simd::{LANES, Lanes, Leaf};
use crate::workspace::{Workspace, aligned_mut};

/// Transforms all tiles of `source` under `canvas` with `f` on both axes.
pub(super) fn transform<V: Lanes, const I: usize, const P: usize>(
    tiling: &Tiling,
    canvas: Canvas,
    source: Source<'_, V::Scalar>,
    f: impl Matrix<I, P>,
    to: &mut [V::Scalar],
    workspace: &Workspace<V::Scalar>,
) {
    let blocks = source.channels.div_ceil(LANES);
    let to = &mut aligned_mut(to)[..tiling.groups() * blocks * tiling.block()];
    to.par_chunks_mut(tiling.block()).with_max_len(1).enumerate().for_each(|(index, to)| {
        let (group, block) = (tiling.group(index / blocks), index % blocks);
        workspace.with(canvas.len(group.images), |pixels| {
            pixels.fill(V::Scalar::ZERO);
            let part = group.part(tiling.n, block, source.image.0);
            V::vectorize(Read(part, source, canvas, &mut *pixels, &mut Stage::new()));
            V::vectorize(Transform::<_, _, I, P>((tiling, group, canvas, &*pixels, f, to)));
        });
    });
}

/// The loop of [`tiles`].
struct Transform<'a, S, M, const I: usize, const P: usize>(pub(super) Tiles<'a, S, M>);

impl<V: Lanes, M: Matrix<I, P>, const I: usize, const P: usize> Leaf<V>
    for Transform<'_, V::Scalar, M, I, P>
{
    #[inline(always)]
    fn run(self) {
        tiles::<V, I, P>(self.0);
    }
}

/// What [`tiles`] reads and writes: the canvas with its pixels, the matrix, and the transformed block.
type Tiles<'a, S, F> = (&'a Tiling, Group, Canvas, &'a [S], F, &'a mut [S]);

/// `M x Mᵀ` of all tiles of a block.
#[inline(always)]
fn tiles<V: Lanes, const I: usize, const P: usize>(
    (tiling, group, canvas, pixels, f, to): Tiles<'_, V::Scalar, impl Matrix<I, P>>,
) {
    let point = tiling.point();
    let mut tile = 0;
    for image in 0..group.images {
        for i in 0..tiling.tiles.0 {
            for j in 0..tiling.tiles.1 {
                let from = &pixels[canvas.tile(image, (i, j), tiling.size.output)..];
                let to = &mut to[tile * LANES..];
                sandwich::<V, I, P>(f, (from, (canvas.row(), LANES)), (to, (P * point, point)), false);
                tile += 1;
            }
        }
    }
}
