//! One safe door to the `gemm-f32` and `gemm-f64` crates, whose entry points are `unsafe`.
#![expect(
    unsafe_code,
    reason = "gemm works on raw pointers; tiles of one output are written by several threads"
)]

use gemm_common::Parallelism;
use rayon::prelude::*;

use sharpness_backend::Accumulate;

use crate::Real;
use crate::disjoint::Disjoint;

/// Rows and columns of one task's tile of the output: large enough to pay for packing its operands.
const TILE_ROWS: usize = 256;
const TILE_COLUMNS: usize = 512;
/// Small outputs are cut into about this many tiles, down to tiles of this many rows, so that several threads have work.
const FEW_TILES: usize = 4;
const FEW_ROWS: usize = 32;

/// Rows of a tile and the number of column tiles. They depend on the output's size alone, so that the bits do not depend on the
/// number of threads.
fn tiling(rows: usize, columns: usize) -> (usize, usize) {
    let column_tiles = columns.div_ceil(TILE_COLUMNS);
    let mut tile_rows = TILE_ROWS;
    while tile_rows > FEW_ROWS && rows.div_ceil(tile_rows) * column_tiles < FEW_TILES {
        tile_rows /= 2;
    }
    (tile_rows, column_tiles)
}

/// A matrix over a slice; element `(i, j)` is `data[i * row_stride + j * column_stride]`.
#[derive(Clone, Copy, Debug)]
pub struct Matrix<'a, R> {
    data: &'a [R],
    rows: usize,
    columns: usize,
    row_stride: usize,
    column_stride: usize,
}

impl<'a, R> Matrix<'a, R> {
    /// A row-major matrix whose rows begin `row_stride` elements apart.
    ///
    /// # Panics
    /// If the matrix does not fit `data`.
    pub fn rows(data: &'a [R], rows: usize, columns: usize, row_stride: usize) -> Self {
        assert!(fits(data.len(), rows, columns, row_stride), "matrix is larger than its data");
        Self { data, rows, columns, row_stride, column_stride: 1 }
    }

    /// The transpose of this matrix, over the same data.
    pub fn transposed(self) -> Self {
        Self {
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
            ..self
        }
    }
}

/// A row-major matrix to be written.
#[derive(Debug)]
pub struct MatrixMut<'a, R> {
    data: &'a mut [R],
    rows: usize,
    columns: usize,
    row_stride: usize,
}

impl<'a, R> MatrixMut<'a, R> {
    /// A row-major matrix whose rows begin `row_stride` elements apart.
    ///
    /// # Panics
    /// If the matrix does not fit `data`, or rows overlap.
    pub fn rows(data: &'a mut [R], rows: usize, columns: usize, row_stride: usize) -> Self {
        assert!(fits(data.len(), rows, columns, row_stride), "matrix is larger than its data");
        assert!(rows <= 1 || row_stride >= columns, "rows of an output overlap");
        Self { data, rows, columns, row_stride }
    }
}

fn fits(len: usize, rows: usize, columns: usize, row_stride: usize) -> bool {
    rows == 0 || columns == 0 || (rows - 1) * row_stride + columns <= len
}

/// `c (+)= Σ_k a_k b_k`: the sum of the products of the pairs `(a_k, b_k)`.
///
/// # Panics
/// If there is no pair or the shapes do not match.
pub fn matmul<R: Real>(
    pairs: &[(Matrix<'_, R>, Matrix<'_, R>)],
    accumulate: Accumulate,
    c: MatrixMut<'_, R>,
) {
    assert!(!pairs.is_empty(), "a sum of matrix products has at least one");
    for (a, b) in pairs {
        assert!(
            a.rows == c.rows && b.columns == c.columns && a.columns == b.rows,
            "shapes of a matrix product do not match"
        );
    }
    if c.rows == 0 || c.columns == 0 {
        return;
    }
    let (tile_rows, column_tiles) = tiling(c.rows, c.columns);
    let tiles = c.rows.div_ceil(tile_rows) * column_tiles;
    let (rows, columns, row_stride) = (c.rows, c.columns, c.row_stride);
    let output = Disjoint::new(c.data);
    let tile = |t: usize| {
        let (i, j) = (t / column_tiles * tile_rows, t % column_tiles * TILE_COLUMNS);
        let (m, n) = (tile_rows.min(rows - i), TILE_COLUMNS.min(columns - j));
        for (index, (a, b)) in pairs.iter().enumerate() {
            let read = accumulate == Accumulate::Add || index > 0;
            let tile = output.address(i * row_stride + j);
            // SAFETY: the shapes match, the output holds all tiles, and this task is the only one that writes this one.
            unsafe { product(m, n, (a, i), (b, j), read, tile, row_stride) };
        }
    };
    if tiles == 1 || rows * columns * pairs.first().map_or(0, |(a, _)| a.columns) < 1 << 16 {
        (0..tiles).for_each(tile);
    } else {
        (0..tiles).into_par_iter().for_each(tile);
    }
}

/// Writes (or adds to, with `read`) the `m x n` tile at `tile` the product of rows `i..i + m` of `a` and columns `j..j + n`
/// of `b`.
///
/// # Safety
/// The operands have these rows and columns, and as many columns and rows as each other. The `m x n` elements at `tile` in rows that
/// begin `row_stride` elements apart lie inside one allocation, and nothing else reads or writes them meanwhile.
unsafe fn product<R: Real>(
    m: usize,
    n: usize,
    (a, i): (&Matrix<'_, R>, usize),
    (b, j): (&Matrix<'_, R>, usize),
    read: bool,
    tile: *mut R,
    row_stride: usize,
) {
    debug_assert!(i + m <= a.rows && j + n <= b.columns, "tile outside of its operands");
    if a.columns == 0 {
        if !read {
            for row in 0..m {
                // SAFETY: the caller owns the m x n tile with this row stride.
                unsafe { std::slice::from_raw_parts_mut(tile.add(row * row_stride), n) }.fill(R::ZERO);
            }
        }
        return;
    }
    let stride = |s: usize| s.cast_signed();
    // SAFETY: both operands fit their slices (checked by `Matrix::rows`), so the first elements lie inside them.
    let (a_start, b_start) =
        unsafe { (a.data.as_ptr().add(i * a.row_stride), b.data.as_ptr().add(j * b.column_stride)) };
    let mut left = (m, a_start, stride(a.column_stride), stride(a.row_stride));
    let mut right = (n, b_start, stride(b.column_stride), stride(b.row_stride));
    let mut output = (1, stride(row_stride));
    if row_stride > 1 {
        // Rows of the output are contiguous, so they become the columns of the transpose.
        let transpose = |(size, start, columns, rows)| (size, start, rows, columns);
        (left, right) = (transpose(right), transpose(left));
        output = (output.1, output.0);
    }
    let ((m, a_start, a_columns, a_rows), (n, b_start, b_columns, b_rows)) = (left, right);
    // SAFETY: the tile lies inside both operands, whose strides these are, and the output tile is the caller's alone.
    unsafe {
        R::product()(
            m,
            n,
            a.columns,
            tile,
            output.0,
            output.1,
            read,
            a_start,
            a_columns,
            a_rows,
            b_start,
            b_columns,
            b_rows,
            R::ONE,
            R::ONE,
            false,
            false,
            false,
            Parallelism::None,
        );
    }
}
