//! The gradient of the weights: for each tap and 16 output channels one accumulator, over all pixels.
#![expect(unsafe_code, reason = "the innermost loop loads through pointers")]

use sharpness_backend::{Accumulate, Epilogue, Scalar};

use super::frames::{Frames, TILE};
use super::shape::{Pairs, Shape};
use crate::Real;
use crate::epilogue::blocks::{Part, Read, Source};
use crate::epilogue::canvas::Canvas;
use crate::epilogue::output_rows;
use crate::epilogue::rows::Stage;
use crate::parallel::{chunks, chunks_of};
use crate::simd::{LANES, Lanes, Leaf, Task};
use crate::workspace::Workspace;

/// Frame rows whose accumulators stay in the most registers, 3 each.
const ROWS: usize = 9;

/// The gradient of the weights, on its way to the lanes.
pub(super) struct WeightGradient<'a, S> {
    pub(super) shape: Shape,
    pub(super) pairs: Pairs<'a, S>,
    /// Where the output gradients come from, but for their pixels.
    pub(super) source: Source<'a, S>,
    pub(super) accumulate: Accumulate,
    pub(super) w: &'a mut [S],
    pub(super) workspace: &'a Workspace<S>,
}

impl<S: Real> Task<S> for WeightGradient<'_, S> {
    fn run<V: Lanes<Scalar = S>>(self) {
        let Self { shape, accumulate, workspace, .. } = self;
        let g = &shape.g;
        workspace.with(shape.groups() * shape.panel(), |partial| {
            let products = shape.n * g.height * g.width * g.channels_out;
            chunks_of(products, partial, shape.panel(), |index, partial| {
                group::<V>(&shape, (self.pairs, self.source), index, partial, workspace);
            });
            let (partial, w) = (&*partial, &mut self.w[..g.weights()]);
            chunks(w, shape.rows() * 3, |o, w| {
                for (i, w) in w.iter_mut().enumerate() {
                    let (channel, y, x) = (i / 9, i / 3 % 3, i % 3);
                    let tap = (y * g.channels_in + channel) * 3 + x;
                    let at = o / LANES * shape.block() + tap * LANES + o % LANES;
                    let parts = partial.chunks_exact(shape.panel());
                    let sum = S::from_f64(parts.map(|partial| partial[at].to_f64()).sum());
                    *w = if accumulate == Accumulate::Set { sum } else { *w + sum };
                }
            });
        });
    }
}

/// The part of the gradient from the images of one task.
fn group<V: Lanes>(
    shape: &Shape,
    (pairs, source): (Pairs<'_, V::Scalar>, Source<'_, V::Scalar>),
    index: usize,
    partial: &mut [V::Scalar],
    workspace: &Workspace<V::Scalar>,
) {
    let (strips, canvas) = (&shape.strips, shape.strips.canvas(TILE));
    let mut stage = Stage::new();
    partial.fill(V::Scalar::ZERO);
    workspace.with(shape.task_len(1), |scratch| {
        let (frames, pixels) = scratch.split_at_mut(shape.frames_len());
        frames.fill(V::Scalar::ZERO);
        for images in strips.images_of(shape.group(index)) {
            for (x, dy) in pairs {
                shape.frames.fill(x, shape.n, images.clone(), frames);
                let source = Source { x: dy, ..source };
                for (block, sums) in partial.chunks_exact_mut(shape.block()).enumerate() {
                    for rows in strips.rows() {
                        if source.epilogue == Epilogue::ReluMaxPool {
                            pixels.fill(V::Scalar::ZERO);
                        }
                        let (images, after) = (images.clone(), output_rows(source.epilogue, &rows));
                        let size = (images.len(), rows.len(), shape.g.width);
                        let part = Part { n: shape.n, block, slot: 0, images, rows: after };
                        V::vectorize(Read(part, source, canvas, &mut *pixels, &mut stage));
                        let frames = &frames[rows.start * shape.frames.row()..];
                        let strip = Strip { frames, frame: shape.frames, size, canvas, dz: pixels };
                        strip.add::<V>(shape.rows(), sums);
                    }
                }
            }
        }
    });
}

/// The pixels of one strip and one block of channels.
#[derive(Clone, Copy)]
struct Strip<'a, S> {
    /// The frames from the first row of the windows on.
    frames: &'a [S],
    frame: Frames,
    /// Images, and rows and pixels of each.
    size: (usize, usize, usize),
    canvas: Canvas,
    dz: &'a [S],
}

impl<S> Strip<'_, S> {
    /// Adds the products of the strip to the sums of `rows` frame rows.
    fn add<V: Lanes<Scalar = S>>(self, rows: usize, sums: &mut [S]) {
        let most = if V::TILE.1 == 2 { ROWS } else { 1 };
        let at_once = rows / rows.div_ceil(most);
        for (part, sums) in sums.chunks_exact_mut(at_once * 3 * LANES).enumerate() {
            let strip = Strip { frames: &self.frames[part * at_once * self.frame.width..], ..self };
            match at_once {
                9 => V::vectorize(Products::<_, 9>(strip, sums)),
                6 => V::vectorize(Products::<_, 6>(strip, sums)),
                3 => V::vectorize(Products::<_, 3>(strip, sums)),
                1 => V::vectorize(Products::<_, 1>(strip, sums)),
                _ => unreachable!("windows have 3, 6, 9 or 12 frame rows"),
            }
        }
    }
}

/// The loop over pixels for `R` frame rows.
struct Products<'a, S, const R: usize>(Strip<'a, S>, &'a mut [S]);

impl<V: Lanes, const R: usize> Leaf<V> for Products<'_, V::Scalar, R> {
    #[inline(always)]
    fn run(self) {
        let Self(strip, out) = self;
        let (images, height, width) = strip.size;
        let frame_row = strip.frame.width;
        let mut sums = [[V::zero(); 3]; R];
        for image in 0..images {
            for y in 0..height {
                let frames = &strip.frames[image * strip.frame.len() + y * strip.frame.row()..];
                let frames = frames[..(R - 1) * frame_row + width + 2].as_ptr();
                let dz = &strip.dz[strip.canvas.tile(image, (y, 0), 1)..][..width * LANES];
                for (x, dz) in dz.chunks_exact(LANES).enumerate() {
                    let (pixels, dz) = (frames.wrapping_add(x), V::read(dz));
                    for (row, sums) in sums.iter_mut().enumerate() {
                        for (tap, sum) in sums.iter_mut().enumerate() {
                            // SAFETY: the slice of frame rows holds the taps of all `width` pixels.
                            let pixel = unsafe { *pixels.add(row * frame_row + tap) };
                            *sum = V::splat(pixel).mul_add(dz, *sum);
                        }
                    }
                }
            }
        }
        for (sums, out) in sums.iter().zip(out.chunks_exact_mut(3 * LANES)) {
            for (tap, sum) in sums.iter().enumerate() {
                let out = &mut out[tap * LANES..];
                V::read(out).add(*sum).write(out);
            }
        }
    }
}
