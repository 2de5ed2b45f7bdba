//! The products of a linear layer, by panels of 32 columns of the right factor that stay in the caches.
#![expect(unsafe_code, reason = "tasks write interleaved ranges of one output")]

use std::ops::Range;

use rayon::prelude::*;

use sharpness_backend::Accumulate;

use crate::Real;
use crate::disjoint::Disjoint;
use crate::epilogue::rows::write;
use crate::product::{Product, cut};
use crate::simd::{LANES, Lanes, Leaf, Task};
use crate::transpose::Transpose;
use crate::workspace::{Workspace, bytes};

/// Columns of a panel.
const PANEL: usize = 2 * LANES;
/// The most steps of a sum between two looks at its result: a panel of them fits the first-level cache.
const DEPTH: usize = 256;
/// The most rows of a task: its results stay in the second-level cache.
const ROWS: usize = 18 * 14;
/// Fewer panels than this are cut into parts of at least [`FEW_ROWS`] rows, so that several threads have work.
const TASKS: usize = 8;
const FEW_ROWS: usize = 4 * 14;
/// Products of numbers below which all is done on the calling thread: waking a thread costs more.
const SERIAL: usize = 1 << 19;

/// `c (+)= Σ_k a_kᵀ b_k` for pairs of `a: [depth, rows]` and `b`.
#[derive(Debug)]
pub(super) struct Contraction<'a, S> {
    pub(super) pairs: &'a [(&'a [S], &'a [S])],
    pub(super) rows: usize,
    pub(super) columns: usize,
    pub(super) depth: usize,
    /// How `b` is stored.
    pub(super) right: Order,
    pub(super) output: Output<'a, S>,
    pub(super) workspace: &'a Workspace<S>,
}

/// The order of a matrix with as many columns as the result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// Row after row.
    Rows,
    /// Column after column.
    Columns,
}

/// What happens to a result.
#[derive(Debug)]
pub(super) enum Output<'a, S> {
    /// It is stored row after row.
    Rows(Accumulate, &'a mut [S]),
    /// It is stored column after column.
    Columns(Accumulate, &'a mut [S]),
    /// Each column gets its bias and is stored as such.
    Biased(Option<&'a [S]>, &'a mut [S]),
    /// Each column gets its bias, and its positive part is stored and recorded.
    Record(Option<&'a [S]>, &'a mut [S], &'a mut [u8]),
    /// Each column gets its bias, and what was recorded is stored.
    Replay(Option<&'a [S]>, &'a mut [S], &'a [u8]),
}

/// Bytes that a task of a contraction with `rows` rows takes of the workspace.
pub(super) fn scratch_bytes<R>(rows: usize) -> usize {
    bytes::<R>(scratch_len(rows.min(ROWS)))
}

/// Numbers that a task of `rows` rows takes: a panel and its results.
const fn scratch_len(rows: usize) -> usize {
    (DEPTH + rows) * PANEL
}

/// Where a task stores results, and what it does to them.
struct Target<'a, S> {
    order: Order,
    accumulate: Accumulate,
    bias: Option<&'a [S]>,
    choice: Choices<'a>,
    c: Disjoint<'a, S>,
}

/// The choices of a ReLU, while several tasks make their parts of them.
enum Choices<'a> {
    None,
    Record(Disjoint<'a, u8>),
    Replay(&'a [u8]),
}

impl<'a, S> Target<'a, S> {
    fn new(output: Output<'a, S>) -> Self {
        let none = Choices::None;
        let (order, accumulate, bias, choice, c) = match output {
            Output::Rows(accumulate, c) => (Order::Rows, accumulate, None, none, c),
            Output::Columns(accumulate, c) => (Order::Columns, accumulate, None, none, c),
            Output::Biased(bias, c) => (Order::Columns, Accumulate::Set, bias, none, c),
            Output::Record(bias, c, choice) => {
                (Order::Columns, Accumulate::Set, bias, Choices::Record(Disjoint::new(choice)), c)
            }
            Output::Replay(bias, c, choice) => {
                (Order::Columns, Accumulate::Set, bias, Choices::Replay(choice), c)
            }
        };
        Self { order, accumulate, bias, choice, c: Disjoint::new(c) }
    }
}

impl<S: Real> Task<S> for Contraction<'_, S> {
    fn run<V: Lanes<Scalar = S>>(self) {
        let Self { pairs, rows, columns, depth, right, output, workspace } = self;
        let call = Call { pairs, rows, columns, depth, right, target: &Target::new(output), workspace };
        let panels = columns.div_ceil(PANEL);
        let few = TASKS.div_ceil(panels.max(1)).min(rows / FEW_ROWS);
        let parts = rows.div_ceil(ROWS).max(few);
        let task = |task: usize| {
            let (panel, part) = (task / parts, task % parts);
            call.part::<V>(panel * PANEL, rows * part / parts..rows * (part + 1) / parts);
        };
        if pairs.len() * rows * columns * depth < SERIAL {
            (0..panels * parts).for_each(task);
        } else {
            (0..panels * parts).into_par_iter().with_max_len(1).for_each(task);
        }
    }
}

/// A [`Contraction`] under way.
#[derive(Clone, Copy)]
struct Call<'a, S> {
    pairs: &'a [(&'a [S], &'a [S])],
    rows: usize,
    columns: usize,
    depth: usize,
    right: Order,
    target: &'a Target<'a, S>,
    workspace: &'a Workspace<S>,
}

impl<S: Real> Call<'_, S> {
    /// The rows `rows` of the panel from column `first` on.
    fn part<V: Lanes<Scalar = S>>(&self, first: usize, rows: Range<usize>) {
        let columns = PANEL.min(self.columns - first);
        self.workspace.with(scratch_len(rows.len()), |scratch| {
            let (panel, sums) = scratch.split_at_mut(DEPTH * PANEL);
            let mut add = false;
            for &(a, b) in self.pairs {
                for steps in cut(self.depth, DEPTH) {
                    let a = &a[steps.start * self.rows + rows.start..];
                    self.pack::<V>(b, first..first + columns, steps.clone(), panel);
                    self.multiply::<V>(a, &panel[..steps.len() * PANEL], (rows.len(), columns), add, sums);
                    add = true;
                }
            }
            if !add {
                sums.fill(S::ZERO);
            }
            let (n, columns, target) = (self.rows, self.columns, self.target);
            // SAFETY: these rows of this panel belong to this task.
            V::vectorize(unsafe { Store::new((n, columns), (first, rows), sums, target) });
        });
    }

    /// `panel: [step][32]` = the given columns of `b`, and zeros.
    fn pack<V: Lanes<Scalar = S>>(
        &self,
        b: &[S],
        columns: Range<usize>,
        steps: Range<usize>,
        panel: &mut [S],
    ) {
        let width = columns.len().next_multiple_of(LANES);
        match self.right {
            Order::Columns => V::vectorize(Transpose {
                from: &b[columns.start * self.depth + steps.start..],
                from_row: self.depth,
                rows: columns.len(),
                columns: steps.len(),
                to: panel,
                to_row: PANEL,
                width,
                accumulate: Accumulate::Set,
            }),
            Order::Rows => {
                for (step, to) in steps.zip(panel.chunks_mut(PANEL)) {
                    to[..columns.len()].copy_from_slice(&b[step * self.columns..][columns.clone()]);
                    to[columns.len()..width].fill(S::ZERO);
                }
            }
        }
    }

    /// `sums: [row][32] (+)=` the product with one panel.
    fn multiply<V: Lanes<Scalar = S>>(
        &self,
        a: &[S],
        panel: &[S],
        (rows, columns): (usize, usize),
        add: bool,
        sums: &mut [S],
    ) {
        let vectors = columns.div_ceil(LANES);
        let at_once = vectors.min(V::TILE.1);
        for tile in cut(rows, V::TILE.0) {
            for offset in (0..vectors * LANES).step_by(at_once * LANES) {
                Product {
                    a: &a[tile.start..],
                    a_block: 0,
                    a_step: self.rows,
                    next: 0,
                    b: [&panel[offset..], &panel[(offset + LANES).min(panel.len())..]],
                    b_step: PANEL,
                    blocks: 1,
                    inner: panel.len() / PANEL,
                    c: &mut sums[tile.start * PANEL + offset..],
                    c_row: PANEL,
                    add,
                }
                .adjacent_rows::<V>(tile.len(), at_once);
            }
        }
    }
}

/// Stores `sums: [row][32]`, the rows `rows` of the panel from column `first` on of an `n x columns` result.
struct Store<'a, S> {
    n: usize,
    columns: usize,
    first: usize,
    rows: Range<usize>,
    sums: &'a [S],
    target: &'a Target<'a, S>,
}

impl<'a, S> Store<'a, S> {
    /// The rows of the panel from `first` on.
    ///
    /// # Safety
    /// While it runs, no other task reads or writes these results and their choices.
    const unsafe fn new(
        (n, columns): (usize, usize),
        (first, rows): (usize, Range<usize>),
        sums: &'a [S],
        target: &'a Target<'a, S>,
    ) -> Self {
        Self { n, columns, first, rows, sums, target }
    }
}

impl<V: Lanes> Leaf<V> for Store<'_, V::Scalar> {
    #[inline(always)]
    fn run(self) {
        for offset in (0..PANEL.min(self.columns - self.first)).step_by(LANES) {
            // SAFETY: `new` was promised that this task alone has these results and choices.
            unsafe {
                match self.target.order {
                    Order::Rows => self.store_rows::<V>(offset),
                    Order::Columns => self.store_columns::<V>(offset),
                }
            }
        }
    }
}

impl<S> Store<'_, S> {
    /// The 16 columns from `offset` on of the panel, row by row.
    ///
    /// # Safety
    /// As [`Self::new`].
    #[inline(always)]
    unsafe fn store_rows<V: Lanes<Scalar = S>>(&self, offset: usize) {
        let Self { columns, target, .. } = *self;
        let column = self.first + offset;
        let lanes = LANES.min(columns - column);
        for (sums, row) in self.sums.chunks(PANEL).zip(self.rows.clone()) {
            // SAFETY: as the caller promises.
            let to = unsafe { target.c.part(row * columns + column, lanes) };
            write(V::read(&sums[offset..]), to, target.accumulate);
        }
    }

    /// The 16 columns from `offset` on of the panel, column by column.
    ///
    /// # Safety
    /// As [`Self::new`].
    #[inline(always)]
    unsafe fn store_columns<V: Lanes<Scalar = S>>(&self, offset: usize) {
        let Self { n, columns, target, .. } = *self;
        let column = self.first + offset;
        let lanes = LANES.min(columns - column);
        let bias = target.bias.map_or(V::zero(), |bias| V::read_few(&bias[column..column + lanes]));
        for start in (0..self.rows.len()).step_by(LANES) {
            let count = LANES.min(self.rows.len() - start);
            let mut block = [V::zero(); LANES];
            for (l, vector) in block.iter_mut().enumerate().take(count) {
                let sum = V::read(&self.sums[(start + l) * PANEL + offset..]);
                let place = column / LANES * n + self.rows.start + start + l;
                // SAFETY: as the caller promises.
                *vector = unsafe { self.chosen(sum.add(bias), place) };
            }
            V::transpose(&mut block);
            for (l, &vector) in block.iter().enumerate().take(lanes) {
                // SAFETY: as the caller promises.
                let to = unsafe { target.c.part((column + l) * n + self.rows.start + start, count) };
                write(vector, to, target.accumulate);
            }
        }
    }

    /// What passes of `z`, whose choice has the number `place`.
    ///
    /// # Safety
    /// As [`Self::new`].
    #[inline(always)]
    unsafe fn chosen<V: Lanes<Scalar = S>>(&self, z: V, place: usize) -> V {
        match &self.target.choice {
            Choices::None => z,
            Choices::Record(choice) => {
                let positive = z.greater(V::zero());
                // SAFETY: as the caller promises.
                unsafe { choice.part(2 * place, 2) }.copy_from_slice(&positive.to_le_bytes());
                // A NaN stays one, so that a diverged run is seen.
                z.keep(positive | z.nan())
            }
            Choices::Replay(choice) => z.keep(u16::from_le_bytes([choice[2 * place], choice[2 * place + 1]])),
        }
    }
}
