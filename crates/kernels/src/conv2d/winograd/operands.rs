//! Inputs and output gradients in the transformed domain: `Bᵀ x B` and `A ȳ Aᵀ` of every tile.
//!
//! Layout: `[group][block of 16 channels][point][tile][16]`. It is the left factor of the sums over channels, and both factors
//! of the sums over tiles, so that no matrix product packs anything.

use rayon::prelude::*;

use super::forms::Matrix;
use super::rows::{self, Rows};
use super::sandwich::sandwich;
use super::tiling::{Canvas, Group, Tiling};
use crate::Real;
use crate::epilogue::Epilogue;
use crate::simd::{LANES, Lanes, Leaf};
use crate::workspace::{Workspace, aligned_mut};

/// Where the pixels of images come from: `[channels, n, pixels]`, at the resolution after the epilogue.
#[derive(Clone, Copy, Debug)]
pub(super) struct Source<'a, S> {
    pub(super) x: &'a [S],
    pub(super) channels: usize,
    /// Height and width of an image of `x`.
    pub(super) image: (usize, usize),
    /// What is added to every pixel.
    pub(super) shift: Option<S>,
    /// The epilogue to be undone, with its choices.
    pub(super) epilogue: Epilogue,
    pub(super) choice: &'a [u8],
}

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
            V::vectorize(Read((tiling.n, group, block, source, canvas, &mut *pixels)));
            V::vectorize(Transform::<_, _, I, P>((tiling, group, canvas, &*pixels, f, to)));
        });
    });
}

/// What [`read`] reads and writes: the number of images, the group, the block of channels, the source, and the canvas with its
/// pixels.
type Block<'a, S> = (usize, Group, usize, Source<'a, S>, Canvas, &'a mut [S]);

/// The loop of [`read`].
struct Read<'a, S>(Block<'a, S>);

impl<V: Lanes> Leaf<V> for Read<'_, V::Scalar> {
    #[inline(always)]
    fn run(self) {
        read::<V>(self.0);
    }
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

/// Copies block `block` of the images of `group` to the canvas.
#[inline(always)]
fn read<V: Lanes>((n, group, block, source, canvas, to): Block<'_, V::Scalar>) {
    let area = source.image.0 * source.image.1;
    let (first, count) = (group.first * area, group.images * area);
    let channel = block * LANES;
    let rows =
        Rows { first: channel * n * area, stride: n * area, lanes: LANES.min(source.channels - channel) };
    let step = if source.epilogue == Epilogue::ReluMaxPool { 2 } else { 1 };
    let shift =
        source.shift.map_or(V::zero(), |shift| V::splat(shift).keep(u16::MAX >> (LANES - rows.lanes)));
    let mut offsets = canvas.pixels(source.image, step);
    for start in (0..count).step_by(LANES) {
        let width = LANES.min(count - start);
        let columns = rows::load::<V>(source.x, rows, first + start, width);
        for (i, &column) in columns.iter().enumerate().take(width) {
            let pixel = block * n * area + first + start + i;
            let column = if source.shift.is_some() { column.add(shift) } else { column };
            place(column, source, pixel, &mut to[offsets.step()..], canvas.row());
        }
    }
}

/// Writes a pixel's value where the epilogue chose it.
#[inline(always)]
fn place<V: Lanes>(value: V, source: Source<'_, V::Scalar>, pixel: usize, to: &mut [V::Scalar], row: usize) {
    match source.epilogue {
        Epilogue::None => value.write(to),
        Epilogue::Relu => value.keep(mask(source.choice, pixel)).write(to),
        Epilogue::ReluMaxPool => {
            let bytes = window(source.choice, pixel);
            for (element, offset) in (0..).zip([0, LANES, row, row + LANES]) {
                value.keep(V::bytes_equal(bytes, element)).write(&mut to[offset..]);
            }
        }
    }
}

/// The mask of a pixel's channels under [`Epilogue::Relu`].
#[inline(always)]
pub(super) fn mask(choice: &[u8], pixel: usize) -> u16 {
    u16::from_le_bytes([choice[2 * pixel], choice[2 * pixel + 1]])
}

/// The choices of a pooled pixel's channels under [`Epilogue::ReluMaxPool`].
#[inline(always)]
pub(super) fn window(choice: &[u8], pixel: usize) -> u128 {
    let mut bytes = [0; LANES];
    bytes.copy_from_slice(&choice[LANES * pixel..][..LANES]);
    u128::from_le_bytes(bytes)
}

/// What [`tiles`] reads and writes: the canvas with its pixels, the matrix, and the transformed block.
type Tiles<'a, S, F> = (&'a Tiling, Group, Canvas, &'a [S], F, &'a mut [S]);

/// `M x Mᵀ` of all tiles of a block.
#[inline(always)]
fn tiles<V: Lanes, const I: usize, const P: usize>(
    (tiling, group, canvas, pixels, f, to): Tiles<'_, V::Scalar, impl Matrix<I, P>>,
) {
    let point = group.tiles * LANES;
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
