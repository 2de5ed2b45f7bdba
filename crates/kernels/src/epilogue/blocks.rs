//! Between images of channels and blocks of 16 channels on a canvas, through an epilogue.
#![expect(unsafe_code, reason = "tasks write interleaved ranges of one output")]

use std::ops::Range;

use sharpness_backend::{Accumulate, Epilogue, Scalar};

use super::canvas::Canvas;
use super::rows::{self, Rows, STAGE, Stage};
use super::{Addends, Choice};
use crate::disjoint::Disjoint;
use crate::simd::{LANES, Lanes, Leaf};

/// Part of a block of 16 channels, in pixels after the epilogue.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    /// Images of all parts.
    pub(crate) n: usize,
    pub(crate) block: usize,
    /// Where the part's sum goes.
    pub(crate) slot: usize,
    pub(crate) images: Range<usize>,
    /// Rows of each of the images: all, if there are several.
    pub(crate) rows: Range<usize>,
}

impl Part {
    /// The first pixel of a channel and the number of pixels, with an image of `(height, width)`.
    const fn pixels(&self, (height, width): (usize, usize)) -> (usize, usize) {
        let rows = self.rows.end - self.rows.start;
        let first = (self.images.start * height + self.rows.start) * width;
        (first, (self.images.end - self.images.start) * rows * width)
    }

    /// The rows of the block's channels with an image of `area` pixels, for `channels` channels in all.
    fn channels(&self, channels: usize, area: usize) -> Rows {
        let first = self.block * LANES;
        Rows { first: first * self.n * area, stride: self.n * area, lanes: LANES.min(channels - first) }
    }
}

/// Where the pixels of images come from: `[channels, n, pixels]`, at the resolution after the epilogue.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Source<'a, S> {
    pub(crate) x: &'a [S],
    pub(crate) channels: usize,
    /// Height and width of an image of `x`.
    pub(crate) image: (usize, usize),
    /// Pixels of the canvas from one to the next before the epilogue; only where it does not pool may it be more than one.
    pub(crate) stride: usize,
    /// What is added to every pixel.
    pub(crate) shift: Option<S>,
    /// The epilogue to be undone, with its choices.
    pub(crate) epilogue: Epilogue,
    pub(crate) choice: &'a [u8],
}

/// The choices of an epilogue, while several tasks make their parts of them.
pub(crate) enum Choices<'a> {
    /// Made here.
    Record(Disjoint<'a, u8>),
    /// Made before.
    Replay(&'a [u8]),
}

impl<'a> From<Choice<'a>> for Choices<'a> {
    fn from(choice: Choice<'a>) -> Self {
        match choice {
            Choice::Record(choice) => Self::Record(Disjoint::new(choice)),
            Choice::Replay(choice) => Self::Replay(choice),
        }
    }
}

/// Where results go: `[channels, n, pixels]`, at the resolution after the epilogue.
pub(crate) struct Target<'a, S> {
    pub(crate) y: Disjoint<'a, S>,
    pub(crate) channels: usize,
    /// Height and width of an image of `y`.
    pub(crate) image: (usize, usize),
    /// As that of [`Source`].
    pub(crate) stride: usize,
    pub(crate) addends: Addends<'a, S>,
    pub(crate) epilogue: Epilogue,
    pub(crate) choices: Choices<'a>,
    pub(crate) accumulate: Accumulate,
    /// Where the sum of each part goes, `[slot][block]`.
    pub(crate) sums: Option<Disjoint<'a, f64>>,
}

/// Pixels of the canvas between the first elements of neighbouring pixels' choices.
const fn step(epilogue: Epilogue, stride: usize) -> usize {
    match epilogue {
        Epilogue::None | Epilogue::Relu => stride,
        Epilogue::ReluMaxPool => 2,
    }
}

/// Copies a part of the source to the canvas.
pub(crate) struct Read<'a, S>(
    pub(crate) Part,
    pub(crate) Source<'a, S>,
    pub(crate) Canvas,
    pub(crate) &'a mut [S],
    pub(crate) &'a mut Stage<S>,
);

impl<V: Lanes> Leaf<V> for Read<'_, V::Scalar> {
    #[inline(always)]
    fn run(self) {
        let Self(part, source, canvas, to, stage) = self;
        let area = source.image.0 * source.image.1;
        let ((first, count), rows) = (part.pixels(source.image), part.channels(source.channels, area));
        let shift =
            source.shift.map_or(V::zero(), |shift| V::splat(shift).keep(u16::MAX >> (LANES - rows.lanes)));
        let mut offsets =
            canvas.pixels((part.rows.len(), source.image.1), step(source.epilogue, source.stride));
        for start in (0..count).step_by(LANES) {
            if start % STAGE == 0 {
                stage.fetch::<V>(source.x, rows, (first + start, STAGE.min(count - start)), count);
            }
            let columns = stage.columns::<V>(rows.lanes, start % STAGE);
            for (i, &column) in columns.iter().enumerate().take(count - start) {
                let pixel = part.block * part.n * area + first + start + i;
                let column = if source.shift.is_some() { column.add(shift) } else { column };
                place(column, source, pixel, &mut to[offsets.step()..], canvas.row());
            }
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

/// Writes a part of the target from the canvas, through bias and epilogue.
pub(crate) struct Write<'a, S>(Part, &'a Target<'a, S>, Canvas, &'a [S], &'a mut Stage<S>);

impl<'a, S> Write<'a, S> {
    /// The part of `target` from `pixels` on the canvas.
    ///
    /// # Safety
    /// While it runs, no other task reads or writes the part of the target: its outputs, its choices, and its slot of the sums.
    pub(crate) const unsafe fn new(
        part: Part,
        target: &'a Target<'a, S>,
        canvas: Canvas,
        pixels: &'a [S],
        stage: &'a mut Stage<S>,
    ) -> Self {
        Self(part, target, canvas, pixels, stage)
    }
}

impl<V: Lanes> Leaf<V> for Write<'_, V::Scalar> {
    #[inline(always)]
    fn run(self) {
        let Self(part, target, canvas, pixels, stage) = self;
        let area = target.image.0 * target.image.1;
        let ((first, count), rows) = (part.pixels(target.image), part.channels(target.channels, area));
        let channel = part.block * LANES;
        let bias = target.addends.bias;
        let bias = bias.map_or(V::zero(), |bias| V::read_few(&bias[channel..channel + rows.lanes]));
        let mut total = 0.0;
        let mut offsets =
            canvas.pixels((part.rows.len(), target.image.1), step(target.epilogue, target.stride));
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
                let pixel = part.block * part.n * area + first + start + i;
                let from = &pixels[offsets.step()..];
                // SAFETY: `new` was promised that this task alone has the choices of these pixels.
                *column = unsafe { value(from, *column, target, pixel, (canvas.row(), rows.lanes)) };
            }
            if target.sums.is_some() {
                total += sum(&columns[..width]);
            }
            stage.put(columns, start % STAGE);
            let end = start + width;
            if end % STAGE == 0 || end == count {
                let staged = start / STAGE * STAGE;
                let range = (first + staged, end - staged);
                // SAFETY: `new` was promised that this task alone has these pixels of these channels.
                unsafe { stage.flush::<V>(&target.y, rows, range, count, target.accumulate) };
            }
        }
        if let Some(sums) = &target.sums {
            // SAFETY: `new` was promised that this task alone has this block of this slot.
            let to = unsafe { sums.part(part.slot * target.channels.div_ceil(LANES) + part.block, 1) };
            to.fill(total);
        }
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
///
/// # Safety
/// Meanwhile no other task reads or writes the choices of the pixel that the target records.
#[inline(always)]
unsafe fn value<V: Lanes>(
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
                    // SAFETY: as the caller promises.
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
                    // SAFETY: as the caller promises.
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
pub(crate) fn chosen<V: Lanes>(window: [V; 4], bytes: u128) -> V {
    let mut sum = V::zero();
    for (element, &z) in (0..).zip(&window) {
        sum = sum.blend(V::bytes_equal(bytes, element), z);
    }
    sum
}

/// The first maximum in each of the first `lanes` lanes, where it is positive or not a number, and its element; else zero and 255.
#[inline(always)]
pub(crate) fn choose<V: Lanes>(window: [V; 4], lanes: usize) -> (V, u128) {
    // What is not a number makes the sum such, as infinities may; else fewer comparisons do.
    let sum = window[0].add(window[1]).add(window[2].add(window[3]));
    if sum.nan() == 0 {
        first_maximum::<V, false>(window, lanes)
    } else {
        first_maximum::<V, true>(window, lanes)
    }
}

/// As [`choose`]; only with `NAN` may elements not be numbers.
#[inline(always)]
fn first_maximum<V: Lanes, const NAN: bool>(window: [V; 4], lanes: usize) -> (V, u128) {
    let mut best = window[0];
    let mut bytes = 0;
    for (element, &z) in (1_u8..).zip(&window[1..]) {
        let mut better = z.greater(best);
        if NAN {
            better |= z.nan() & !best.nan();
        }
        best = best.blend(better, z);
        let lanes = V::bytes(better);
        bytes = (bytes & !lanes) | (lanes & u128::from_le_bytes([element; LANES]));
    }
    let exists = u16::MAX >> (LANES - lanes);
    let mut kept = best.greater(V::zero());
    if NAN {
        kept |= best.nan();
    }
    let kept = kept & exists;
    (best.keep(kept), bytes | !V::bytes(kept))
}
