//! What follows the bias of a convolution or a linear layer in the same pass: ReLU, or ReLU and a 2x2 max pooling.
//!
//! At the primal point [`apply`] decides which elements pass, and records it. The tangent and the adjoint repeat the recorded
//! choice: given it, [`gather`], [`scatter`] and [`channel_sum`] are linear.
//!
//! # Layout of choices
//! Channels are in blocks of 16: `block = c / 16`, `lane = c % 16`. Lanes without a channel choose nothing.
//! - [`Epilogue::None`] has none.
//! - [`Epilogue::Relu`] has one little-endian `u16` per block and pixel, `[⌈c/16⌉][n · h · w]`; bit `lane` is set where `z > 0`.
//! - [`Epilogue::ReluMaxPool`] has one byte per block, window and lane, `[⌈c/16⌉][n][⌊h/2⌋ · ⌊w/2⌋][16]`: 0 to 3 is the element of
//!   the window in row order, 255 a window whose maximum is not above 0.
//!
//! `ReLU'(0) = 0`. The first maximum of a window wins, and a NaN wins over numbers. A NaN stays one in the output; as no NaN is
//! above 0, the derivative of a ReLU there is 0.

pub(crate) mod blocks;
pub(crate) mod canvas;
mod relu;
pub(crate) mod rows;
mod sum;

use std::ops::Range;

pub use sum::channel_sum;

use sharpness_backend::{Accumulate, Epilogue};

use crate::Real;
use crate::parallel::{chunks, chunks2};
use crate::simd::LANES;

/// The choice of a window that passes nothing.
pub const NOTHING: u8 = u8::MAX;
/// Pixels whose bits are collected at once.
const STRIP: usize = 1 << 11;

/// Whether an epilogue decides, or repeats what it decided at the primal point.
#[derive(Debug)]
pub enum Choice<'a> {
    /// Choose, and write the choice here.
    Record(&'a mut [u8]),
    /// The choice is read from here.
    Replay(&'a [u8]),
}

/// What is added to the output of a layer before its epilogue.
#[derive(Clone, Copy, Debug)]
pub struct Addends<'a, R> {
    /// A number for each channel.
    pub bias: Option<&'a [R]>,
    /// A number for each element, `[channels, n, height, width]`; only where no pooling follows.
    pub residual: Option<&'a [R]>,
}

impl<R> Default for Addends<'_, R> {
    fn default() -> Self {
        Self { bias: None, residual: None }
    }
}

/// The size of what an epilogue follows, `z: [channels, n, height, width]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Channels.
    pub channels: usize,
    /// Examples.
    pub n: usize,
    /// Height in pixels.
    pub height: usize,
    /// Width in pixels.
    pub width: usize,
}

impl Size {
    const fn pixels(&self) -> usize {
        self.height * self.width
    }

    /// Elements of `z`.
    pub const fn elements(&self) -> usize {
        self.channels * self.n * self.pixels()
    }

    /// Elements of `y`.
    pub const fn output_len(&self, epilogue: Epilogue) -> usize {
        self.channels * self.n * self.output_pixels(epilogue)
    }

    /// Bytes of the choices.
    pub const fn choice_len(&self, epilogue: Epilogue) -> usize {
        self.channels.div_ceil(LANES) * self.block_bytes(epilogue)
    }

    /// Pixels of one image of one channel after the epilogue.
    const fn output_pixels(&self, epilogue: Epilogue) -> usize {
        let (height, width) = epilogue.output((self.height, self.width));
        height * width
    }

    /// Bytes of the choices of one block of channels.
    const fn block_bytes(&self, epilogue: Epilogue) -> usize {
        self.n * self.output_pixels(epilogue) * pixel_bytes(epilogue)
    }
}

/// The rows after the epilogue that these rows become.
pub(crate) const fn output_rows(epilogue: Epilogue, rows: &Range<usize>) -> Range<usize> {
    match epilogue {
        Epilogue::None | Epilogue::Relu => rows.start..rows.end,
        Epilogue::ReluMaxPool => rows.start / 2..rows.end / 2,
    }
}

/// Bytes of the choice of one pixel of the output in all lanes.
const fn pixel_bytes(epilogue: Epilogue) -> usize {
    match epilogue {
        Epilogue::None => 0,
        Epilogue::Relu => 2,
        Epilogue::ReluMaxPool => LANES,
    }
}

/// `y[c, ..] += b[c]`.
///
/// # Panics
/// If `bias` has fewer elements than `y` has channels.
pub fn add_bias<R: Real>(channels: usize, bias: Option<&[R]>, y: &mut [R]) {
    let Some(bias) = bias else { return };
    let inner = y.len() / channels.max(1);
    chunks(y, inner, |c, y| y.iter_mut().for_each(|y| *y += bias[c]));
}

/// `y` = the epilogue of `z + b` for the examples of `part`, which alone `z: [channels, part, height, width]` holds, and
/// `choice` = what it chose there.
///
/// # Panics
/// If a slice is shorter than its shape.
pub fn apply<R: Real>(
    epilogue: Epilogue,
    size: &Size,
    part: Range<usize>,
    (z, bias): (&[R], Option<&[R]>),
    choice: &mut [u8],
    y: &mut [R],
) {
    let pixels = size.output_pixels(epilogue);
    let (block, bytes) = (LANES * size.n * pixels, size.block_bytes(epilogue));
    let (y, choice) = (&mut y[..size.output_len(epilogue)], &mut choice[..size.choice_len(epilogue)]);
    if epilogue == Epilogue::None {
        return chunks(y, size.n * pixels, |c, y| {
            let z = &z[c * part.len() * pixels..][..part.len() * pixels];
            let b = bias.map_or(R::ZERO, |bias| bias[c]);
            y[part.start * pixels..part.end * pixels].iter_mut().zip(z).for_each(|(y, &z)| *y = z + b);
        });
    }
    chunks2(y, block, choice, bytes, |index, y, choice| {
        let choice = &mut choice[part.start * pixels * pixel_bytes(epilogue)..]
            [..part.len() * pixels * pixel_bytes(epilogue)];
        // Lane by lane: the channel's part of `z`, its bias, and where its part of `y` lies.
        let lanes = (0..y.len() / (size.n * pixels)).map(|lane| {
            let c = index * LANES + lane;
            let z = &z[c * part.len() * size.pixels()..][..part.len() * size.pixels()];
            let first = lane * size.n * pixels;
            (lane, z, bias.map_or(R::ZERO, |b| b[c]), first + part.start * pixels..first + part.end * pixels)
        });
        if epilogue == Epilogue::Relu {
            relu(lanes, choice, y);
        } else {
            choice.fill(NOTHING);
            lanes.for_each(|(lane, z, b, range)| pool(size, lane, z, b, choice, &mut y[range]));
        }
    });
}

/// ReLU of one block of channels, strip by strip, so that the choices of a strip are near at hand for all channels.
fn relu<'z, R: Real>(
    lanes: impl Iterator<Item = (usize, &'z [R], R, Range<usize>)> + Clone,
    choice: &mut [u8],
    y: &mut [R],
) {
    for (strip, choice) in choice.chunks_mut(2 * STRIP).enumerate() {
        let start = strip * STRIP;
        choice.fill(0);
        for (lane, z, bias, range) in lanes.clone() {
            let to = &mut y[range][start..][..choice.len() / 2];
            R::with_lanes(relu::Choose { from: &z[start..], bias, lane, choice: &mut *choice, to });
        }
    }
}

/// ReLU and max pooling of one channel.
fn pool<R: Real>(size: &Size, lane: usize, z: &[R], b: R, choice: &mut [u8], y: &mut [R]) {
    for_each_window(size, y.len(), |window, first| {
        let values = corners(first, size.width).map(|i| z[i] + b);
        let mut best = (values[0], 0);
        for (k, value) in (1..).zip(values.into_iter().skip(1)) {
            if value > best.0 || (value.is_nan() && !best.0.is_nan()) {
                best = (value, k);
            }
        }
        let nothing = best.0 <= R::ZERO;
        y[window] = if nothing { R::ZERO } else { best.0 };
        choice[window * LANES + lane] = if nothing { NOTHING } else { best.1 };
    });
}

/// The elements of a window in row order, where rows are `width` apart.
const fn corners(first: usize, width: usize) -> [usize; 4] {
    [first, first + 1, first + width, first + width + 1]
}

/// Calls `f(window, first element)` for the first `count` windows of the images of one channel, row by row.
fn for_each_window(size: &Size, count: usize, mut f: impl FnMut(usize, usize)) {
    let (height, width) = Epilogue::ReluMaxPool.output((size.height, size.width));
    for row in 0..count / width.max(1) {
        let (image, oy) = (row / height, row % height);
        let first = (image * size.height + 2 * oy) * size.width;
        (0..width).for_each(|ox| f(row * width + ox, first + 2 * ox));
    }
}

/// The choices of one channel: of its block, and its lane.
#[derive(Clone, Copy)]
struct Lane<'a> {
    epilogue: Epilogue,
    choice: &'a [u8],
    lane: usize,
}

impl<'a> Lane<'a> {
    /// The choices of channel `c` in the examples from `start` on.
    fn new(epilogue: Epilogue, size: &Size, choice: &'a [u8], c: usize, start: usize) -> Self {
        let bytes = size.block_bytes(epilogue);
        let first = start * size.output_pixels(epilogue) * pixel_bytes(epilogue);
        Self { epilogue, choice: &choice[c / LANES * bytes..][first..bytes], lane: c % LANES }
    }

    /// `to (+)=` what of `from + bias` passes, without a pooling.
    fn pass<R: Real>(self, from: &[R], bias: R, accumulate: Accumulate, to: &mut [R]) {
        let Self { choice, lane, .. } = self;
        match (self.epilogue, accumulate) {
            (Epilogue::None, Accumulate::Set) => to.iter_mut().zip(from).for_each(|(to, &x)| *to = x + bias),
            (Epilogue::None, Accumulate::Add) => to.iter_mut().zip(from).for_each(|(to, &x)| *to += x + bias),
            _ => R::with_lanes(relu::Pass { from, bias, lane, choice, accumulate, to }),
        }
    }

    /// The element of a window that passes, where one does.
    fn element(self, window: usize, first: usize, width: usize) -> Option<usize> {
        corners(first, width).get(usize::from(self.choice[window * LANES + self.lane])).copied()
    }
}

/// `y` = what `choice` lets pass of `z + b`: the tangent of [`apply`], with the same `part`.
///
/// # Panics
/// If a slice is shorter than its shape.
pub fn gather<R: Real>(
    epilogue: Epilogue,
    size: &Size,
    part: Range<usize>,
    (z, bias): (&[R], Option<&[R]>),
    choice: &[u8],
    y: &mut [R],
) {
    let pixels = size.output_pixels(epilogue);
    chunks(&mut y[..size.output_len(epilogue)], size.n * pixels, |c, y| {
        let lane = Lane::new(epilogue, size, choice, c, part.start);
        let z = &z[c * part.len() * size.pixels()..][..part.len() * size.pixels()];
        let b = bias.map_or(R::ZERO, |bias| bias[c]);
        let y = &mut y[part.start * pixels..part.end * pixels];
        if epilogue == Epilogue::ReluMaxPool {
            for_each_window(size, y.len(), |window, first| {
                y[window] = lane.element(window, first, size.width).map_or(R::ZERO, |i| z[i] + b);
            });
        } else {
            lane.pass(z, b, Accumulate::Set, y);
        }
    });
}

/// `z (+)=` each element of `y` where `choice` took it from, and zeros: the adjoint of [`gather`] in `z`, of all examples.
///
/// # Panics
/// If a slice is shorter than its shape.
pub fn scatter<R: Real>(
    epilogue: Epilogue,
    size: &Size,
    y: &[R],
    choice: &[u8],
    accumulate: Accumulate,
    z: &mut [R],
) {
    scatter_part(epilogue, size, 0..size.n, (y, choice), accumulate, z);
}

/// As [`scatter`] for the examples of `part`, which alone `z` holds.
pub(crate) fn scatter_part<R: Real>(
    epilogue: Epilogue,
    size: &Size,
    part: Range<usize>,
    (y, choice): (&[R], &[u8]),
    accumulate: Accumulate,
    z: &mut [R],
) {
    let pixels = size.output_pixels(epilogue);
    let z = &mut z[..size.channels * part.len() * size.pixels()];
    chunks(z, part.len() * size.pixels(), |c, z| {
        let lane = Lane::new(epilogue, size, choice, c, part.start);
        let y = &y[(c * size.n + part.start) * pixels..][..part.len() * pixels];
        if epilogue == Epilogue::ReluMaxPool {
            if accumulate == Accumulate::Set {
                z.fill(R::ZERO);
            }
            for_each_window(size, y.len(), |window, first| {
                if let Some(i) = lane.element(window, first, size.width) {
                    z[i] += y[window];
                }
            });
        } else {
            lane.pass(y, R::ZERO, accumulate, z);
        }
    });
}
