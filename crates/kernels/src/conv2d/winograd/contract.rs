//! The three contractions over transformed operands. Tasks depend on sizes alone, and each sums in a fixed order.
#![expect(unsafe_code, reason = "tasks write interleaved ranges of one output")]

use std::marker::PhantomData;
use std::ops::Range;

use rayon::prelude::*;

use sharpness_backend::{Accumulate, Conv2d, Scalar};

use super::forms::{Form, InputAdjoint, Matrix, Output, Weight, WeightAdjoint};
use super::output::{Sums, Untransform};
use super::tiling::{Group, Tiling};
use super::weights::{self, PANEL, STAGE, Sum, panel_point};
use crate::disjoint::Disjoint;
use crate::epilogue::blocks::{Target, Write};
use crate::epilogue::canvas::Canvas;
use crate::epilogue::rows::Stage;
use crate::product::{Product, cut};
use crate::simd::{LANES, Lanes};
use crate::workspace::{Workspace, aligned};

/// A contraction is cut into at least about this many tasks, where there are as many groups of tiles.
const TASKS: usize = 8;
/// Blocks of 16 channels of the input and of the output in one task of the weights' gradient: their sums stay in the second-level
/// cache.
const GRADIENT_BLOCKS: (usize, usize) = (4, 8);

/// Numbers of the part of a panel that stays in the second-level cache, with a group's sums.
const PANEL_NUMBERS: usize = 9 << 14;

/// Pairs of a transformed operand and another, which a contraction sums over.
pub(super) type Pairs<'a, S> = &'a [(&'a [S], &'a [S])];

/// One call of a contraction.
pub(super) struct Call<'a, S> {
    pub(super) g: &'a Conv2d,
    pub(super) tiling: Tiling,
    pub(super) workspace: &'a Workspace<S>,
}

/// Elements that the largest task takes: a sum over channels of two pairs, or the sums of a gradient of weights.
pub(super) fn scratch_len(g: &Conv2d, tiling: &Tiling) -> usize {
    let over_channels = [Sum::Inputs, Sum::Outputs].map(|sum| {
        let blocks = sum.channels(g).0.div_ceil(LANES);
        let panels = 2 * tiling.points() * panel_point(blocks);
        panels + tiling.points() * sums_point(tiling) + tiling.input_canvas().len(tiling.images)
    });
    let blocks = |channels: usize, most: usize| channels.div_ceil(LANES).min(most);
    let (i, o) = (blocks(g.channels_in, GRADIENT_BLOCKS.0), blocks(g.channels_out, GRADIENT_BLOCKS.1));
    let gradient = tiling.points() * gradient_point((i, o));
    STAGE + over_channels[0].max(over_channels[1]).max(gradient)
}

/// Elements of the parts of a gradient of weights.
pub(super) fn partial_len(g: &Conv2d, tiling: &Tiling) -> usize {
    match gradient_parts(g, tiling) {
        1 => 0,
        parts => parts * g.weights(),
    }
}

/// Into how many parts the groups are cut where a gradient of weights has too few channels for as many tasks.
fn gradient_parts(g: &Conv2d, tiling: &Tiling) -> usize {
    let tasks = g.channels_in.div_ceil(GRADIENT_BLOCKS.0 * LANES)
        * g.channels_out.div_ceil(GRADIENT_BLOCKS.1 * LANES);
    TASKS.div_ceil(tasks).min(tiling.groups()).max(1)
}

/// Blocks of 16 channels of a panel that stay in the second-level cache.
fn cached_blocks(tiling: &Tiling) -> usize {
    (PANEL_NUMBERS / (tiling.points() * LANES * PANEL)).max(1)
}

/// Numbers between the points of a group's sums over channels.
const fn sums_point(tiling: &Tiling) -> usize {
    tiling.group_tiles() * PANEL + LANES
}

/// Numbers between the points of the sums of a gradient of `count` blocks of input and output channels.
const fn gradient_point(count: (usize, usize)) -> usize {
    count.0 * LANES * count.1 * LANES + LANES
}

/// A sum over channels: `y = Σ_k x_k w_k` or `x̄ = Σ_k ȳ_k w_k`.
struct OverChannels<'a, S> {
    call: &'a Call<'a, S>,
    sum: Sum,
    pairs: Pairs<'a, S>,
    target: &'a Target<'a, S>,
    canvas: Canvas,
    /// Whether results of neighbouring tiles overlap.
    overlap: bool,
    /// Blocks of 16 channels summed over.
    blocks: usize,
    /// Numbers between points of a group's sums.
    point: usize,
}

/// `y = Σ_k conv(x_k, w_k)` of transformed inputs, with the target's epilogue.
pub(super) fn forward<V: Lanes, F: Form<I, P, O>, const I: usize, const P: usize, const O: usize>(
    call: &Call<'_, V::Scalar>,
    pairs: Pairs<'_, V::Scalar>,
    target: &Target<'_, V::Scalar>,
) {
    let canvas = call.tiling.output_canvas();
    OverChannels::new(call, Sum::Inputs, pairs, target, canvas)
        .run::<V, P, O>(Weight::<F, I, P, O>(PhantomData), Output::<F, I, P, O>(PhantomData));
}

/// `x (+)= Σ_k convᵀ(ȳ_k, w_k)` of transformed output gradients.
pub(super) fn input_gradient<V: Lanes, F: Form<I, P, O>, const I: usize, const P: usize, const O: usize>(
    call: &Call<'_, V::Scalar>,
    pairs: Pairs<'_, V::Scalar>,
    target: &Target<'_, V::Scalar>,
) {
    let canvas = call.tiling.input_canvas();
    OverChannels::new(call, Sum::Outputs, pairs, target, canvas)
        .run::<V, P, I>(Weight::<F, I, P, O>(PhantomData), InputAdjoint::<F, I, P, O>(PhantomData));
}

impl<'a, S: Scalar> OverChannels<'a, S> {
    fn new(
        call: &'a Call<'a, S>,
        sum: Sum,
        pairs: Pairs<'a, S>,
        target: &'a Target<'a, S>,
        canvas: Canvas,
    ) -> Self {
        let blocks = sum.channels(call.g).0.div_ceil(LANES);
        let point = sums_point(&call.tiling);
        let overlap = sum == Sum::Outputs && call.tiling.size.input > call.tiling.size.output;
        Self { call, sum, pairs, target, canvas, overlap, blocks, point }
    }

    fn run<V: Lanes<Scalar = S>, const P: usize, const O: usize>(
        &self,
        weight: impl Matrix<3, P>,
        output: impl Matrix<P, O>,
    ) {
        let Call { g, tiling, workspace } = self.call;
        let panels = self.target.channels.div_ceil(PANEL);
        let parts = TASKS.div_ceil(panels).min(tiling.groups());
        let panel_len = tiling.points() * panel_point(self.blocks);
        let (sums_len, canvas_len) = (tiling.points() * self.point, self.canvas.len(tiling.images));
        let len = STAGE + self.pairs.len() * panel_len + sums_len + canvas_len;
        (0..panels * parts).into_par_iter().with_max_len(1).for_each(|task| {
            let (first, part) = (task / parts * PANEL, task % parts);
            workspace.with(len, |scratch| {
                let (stage, scratch) = scratch.split_at_mut(STAGE);
                let (panels, scratch) = scratch.split_at_mut(self.pairs.len() * panel_len);
                let (sums, pixels) = scratch.split_at_mut(sums_len);
                let groups = tiling.part(part, parts);
                // One group needs each panel once, a part that stays in the second-level cache at a time.
                let step = if groups.len() == 1 { cached_blocks(tiling) } else { self.blocks };
                for (nth, index) in groups.enumerate() {
                    let group = tiling.group(index);
                    for start in (0..self.blocks).step_by(step) {
                        let blocks = start..(start + step).min(self.blocks);
                        if nth == 0 {
                            for ((_, w), to) in self.pairs.iter().zip(panels.chunks_mut(panel_len)) {
                                let panel =
                                    (*g, self.sum, *w, (blocks.clone(), first), weight, &mut *stage, to);
                                V::vectorize(weights::TransformPanel::<_, _, P>(panel));
                            }
                        }
                        self.multiply::<V>(group, first, blocks, (panels, panel_len), sums);
                    }
                    self.write::<V, P, O>(group, first, output, sums, pixels);
                }
            });
        });
    }

    /// `sums: [point][tile][32]` of a group for the results `first..first + 32`, summed over `blocks` and all blocks before.
    fn multiply<V: Lanes<Scalar = S>>(
        &self,
        group: Group,
        first: usize,
        blocks: Range<usize>,
        (panels, panel_len): (&[S], usize),
        sums: &mut [S],
    ) {
        let tiling = &self.call.tiling;
        let vectors = (self.target.channels - first).div_ceil(LANES).min(2);
        let at_once = vectors.min(V::TILE.1);
        let (len, panel_point) = (self.blocks * tiling.block(), panel_point(blocks.len()));
        for point in 0..tiling.points() {
            for ((x, _), panel) in self.pairs.iter().zip(panels.chunks(panel_len)) {
                let x = &aligned(x)[group.index * len..][..len][blocks.start * tiling.block()..];
                let w = &panel[point * panel_point..][..panel_point];
                let add = blocks.start > 0 || !std::ptr::eq(panel.as_ptr(), panels.as_ptr());
                for tiles in cut(group.tiles, V::TILE.0) {
                    for vector in (0..vectors).step_by(at_once) {
                        let offset = vector * LANES;
                        Product {
                            a: &x[point * tiling.point() + tiles.start * LANES..],
                            a_block: tiling.block(),
                            next: tiling.point(),
                            a_step: 1,
                            b: [&w[offset..], &w[(offset + LANES).min(w.len())..]],
                            b_step: PANEL,
                            blocks: blocks.len(),
                            inner: LANES,
                            c: &mut sums[point * self.point + tiles.start * PANEL + offset..],
                            c_row: PANEL,
                            add,
                        }
                        .spread_rows::<V>(tiles.len(), at_once);
                    }
                }
            }
        }
    }

    /// Writes the results `first..first + 32` of a group.
    fn write<V: Lanes<Scalar = S>, const P: usize, const O: usize>(
        &self,
        group: Group,
        first: usize,
        f: impl Matrix<P, O>,
        sums: &[S],
        pixels: &mut [S],
    ) {
        let tiling = &self.call.tiling;
        for half in 0..(self.target.channels - first).div_ceil(LANES).min(2) {
            if self.overlap {
                pixels.fill(S::ZERO);
            }
            let sums = Sums { values: &sums[half * LANES..], point: self.point, row: PANEL };
            let tiles = (tiling, group, sums, f, self.canvas, &mut *pixels, self.overlap);
            V::vectorize(Untransform::<_, _, P, O>(tiles));
            let part = group.part(tiling.n, first / LANES + half, self.target.image.0);
            let stage = &mut Stage::new();
            // SAFETY: a group and 32 results belong to one task.
            V::vectorize(unsafe { Write::new(part, self.target, self.canvas, &*pixels, stage) });
        }
    }
}

/// `w (+)= Σ_k` of the convolution's adjoint in its weights, for pairs of a transformed input and output gradient.
pub(super) fn weight_gradient<V: Lanes, F: Form<I, P, O>, const I: usize, const P: usize, const O: usize>(
    call: &Call<'_, V::Scalar>,
    pairs: Pairs<'_, V::Scalar>,
    accumulate: Accumulate,
    w: &mut [V::Scalar],
) {
    let parts = gradient_parts(call.g, &call.tiling);
    if parts == 1 {
        let f = WeightAdjoint::<F, I, P, O>(PhantomData);
        // SAFETY: the weights are borrowed for this call alone.
        return unsafe { gradient_part::<V, P>(call, pairs, (0, 1), f, accumulate, &Disjoint::new(w)) };
    }
    call.workspace.with(parts * w.len(), |partial| {
        let len = w.len();
        partial.par_chunks_mut(len).with_max_len(1).enumerate().for_each(|(part, partial)| {
            let (f, to) = (WeightAdjoint::<F, I, P, O>(PhantomData), Disjoint::new(partial));
            // SAFETY: each part has weights of its own.
            unsafe { gradient_part::<V, P>(call, pairs, (part, parts), f, Accumulate::Set, &to) };
        });
        crate::parallel::chunks(w, REDUCED, |index, w| {
            if accumulate == Accumulate::Set {
                w.fill(V::Scalar::ZERO);
            }
            for partial in partial.chunks(len) {
                let partial = &partial[index * REDUCED..][..w.len()];
                w.iter_mut().zip(partial).for_each(|(w, &x)| *w += x);
            }
        });
    });
}

/// Weights that one task sums over the parts.
const REDUCED: usize = 1 << 12;

/// The gradient of the weights over part `part` of the groups.
///
/// # Safety
/// Nothing else reads or writes `w` meanwhile.
unsafe fn gradient_part<V: Lanes, const P: usize>(
    call: &Call<'_, V::Scalar>,
    pairs: Pairs<'_, V::Scalar>,
    (part, parts): (usize, usize),
    f: impl Matrix<P, 3>,
    accumulate: Accumulate,
    w: &Disjoint<'_, V::Scalar>,
) {
    let Call { g, tiling, workspace } = call;
    let blocks = (g.channels_in.div_ceil(LANES), g.channels_out.div_ceil(LANES));
    let cuts = (blocks.0.div_ceil(GRADIENT_BLOCKS.0), blocks.1.div_ceil(GRADIENT_BLOCKS.1));
    (0..cuts.0 * cuts.1).into_par_iter().with_max_len(1).for_each(|task| {
        let at = (task / cuts.1 * GRADIENT_BLOCKS.0, task % cuts.1 * GRADIENT_BLOCKS.1);
        let count = (GRADIENT_BLOCKS.0.min(blocks.0 - at.0), GRADIENT_BLOCKS.1.min(blocks.1 - at.1));
        let point = gradient_point(count);
        workspace.with(STAGE + tiling.points() * point, |scratch| {
            let (stage, sums) = scratch.split_at_mut(STAGE);
            for (index, group) in tiling.part(part, parts).map(|index| tiling.group(index)).enumerate() {
                for (pair, (x, y)) in pairs.iter().enumerate() {
                    let of = |x, blocks, at| GroupBlocks { x: aligned(x), group: group.index * blocks + at };
                    let operands = (of(x, blocks.0, at.0), of(y, blocks.1, at.1));
                    sum_tiles::<V>(tiling, group, operands, count, (index, pair) != (0, 0), sums);
                }
            }
            let row = count.1 * LANES;
            for (i, o) in (0..count.0).flat_map(|i| (0..count.1).map(move |o| (i, o))) {
                let from = (&sums[(i * row + o) * LANES..], point, row);
                let at = ((at.1 + o) * LANES, (at.0 + i) * LANES);
                V::vectorize(weights::UntransformSums::<_, _, P>((from, f, &mut *stage)));
                // SAFETY: these blocks of channels belong to this task, and `w` to this call.
                V::vectorize(unsafe { weights::Store::new((*g, at, &*stage, w, accumulate)) });
            }
        });
    });
}

/// Consecutive blocks of 16 channels of one group of a transformed operand, from block number `group` on.
#[derive(Clone, Copy)]
struct GroupBlocks<'a, S> {
    x: &'a [S],
    group: usize,
}

impl<'a, S> GroupBlocks<'a, S> {
    /// Point `point` of the `index`th block.
    fn at(&self, tiling: &Tiling, group: Group, index: usize, point: usize) -> &'a [S] {
        let start = (self.group + index) * tiling.block() + point * tiling.point();
        &self.x[start..start + group.tiles * LANES]
    }
}

/// `sums: [point][input channel][output channel] (+)=` the sums over a group's tiles, for `count` blocks of channels.
fn sum_tiles<V: Lanes>(
    tiling: &Tiling,
    group: Group,
    (x, y): (GroupBlocks<'_, V::Scalar>, GroupBlocks<'_, V::Scalar>),
    count: (usize, usize),
    add: bool,
    sums: &mut [V::Scalar],
) {
    let row = count.1 * LANES;
    for point in 0..tiling.points() {
        let sums = &mut sums[point * gradient_point(count)..];
        for o in (0..count.1).step_by(V::TILE.1) {
            let vectors = V::TILE.1.min(count.1 - o);
            let b = y.at(tiling, group, o, point);
            let b = [b, if vectors == 2 { y.at(tiling, group, o + 1, point) } else { b }];
            for i in 0..count.0 {
                for rows in cut(LANES, V::TILE.0) {
                    Product {
                        a: &x.at(tiling, group, i, point)[rows.start..],
                        a_block: 0,
                        next: tiling.point(),
                        a_step: LANES,
                        b,
                        b_step: LANES,
                        blocks: 1,
                        inner: group.tiles,
                        c: &mut sums[(i * LANES + rows.start) * row + o * LANES..],
                        c_row: row,
                        add,
                    }
                    .adjacent_rows::<V>(rows.len(), vectors);
                }
            }
        }
    }
}
