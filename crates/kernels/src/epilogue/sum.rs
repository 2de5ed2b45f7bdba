//! Sums over the pixels of each channel, through an epilogue.

use std::ops::Range;

use sharpness_backend::{Epilogue, Scalar};

use super::blocks::{mask, window};
use super::rows::{Rows, STAGE, Stage};
use super::{NOTHING, Size};
use crate::Real;
use crate::channels;
use crate::parallel::chunks_of;
use crate::simd::{LANES, Lanes, Leaf, Task};

/// Pixels of a block of channels that one task sums.
const SUMMED_PIXELS: usize = 1 << 13;

/// `out[c] = Σ y` over the elements that `choice` lets pass: the adjoint of [`apply`](super::apply) in the bias.
///
/// # Panics
/// If a slice is shorter than its shape or `out` has not one number per channel.
pub fn channel_sum<R: Real>(epilogue: Epilogue, size: &Size, y: &[R], choice: &[u8], out: &mut [f64]) {
    assert_eq!(out.len(), size.channels, "a sum for each channel");
    if epilogue == Epilogue::None {
        return channels::channel_sum(&y[..size.elements()], out);
    }
    R::with_lanes(ChannelSum { epilogue, pixels: size.n * size.output_pixels(epilogue), y, choice, out });
}

/// What [`channel_sum`] reads and writes.
struct ChannelSum<'a, R> {
    epilogue: Epilogue,
    /// Pixels of a channel.
    pixels: usize,
    y: &'a [R],
    choice: &'a [u8],
    out: &'a mut [f64],
}

impl<R: Real> Task<R> for ChannelSum<'_, R> {
    fn run<V: Lanes<Scalar = R>>(self) {
        let Self { epilogue, pixels, y, choice, out } = self;
        let elements = out.len() * pixels;
        chunks_of(elements, out, LANES, |block, out| {
            let rows = Rows { first: block * LANES * pixels, stride: pixels, lanes: out.len() };
            let block = Block { epilogue, y, choice, rows, first: block * pixels };
            out.copy_from_slice(&sum::<V>(block, 0..pixels)[..out.len()]);
        });
    }
}

/// A block of 16 channels with its choices.
#[derive(Clone, Copy)]
struct Block<'a, S> {
    epilogue: Epilogue,
    y: &'a [S],
    choice: &'a [u8],
    rows: Rows,
    /// The pixel at which its choices begin.
    first: usize,
}

/// The sums over a range of pixels. Halves are summed apart, so that the order of the sum depends on the range alone.
fn sum<V: Lanes>(block: Block<'_, V::Scalar>, pixels: Range<usize>) -> [f64; LANES] {
    let mut sums = [0.0; LANES];
    if pixels.len() <= SUMMED_PIXELS {
        V::vectorize(Sum(block, pixels, &mut sums, &mut Stage::new()));
        return sums;
    }
    let middle = pixels.start + (pixels.len() / 2).next_multiple_of(LANES);
    let halves =
        rayon::join(|| sum::<V>(block, pixels.start..middle), || sum::<V>(block, middle..pixels.end));
    sums.iter_mut().zip(halves.0).zip(halves.1).for_each(|((sum, a), b)| *sum = a + b);
    sums
}

/// Adds a range of pixels to the sums.
struct Sum<'a, S>(Block<'a, S>, Range<usize>, &'a mut [f64; LANES], &'a mut Stage<S>);

impl<V: Lanes> Leaf<V> for Sum<'_, V::Scalar> {
    #[inline(always)]
    fn run(self) {
        let Self(block, pixels, out, stage) = self;
        let (mut sums, mut lanes) = ([0.0; LANES], [V::Scalar::ZERO; LANES]);
        for start in (0..pixels.len()).step_by(LANES) {
            let (first, rest) = (pixels.start + start, pixels.len() - start);
            if start % STAGE == 0 {
                stage.fetch::<V>(block.y, block.rows, (first, STAGE.min(rest)), STAGE);
            }
            let columns = stage.columns::<V>(block.rows.lanes, start % STAGE);
            for (i, &column) in columns.iter().enumerate().take(rest) {
                passed(column, block, block.first + first + i).write(&mut lanes);
                for (sum, lane) in sums.iter_mut().zip(&lanes) {
                    *sum += lane.to_f64();
                }
            }
        }
        *out = sums;
    }
}

/// What the epilogue lets pass to a pixel.
#[inline(always)]
fn passed<V: Lanes>(value: V, block: Block<'_, V::Scalar>, pixel: usize) -> V {
    match block.epilogue {
        Epilogue::None => value,
        Epilogue::Relu => value.keep(mask(block.choice, pixel)),
        Epilogue::ReluMaxPool => value.keep(!V::bytes_equal(window(block.choice, pixel), NOTHING)),
    }
}
