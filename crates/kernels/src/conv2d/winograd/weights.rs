//! Weights in the transformed domain, panel by panel, and gradients of weights back from it.
//!
//! Weights are `[c_out, c_in, 3, 3]` row-major. A panel is the right factor of a sum over channels: `[point][channel summed
//! over][32]` with 32 channels of the result.
#![expect(unsafe_code, reason = "tasks write interleaved ranges of one output")]

use std::ops::Range;

use sharpness_backend::{Accumulate, Conv2d};

use super::forms::Matrix;
use super::sandwich::sandwich;
use crate::disjoint::Disjoint;
use crate::epilogue::rows::{self, Rows};
use crate::simd::{LANES, Lanes, Leaf};

/// Taps of a kernel.
const TAPS: usize = 9;
/// Channels of a panel's result.
pub(super) const PANEL: usize = 2 * LANES;
/// Numbers of the taps of 16 x 16 channels.
pub(super) const STAGE: usize = TAPS * LANES * LANES;

/// Which channels are summed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sum {
    /// Those of the input: the result is an output.
    Inputs,
    /// Those of the output: the result is an input's gradient.
    Outputs,
}

impl Sum {
    /// Channels summed over, and channels of the result.
    pub(super) const fn channels(self, g: &Conv2d) -> (usize, usize) {
        match self {
            Self::Inputs => (g.channels_in, g.channels_out),
            Self::Outputs => (g.channels_out, g.channels_in),
        }
    }
}

/// Numbers between the points of a panel over `blocks` blocks of channels. One line more keeps points out of each other's cache sets.
pub(super) const fn panel_point(blocks: usize) -> usize {
    blocks * LANES * PANEL + LANES
}

/// The loop of [`panel`].
pub(super) struct TransformPanel<'a, S, M, const P: usize>(pub(super) Panel<'a, S, M>);

impl<V: Lanes, M: Matrix<3, P>, const P: usize> Leaf<V> for TransformPanel<'_, V::Scalar, M, P> {
    #[inline(always)]
    fn run(self) {
        panel::<V, P>(self.0);
    }
}

/// The loop of [`taps_of_sums`].
pub(super) struct UntransformSums<'a, S, M, const P: usize>(pub(super) Sums<'a, S, M>);

impl<V: Lanes, M: Matrix<P, 3>, const P: usize> Leaf<V> for UntransformSums<'_, V::Scalar, M, P> {
    #[inline(always)]
    fn run(self) {
        taps_of_sums::<V, P>(self.0);
    }
}

/// The loop of [`store`].
pub(super) struct Store<'a, S>(Stage<'a, S>);

impl<'a, S> Store<'a, S> {
    /// Stores a stage.
    ///
    /// # Safety
    /// As [`store`], while it runs.
    pub(super) const unsafe fn new(stage: Stage<'a, S>) -> Self {
        Self(stage)
    }
}

impl<V: Lanes> Leaf<V> for Store<'_, V::Scalar> {
    #[inline(always)]
    fn run(self) {
        // SAFETY: `new` was promised so.
        unsafe { store::<V>(self.0) };
    }
}

/// What [`panel`] reads and writes: the geometry, the sum, the weights, the blocks of channels that are summed over and the panel's
/// first channel, the matrix `G`, the scratch for a stage, and the panel.
pub(super) type Panel<'a, S, F> =
    (&'a Conv2d, Sum, &'a [S], (Range<usize>, usize), F, &'a mut [S], &'a mut [S]);

/// Writes the transformed weights for the results `first..first + 32` of a sum over `blocks`.
#[inline(always)]
pub(super) fn panel<V: Lanes, const P: usize>(
    (g, sum, w, (blocks, first), f, stage, to): Panel<'_, V::Scalar, impl Matrix<3, P>>,
) {
    let (summed_over, results) = sum.channels(g);
    let (point, start) = (panel_point(blocks.len()), blocks.start);
    for block in blocks {
        let summed = block * LANES;
        for half in 0..(results - first).div_ceil(LANES).min(2) {
            let result = first + half * LANES;
            match sum {
                Sum::Inputs => stage_inputs::<V>(g, w, (result, summed), stage),
                Sum::Outputs => stage_outputs::<V>(g, w, (summed, result), stage),
            }
            let next = summed + LANES;
            if next < summed_over {
                ask::<V>(g, w, if sum == Sum::Inputs { (result, next) } else { (next, result) });
            }
            for k in 0..LANES {
                let to = &mut to[((block - start) * LANES + k) * PANEL + half * LANES..];
                let taps = (&stage[k * TAPS * LANES..], (3 * LANES, LANES));
                sandwich::<V, 3, P>(f, taps, (to, (P * point, point)), false);
            }
        }
    }
}

/// The rows of 16 output channels from `out` with the taps of 16 input channels from `input` as columns.
const fn taps(g: &Conv2d, (out, input): (usize, usize)) -> (Rows, usize) {
    let stride = g.channels_in * TAPS;
    let (lanes, inputs) = (g.channels_out - out, g.channels_in - input);
    let lanes = if lanes < LANES { lanes } else { LANES };
    let inputs = if inputs < LANES { inputs } else { LANES };
    (Rows { first: out * stride + input * TAPS, stride, lanes }, inputs * TAPS)
}

/// Asks for the taps that are staged next: they lie in many short runs far from each other.
#[inline(always)]
fn ask<V: Lanes>(g: &Conv2d, w: &[V::Scalar], at: (usize, usize)) {
    let (rows, columns) = taps(g, at);
    for row in 0..rows.lanes {
        for column in (0..columns).step_by(LANES) {
            V::prefetch(w.as_ptr().wrapping_add(rows.first + row * rows.stride + column));
        }
    }
}

/// `[input channel][tap][16 output channels]`; zeros for input channels that do not exist.
#[inline(always)]
fn stage_inputs<V: Lanes>(g: &Conv2d, w: &[V::Scalar], at: (usize, usize), stage: &mut [V::Scalar]) {
    let (rows, columns) = taps(g, at);
    for start in (0..TAPS * LANES).step_by(LANES) {
        let width = columns.saturating_sub(start).min(LANES);
        let vectors = if width > 0 { rows::load::<V>(w, rows, start, width) } else { [V::zero(); LANES] };
        for (i, vector) in vectors.into_iter().enumerate() {
            let vector = if i < width { vector } else { V::zero() };
            vector.write(&mut stage[(start + i) * LANES..]);
        }
    }
}

/// `[output channel][tap][16 input channels]`; zeros for output channels that do not exist.
#[inline(always)]
fn stage_outputs<V: Lanes>(
    g: &Conv2d,
    w: &[V::Scalar],
    (out, input): (usize, usize),
    stage: &mut [V::Scalar],
) {
    let lanes = LANES.min(g.channels_in - input);
    for k in 0..LANES {
        let mut vectors = [V::zero(); LANES];
        if out + k < g.channels_out {
            let first = ((out + k) * g.channels_in + input) * TAPS;
            vectors = rows::load::<V>(w, Rows { first, stride: TAPS, lanes }, 0, TAPS);
        }
        for (tap, &vector) in vectors.iter().enumerate().take(TAPS) {
            vector.write(&mut stage[(k * TAPS + tap) * LANES..]);
        }
    }
}

/// What [`taps_of_sums`] reads and writes: the transformed gradient from `[0][input channel][16 output channels]` on with the
/// distances between points and input channels, the matrix `Gᵀ`, and the stage.
pub(super) type Sums<'a, S, M> = ((&'a [S], usize, usize), M, &'a mut [S]);

/// `stage: [input channel][tap][16 output channels]` = the gradient of the weights of 16 x 16 channels.
#[inline(always)]
pub(super) fn taps_of_sums<V: Lanes, const P: usize>(
    ((from, point, row), f, stage): Sums<'_, V::Scalar, impl Matrix<P, 3>>,
) {
    for k in 0..LANES {
        let to = (&mut stage[k * TAPS * LANES..], (3 * LANES, LANES));
        sandwich::<V, P, 3>(f, (&from[k * row..], (P * point, point)), to, false);
    }
}

/// What [`store`] reads and writes: the geometry, the block's first output and input channel, the stage, and the gradient.
pub(super) type Stage<'a, S> = (&'a Conv2d, (usize, usize), &'a [S], &'a Disjoint<'a, S>, Accumulate);

/// Writes the gradient of the weights of 16 x 16 channels from its stage.
///
/// # Safety
/// No other task reads or writes these weights meanwhile.
#[inline(always)]
unsafe fn store<V: Lanes>((g, at, stage, to, accumulate): Stage<'_, V::Scalar>) {
    let (rows, columns) = taps(g, at);
    for start in (0..columns).step_by(LANES) {
        let mut vectors = [V::zero(); LANES];
        for (vector, from) in vectors.iter_mut().zip(stage[start * LANES..].chunks_exact(LANES)) {
            *vector = V::read(from);
        }
        let width = LANES.min(columns - start);
        // SAFETY: as the caller promises.
        unsafe { rows::store::<V>(vectors, to, rows, (start, width), accumulate) };
    }
}
