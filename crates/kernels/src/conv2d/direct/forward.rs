//! The sum over taps, for two image rows and a few pixels at once.
#![expect(unsafe_code, reason = "tasks write interleaved ranges of one output")]

use super::frames::{Frames, TILE};
use super::shape::{Pairs, Shape};
use crate::Real;
use crate::epilogue::blocks::{Part, Target, Write};
use crate::epilogue::canvas::Canvas;
use crate::epilogue::output_rows;
use crate::epilogue::rows::{self, Rows, Stage};
use crate::parallel::tasks;
use crate::simd::{LANES, Lanes, Leaf, Task};
use crate::workspace::Workspace;

/// The forward pass, on its way to the lanes.
pub(super) struct Forward<'a, S> {
    pub(super) shape: Shape,
    pub(super) pairs: Pairs<'a, S>,
    pub(super) target: Target<'a, S>,
    pub(super) workspace: &'a Workspace<S>,
}

impl<S: Real> Task<S> for Forward<'_, S> {
    fn run<V: Lanes<Scalar = S>>(self) {
        let Self { shape, pairs, workspace, .. } = &self;
        workspace.with(pairs.len() * shape.panel(), |panels| {
            for (&(_, w), panel) in pairs.iter().zip(panels.chunks_exact_mut(shape.panel())) {
                V::vectorize(Transpose { shape, w, panel });
            }
            let products = shape.n * shape.g.height * shape.g.width * shape.g.channels_out;
            tasks(shape.groups(), products, |index| self.group::<V>(index, panels));
        });
    }
}

impl<S: Real> Forward<'_, S> {
    /// The results of the images of one task.
    fn group<V: Lanes<Scalar = S>>(&self, index: usize, panels: &[S]) {
        let Self { shape, pairs, target, workspace } = self;
        let (strips, canvas) = (&shape.strips, shape.strips.canvas(TILE));
        let mut stage = Stage::new();
        workspace.with(shape.task_len(pairs.len()), |scratch| {
            let (frames, pixels) = scratch.split_at_mut(pairs.len() * shape.frames_len());
            frames.fill(S::ZERO);
            for images in strips.images_of(shape.group(index)) {
                for ((x, _), frames) in pairs.iter().zip(frames.chunks_exact_mut(shape.frames_len())) {
                    shape.frames.fill(x, shape.n, images.clone(), frames);
                }
                for block in 0..shape.blocks() {
                    for rows in strips.rows() {
                        let sum = Strip {
                            frames: &frames[rows.start * shape.frames.row()..],
                            frame: shape.frames,
                            frames_len: shape.frames_len(),
                            panels: &panels[block * shape.block()..],
                            panel_len: shape.panel(),
                            pairs: pairs.len(),
                            rows: shape.rows(),
                            size: (images.len(), rows.len(), shape.g.width),
                            canvas,
                            to: &mut *pixels,
                        };
                        sum.run::<V>();
                        let (images, rows) = (images.clone(), output_rows(target.epilogue, &rows));
                        let part = Part { n: shape.n, block, slot: 0, images, rows };
                        // SAFETY: tasks have other images, and this one writes each block's rows in turn.
                        V::vectorize(unsafe { Write::new(part, target, canvas, &*pixels, &mut stage) });
                    }
                }
            }
        });
    }
}

/// `panel: [block][frame row][pixel][16]` = the weights.
struct Transpose<'a, S> {
    shape: &'a Shape,
    w: &'a [S],
    panel: &'a mut [S],
}

impl<V: Lanes> Leaf<V> for Transpose<'_, V::Scalar> {
    #[inline(always)]
    fn run(self) {
        let Self { shape, w, panel } = self;
        let channels = shape.g.channels_in;
        for block in 0..shape.blocks() {
            let lanes = LANES.min(shape.g.channels_out - block * LANES);
            for row in 0..shape.rows() {
                // The frame row of channel `row % channels`, `row / channels` image rows below the window's first.
                let first = ((block * LANES * channels + row % channels) * 3 + row / channels) * 3;
                let vectors = rows::load::<V>(w, Rows { first, stride: 9 * channels, lanes }, 0, 3);
                for (pixel, &vector) in vectors.iter().enumerate().take(3) {
                    vector.write(&mut panel[block * shape.block() + (row * 3 + pixel) * LANES..]);
                }
            }
        }
    }
}

/// The sums of the pixels of one strip and one block of channels.
struct Strip<'a, S> {
    /// The frames of all pairs from the first row of the windows on.
    frames: &'a [S],
    frame: Frames,
    /// Numbers between the frames of pairs.
    frames_len: usize,
    panels: &'a [S],
    /// Numbers between the weights of pairs.
    panel_len: usize,
    pairs: usize,
    /// Frame rows of a window.
    rows: usize,
    /// Images, and rows and pixels of each.
    size: (usize, usize, usize),
    canvas: Canvas,
    to: &'a mut [S],
}

impl<S> Strip<'_, S> {
    fn run<V: Lanes<Scalar = S>>(self) {
        // Twice as many vectors accumulate as a tile has pixels.
        if V::TILE.1 == 2 { V::vectorize(Tiles::<_, TILE>(self)) } else { V::vectorize(Tiles::<_, 2>(self)) }
    }
}

/// The loop over tiles of two rows of `P` pixels.
struct Tiles<'a, S, const P: usize>(Strip<'a, S>);

impl<V: Lanes, const P: usize> Leaf<V> for Tiles<'_, V::Scalar, P> {
    #[inline(always)]
    fn run(self) {
        let strip = self.0;
        let (images, rows, width) = strip.size;
        for image in 0..images {
            for y in (0..rows).step_by(2) {
                for x in (0..width).step_by(P) {
                    let from = image * strip.frame.len() + y * strip.frame.row() + x;
                    let sums = tile::<V, P>(&strip, from);
                    let first = strip.canvas.tile(image, (y, x), 1);
                    for (row, sums) in sums.iter().enumerate() {
                        let to = &mut strip.to[first + row * strip.canvas.row()..];
                        for (pixel, sum) in sums.iter().enumerate() {
                            sum.write(&mut to[pixel * LANES..]);
                        }
                    }
                }
            }
        }
    }
}

/// The sums of two rows of `P` pixels whose windows begin at `from`.
#[inline(always)]
fn tile<V: Lanes, const P: usize>(strip: &Strip<'_, V::Scalar>, from: usize) -> [[V; P]; 2] {
    let mut sums = [[V::zero(); P]; 2];
    for pair in 0..strip.pairs {
        let frames = &strip.frames[pair * strip.frames_len + from..];
        let panel = &strip.panels[pair * strip.panel_len..];
        for row in 0..strip.rows {
            let upper = &frames[row * strip.frame.width..][..P + 2];
            let lower = &frames[row * strip.frame.width + strip.frame.row()..][..P + 2];
            let panel = &panel[row * 3 * LANES..][..3 * LANES];
            for tap in 0..3 {
                let weight = V::read(&panel[tap * LANES..]);
                for pixel in 0..P {
                    sums[0][pixel] = V::splat(upper[tap + pixel]).mul_add(weight, sums[0][pixel]);
                    sums[1][pixel] = V::splat(lower[tap + pixel]).mul_add(weight, sums[1][pixel]);
                }
            }
        }
    }
    sums
}
