//! Convolution as a matrix product of the weights and a matrix of image patches, block of examples by block of examples.
//!
//! The patch matrix of a block has one row per `(c_in, ky, kx)` and one column per output pixel, so that
//! `y = W P`, `P̄ = Wᵀ ȳ` and `W̄ = ȳ Pᵀ` for all three contractions.

use smallvec::SmallVec;

use sharpness_backend::{Accumulate, Conv2d, Epilogue};

use super::output_size;
use crate::Real;
use crate::epilogue::{self, Addends, Choice};
use crate::matmul::{Matrix, MatrixMut, matmul};
use crate::parallel::chunks;
use crate::workspace::Workspace;

/// Elements of the patch matrix of one block, unless one example needs more: it stays within the last-level cache.
const BLOCK_ELEMENTS: usize = 1 << 21;

/// The geometry of one call.
struct Blocks<'a> {
    g: &'a Conv2d,
    n: usize,
    h_out: usize,
    w_out: usize,
    /// Rows of the patch matrix.
    rows: usize,
    /// Examples in a block; depends on the geometry alone.
    examples: usize,
}

impl<'a> Blocks<'a> {
    fn new(g: &'a Conv2d, n: usize) -> Self {
        let (h_out, w_out) = g.sizes();
        let rows = g.channels_in * g.kernel * g.kernel;
        let examples = (BLOCK_ELEMENTS / (rows * h_out * w_out).max(1)).max(1);
        Self { g, n, h_out, w_out, rows, examples }
    }

    fn pixels(&self) -> usize {
        self.h_out * self.w_out
    }

    /// The ranges of examples of the blocks, in order.
    fn ranges(&self) -> impl Iterator<Item = (usize, usize)> + use<> {
        let (n, step) = (self.n, self.examples);
        (0..n).step_by(step).map(move |start| (start, (start + step).min(n)))
    }

    /// The range `first .. first + out.len()` of one kernel offset's output columns that fall inside the image along one axis.
    fn inside(&self, k: usize, input: usize, output: usize) -> (usize, usize) {
        let (stride, padding) = (self.g.stride, self.g.padding);
        let first = padding.saturating_sub(k).div_ceil(stride);
        let end = if input + padding > k { ((input + padding - k - 1) / stride + 1).min(output) } else { 0 };
        (first.min(end), end)
    }

    /// Calls `f(patch column start, x offset, count)` for each run of output pixels of patch row `(ky, kx)` that lies inside
    /// the image, for examples `start..end` of one channel; the run's inputs are `stride` apart.
    fn runs(
        &self,
        (ky, kx): (usize, usize),
        (start, end): (usize, usize),
        mut f: impl FnMut(usize, usize, usize),
    ) {
        let g = self.g;
        let (y0, y1) = self.inside(ky, g.height, self.h_out);
        let (x0, x1) = self.inside(kx, g.width, self.w_out);
        if x0 >= x1 {
            return;
        }
        for i in start..end {
            for oy in y0..y1 {
                let iy = oy * g.stride + ky - g.padding;
                let ix = x0 * g.stride + kx - g.padding;
                let column = ((i - start) * self.h_out + oy) * self.w_out + x0;
                f(column, (i * g.height + iy) * g.width + ix, x1 - x0);
            }
        }
    }

    /// Writes the patch matrix `[rows, (end - start) pixels]` of examples `start..end` of `x`.
    fn gather<R: Real>(&self, x: &[R], (start, end): (usize, usize), patches: &mut [R]) {
        let columns = (end - start) * self.pixels();
        let (k, plane) = (self.g.kernel, self.n * self.g.height * self.g.width);
        let stride = self.g.stride;
        chunks(patches, columns, |row, patch| {
            let x = &x[row / (k * k) * plane..][..plane];
            patch.fill(R::ZERO);
            self.runs((row / k % k, row % k), (start, end), |column, source, count| {
                let patch = &mut patch[column..column + count];
                if stride == 1 {
                    patch.copy_from_slice(&x[source..source + count]);
                } else {
                    patch.iter_mut().zip(x[source..].iter().step_by(stride)).for_each(|(p, &x)| *p = x);
                }
            });
        });
    }

    /// Adds the patch matrix back onto examples `start..end` of `x`: the adjoint of [`Self::gather`].
    fn scatter<R: Real>(&self, patches: &[R], (start, end): (usize, usize), x: &mut [R]) {
        let columns = (end - start) * self.pixels();
        let (k, plane) = (self.g.kernel, self.n * self.g.height * self.g.width);
        let stride = self.g.stride;
        chunks(x, plane, |channel, x| {
            for offset in 0..k * k {
                let patch = &patches[(channel * k * k + offset) * columns..][..columns];
                self.runs((offset / k, offset % k), (start, end), |column, target, count| {
                    let patch = &patch[column..column + count];
                    x[target..].iter_mut().step_by(stride).zip(patch).for_each(|(x, &p)| *x += p);
                });
            }
        });
    }

    /// The columns of `y` that belong to examples `start..end`: `[channels_out, (end - start) pixels]`.
    fn columns<'y, R>(&self, y: &'y [R], (start, end): (usize, usize)) -> Matrix<'y, R> {
        let p = self.pixels();
        Matrix::rows(&y[start * p..], self.g.channels_out, (end - start) * p, self.n * p)
    }

    /// Elements of one block's patch matrix.
    fn patches(&self, (start, end): (usize, usize)) -> usize {
        self.rows * (end - start) * self.pixels()
    }

    /// `y = Σ_k W_k P_k` for one block, with its patch matrices made in `patches` one after the other; rows of `y` begin
    /// `row_stride` elements apart.
    fn forward<R: Real>(
        &self,
        pairs: &[(&[R], &[R])],
        range: (usize, usize),
        patches: &mut [R],
        (y, row_stride): (&mut [R], usize),
    ) {
        let columns = (range.1 - range.0) * self.pixels();
        for ((x, w), accumulate) in pairs.iter().zip(Accumulate::Set.each()) {
            self.gather(x, range, patches);
            let y = MatrixMut::rows(y, self.g.channels_out, columns, row_stride);
            matmul(&[(self.weights(w), Matrix::rows(patches, self.rows, columns, columns))], accumulate, y);
        }
    }

    fn weights<'w, R>(&self, w: &'w [R]) -> Matrix<'w, R> {
        Matrix::rows(w, self.g.channels_out, self.rows, self.rows)
    }
}

/// Elements to which the scratch of the contractions of `n` examples grows: the patch matrix of one block and, where an epilogue
/// follows, the block's output before it.
pub(super) fn scratch_len(g: &Conv2d, epilogue: Epilogue, n: usize) -> usize {
    let blocks = Blocks::new(g, n);
    let before = if epilogue == Epilogue::None { 0 } else { g.channels_out * blocks.pixels() };
    (blocks.rows * blocks.pixels() + before) * blocks.examples.min(n)
}

/// `y = Σ_k conv(x_k, w_k)`, by way of the patch matrix of one block.
///
/// # Panics
/// If a slice is shorter than its shape.
pub fn forward<R: Real>(g: &Conv2d, n: usize, pairs: &[(&[R], &[R])], y: &mut [R], workspace: &Workspace<R>) {
    let blocks = Blocks::new(g, n);
    let p = blocks.pixels();
    for range in blocks.ranges() {
        workspace.with(blocks.patches(range), |patches| {
            blocks.forward(pairs, range, patches, (&mut y[range.0 * p..], n * p));
        });
    }
}

/// `y` = the epilogue of `Σ_k conv(x_k, w_k)` and the addends, or what `choice` lets pass of it, block by block.
pub(super) fn forward_then<R: Real>(
    (g, epilogue): (&Conv2d, Epilogue),
    n: usize,
    pairs: &[(&[R], &[R])],
    Addends { bias, residual }: Addends<'_, R>,
    choice: &mut Choice<'_>,
    y: &mut [R],
    workspace: &Workspace<R>,
) {
    let (blocks, size) = (Blocks::new(g, n), output_size(g, n));
    for range in blocks.ranges() {
        let columns = (range.1 - range.0) * blocks.pixels();
        let patches = blocks.patches(range);
        workspace.with(patches + g.channels_out * columns, |scratch| {
            let (patches, z) = scratch.split_at_mut(patches);
            blocks.forward(pairs, range, patches, (z, columns));
            if let Some(residual) = residual {
                chunks(z, columns, |c, z| {
                    let residual = &residual[(c * n + range.0) * blocks.pixels()..][..columns];
                    z.iter_mut().zip(residual).for_each(|(z, &r)| *z += r);
                });
            }
            let (part, z) = (range.0..range.1, (&*z, bias));
            match choice {
                Choice::Record(choice) => epilogue::apply(epilogue, &size, part, z, choice, y),
                Choice::Replay(choice) => epilogue::gather(epilogue, &size, part, z, choice, y),
            }
        });
    }
}

/// `x (+)= Σ_k convᵀ(y_k, w_k)`: the adjoint of [`forward`] in its input.
///
/// # Panics
/// If a slice is shorter than its shape.
pub fn input_gradient<R: Real>(
    g: &Conv2d,
    n: usize,
    pairs: &[(&[R], &[R])],
    accumulate: Accumulate,
    x: &mut [R],
    workspace: &Workspace<R>,
) {
    let blocks = Blocks::new(g, n);
    let x = &mut x[..g.channels_in * n * g.height * g.width];
    if accumulate == Accumulate::Set {
        x.fill(R::ZERO);
    }
    for range in blocks.ranges() {
        let columns = (range.1 - range.0) * blocks.pixels();
        let products: SmallVec<[_; 2]> =
            pairs.iter().map(|(y, w)| (blocks.weights(w).transposed(), blocks.columns(y, range))).collect();
        workspace.with(blocks.patches(range), |patches| {
            matmul(&products, Accumulate::Set, MatrixMut::rows(patches, blocks.rows, columns, columns));
            blocks.scatter(patches, range, x);
        });
    }
}

/// `x (+)= Σ_k convᵀ(z_k, w_k)`, where `choice` takes each `z_k` from the gradient `y_k` after the epilogue, for at most
/// `examples` examples at once.
pub(super) fn input_gradient_then<R: Real>(
    g: &Conv2d,
    (epilogue, choice, examples): (Epilogue, &[u8], usize),
    n: usize,
    pairs: &[(&[R], &[R])],
    accumulate: Accumulate,
    x: &mut [R],
    workspace: &Workspace<R>,
) {
    let mut blocks = Blocks::new(g, n);
    blocks.examples = blocks.examples.min(examples);
    let x = &mut x[..g.channels_in * n * g.height * g.width];
    if accumulate == Accumulate::Set {
        x.fill(R::ZERO);
    }
    for range in blocks.ranges() {
        let columns = (range.1 - range.0) * blocks.pixels();
        let patches = blocks.patches(range);
        workspace.with(patches + g.channels_out * columns, |scratch| {
            let (patches, z) = scratch.split_at_mut(patches);
            for ((y, w), accumulate) in pairs.iter().zip(Accumulate::Set.each()) {
                epilogue::scatter_part(
                    epilogue,
                    &output_size(g, n),
                    range.0..range.1,
                    (y, choice),
                    Accumulate::Set,
                    z,
                );
                let product =
                    (blocks.weights(w).transposed(), Matrix::rows(z, g.channels_out, columns, columns));
                matmul(&[product], accumulate, MatrixMut::rows(patches, blocks.rows, columns, columns));
            }
            blocks.scatter(patches, range, x);
        });
    }
}

/// `w (+)= Σ_k` of the adjoint of [`forward`] in its weights, for the pairs `(x_k, y_k)`.
///
/// # Panics
/// If a slice is shorter than its shape.
pub fn weight_gradient<R: Real>(
    g: &Conv2d,
    n: usize,
    pairs: &[(&[R], &[R])],
    accumulate: Accumulate,
    w: &mut [R],
    workspace: &Workspace<R>,
) {
    let blocks = Blocks::new(g, n);
    let w = &mut w[..g.weights()];
    if accumulate == Accumulate::Set {
        w.fill(R::ZERO);
    }
    for range in blocks.ranges() {
        let columns = (range.1 - range.0) * blocks.pixels();
        for (x, y) in pairs {
            workspace.with(blocks.patches(range), |patches| {
                blocks.gather(x, range, patches);
                let patches = Matrix::rows(patches, blocks.rows, columns, columns);
                let w = MatrixMut::rows(w, g.channels_out, blocks.rows, blocks.rows);
                matmul(&[(blocks.columns(y, range), patches.transposed())], Accumulate::Add, w);
            });
        }
    }
}
