//! From sums in the transformed domain back to pixels: bias, epilogue, and the rows of each channel.
#![expect(unsafe_code, reason = "tasks write interleaved ranges of one output")]

use super::forms::Matrix;
use super::operands::{mask, window};
use super::rows::{self, Rows};
use super::sandwich::sandwich;
use super::tiling::{Canvas, Group, Tiling};
use crate::disjoint::Disjoint;
use crate::epilogue::{Addends, Epilogue};
use crate::simd::{LANES, Lanes, Leaf};
use crate::{Accumulate, Real};

/// The choices of an epilogue, while several tasks make their parts of them.
pub(super) enum Choices<'a> {
    /// Made here.
    Record(Disjoint<'a, u8>),
    /// Made before.
    Replay(&'a [u8]),
}

/// Where results go: `[channels, n, pixels]`, at the resolution after the epilogue.
pub(super) struct Target<'a, S> {
    pub(super) y: Disjoint<'a, S>,
    pub(super) channels: usize,
    /// Height and width of an image of `y`.
    pub(super) image: (usize, usize),
    pub(super) addends: Addends<'a, S>,
    pub(super) epilogue: Epilogue,
    pub(super) choices: Choices<'a>,
    pub(super) accumulate: Accumulate,
    /// Where the sum of each group's blocks goes, `[group][block]`.
    pub(super) sums: Option<Disjoint<'a, f64>>,
}

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

/// The loop of [`write()`].
pub(super) struct Write<'a, S>(pub(super) Block<'a, S>);

impl<V: Lanes> Leaf<V> for Write<'_, V::Scalar> {
    #[inline(always)]
    fn run(self) {
        write::<V>(self.0);
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

/// What [`write()`] reads and writes: the number of images, the group, the block of channels, the canvas and its pixels.
pub(super) type Block<'a, S> = (usize, Group, usize, Canvas, &'a [S], &'a Target<'a, S>);

/// Writes block `block` of the images of `group`. No other task touches them.
#[inline(always)]
pub(super) fn write<V: Lanes>((n, group, block, canvas, pixels, target): Block<'_, V::Scalar>) {
    let area = target.image.0 * target.image.1;
    let (first, count) = (group.first * area, group.images * area);
    let channel = block * LANES;
    let lanes = LANES.min(target.channels - channel);
    let rows = Rows { first: channel * n * area, stride: n * area, lanes };
    let bias = target.addends.bias.map_or(V::zero(), |bias| V::read_few(&bias[channel..channel + lanes]));
    let step = if target.epilogue == Epilogue::ReluMaxPool { 2 } else { 1 };
    let mut total = 0.0;
    let mut offsets = canvas.pixels(target.image, step);
    for start in (0..count).step_by(LANES) {
        let width = LANES.min(count - start);
        let mut columns = [bias; LANES];
        if let Some(residual) = target.addends.residual {
            let residual = rows::load::<V>(residual, rows, first + start, width);
            for (column, &residual) in columns.iter_mut().zip(&residual) {
                *column = column.add(residual);
            }
        }
        for (i, column) in columns.iter_mut().enumerate().take(width) {
            let pixel = block * n * area + first + start + i;
            *column = value(&pixels[offsets.step()..], *column, target, pixel, (canvas.row(), lanes));
        }
        if target.sums.is_some() {
            total += sum(&columns[..width]);
        }
        // SAFETY: this task is the only one that writes these pixels of these channels.
        unsafe { rows::store::<V>(columns, &target.y, rows, (first + start, width), target.accumulate) };
    }
    if let Some(sums) = &target.sums {
        // SAFETY: this task is the only one that writes this block of this group.
        let part = unsafe { sums.part(group.index * target.channels.div_ceil(LANES) + block, 1) };
        part.fill(total);
    }
}

/// The sum of all lanes of at most 16 vectors.
#[inline(always)]
fn sum<V: Lanes>(columns: &[V]) -> f64 {
    let mut lanes = V::zero();
    for &column in columns {
        lanes = lanes.add(column);
    }
    let mut each = [V::Scalar::ZERO; LANES];
    lanes.write(&mut each);
    let mut total = 0.0;
    for x in each {
        total += x.to_f64();
    }
    total
}

/// The output at `pixel`, whose sums begin at `x`.
#[inline(always)]
fn value<V: Lanes>(
    x: &[V::Scalar],
    bias: V,
    target: &Target<'_, V::Scalar>,
    pixel: usize,
    (row, lanes): (usize, usize),
) -> V {
    match target.epilogue {
        Epilogue::None => V::read(x).add(bias),
        Epilogue::Relu => {
            let z = V::read(x).add(bias);
            match &target.choices {
                Choices::Replay(choice) => z.keep(mask(choice, pixel)),
                Choices::Record(choice) => {
                    let positive = z.greater(V::zero());
                    // SAFETY: this task is the only one that writes this pixel's choices.
                    unsafe { choice.part(2 * pixel, 2) }.copy_from_slice(&positive.to_le_bytes());
                    z.keep(positive | z.nan())
                }
            }
        }
        Epilogue::ReluMaxPool => {
            let mut window_of = [V::zero(); 4];
            for (z, offset) in window_of.iter_mut().zip([0, LANES, row, row + LANES]) {
                *z = V::read(&x[offset..]).add(bias);
            }
            match &target.choices {
                Choices::Replay(choice) => chosen(window_of, window(choice, pixel)),
                Choices::Record(choice) => {
                    let (best, bytes) = choose(window_of, lanes);
                    // SAFETY: as above.
                    let choice = unsafe { choice.part(LANES * pixel, LANES) };
                    choice.copy_from_slice(&bytes.to_le_bytes());
                    best
                }
            }
        }
    }
}

/// The elements that `bytes` names, and zero where it names none.
#[inline(always)]
fn chosen<V: Lanes>(window: [V; 4], bytes: u128) -> V {
    let mut sum = V::zero();
    for (element, &z) in (0..).zip(&window) {
        sum = sum.blend(V::bytes_equal(bytes, element), z);
    }
    sum
}

/// The first maximum in each of the first `lanes` lanes, where it is positive or not a number, and its element; else zero and 255.
#[inline(always)]
fn choose<V: Lanes>(window: [V; 4], lanes: usize) -> (V, u128) {
    let mut best = window[0];
    let mut bytes = 0;
    for (element, &z) in (1_u8..).zip(&window[1..]) {
        let better = z.greater(best) | (z.nan() & !best.nan());
        best = best.blend(better, z);
        let lanes = V::bytes(better);
        bytes = (bytes & !lanes) | (lanes & u128::from_le_bytes([element; LANES]));
    }
    let exists = u16::MAX >> (LANES - lanes);
    let kept = (best.greater(V::zero()) | best.nan()) & exists;
    (best.keep(kept), bytes | !V::bytes(kept))
}
