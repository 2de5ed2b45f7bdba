//! Matrix products against three loops: sizes around the tiles' edges, transposes and strides.

use sharpness_backend::Accumulate;
use sharpness_kernels::Real;
use sharpness_kernels::matmul::{Matrix, MatrixMut, matmul};

use crate::data::{F32_ROUNDING, F64_ROUNDING, Random, assert_near, wide};

/// Elements between the end of a row and the beginning of the next.
const GAP: usize = 3;

/// A matrix stored row by row with gaps, or stored as its transpose.
struct Stored<R> {
    data: Vec<R>,
    rows: usize,
    columns: usize,
    transposed: bool,
}

impl<R: Real> Stored<R> {
    fn new(random: &mut Random, rows: usize, columns: usize, transposed: bool) -> Self {
        let (outer, inner) = if transposed { (columns, rows) } else { (rows, columns) };
        Self { data: random.vector(outer * (inner + GAP)), rows, columns, transposed }
    }

    fn matrix(&self) -> Matrix<'_, R> {
        if self.transposed {
            Matrix::rows(&self.data, self.columns, self.rows, self.rows + GAP).transposed()
        } else {
            Matrix::rows(&self.data, self.rows, self.columns, self.columns + GAP)
        }
    }

    fn at(&self, i: usize, j: usize) -> f64 {
        let index = if self.transposed { j * (self.rows + GAP) + i } else { i * (self.columns + GAP) + j };
        self.data[index].to_f64()
    }
}

fn add_naive<R: Real>(a: &Stored<R>, b: &Stored<R>, c: &mut [f64]) {
    for i in 0..a.rows {
        for k in 0..a.columns {
            let factor = a.at(i, k);
            for j in 0..b.columns {
                c[i * (b.columns + GAP) + j] += factor * b.at(k, j);
            }
        }
    }
}

/// `c (+)= a b + a' b'`; the gaps between the rows of `c` keep what they hold.
fn check<R: Real>(
    (m, k, n): (usize, usize, usize),
    transposed: (bool, bool),
    mode: Accumulate,
    tolerance: f64,
) {
    let mut random = Random::new(2);
    let mut pair = |k| {
        let a = Stored::<R>::new(&mut random, m, k, transposed.0);
        (a, Stored::<R>::new(&mut random, k, n, transposed.1))
    };
    let pairs = [pair(k), pair(k / 2)];
    let mut c: Vec<R> = Random::new(3).vector(m * (n + GAP));
    let mut want = wide(&c);
    if mode == Accumulate::Set {
        for row in want.chunks_mut(n + GAP) {
            row[..n].fill(0.0);
        }
        for row in c.chunks_mut(n + GAP) {
            row[..n].fill(R::from_f64(f64::NAN));
        }
    }
    pairs.iter().for_each(|(a, b)| add_naive(a, b, &mut want));
    let operands: Vec<_> = pairs.iter().map(|(a, b)| (a.matrix(), b.matrix())).collect();
    matmul(&operands, mode, MatrixMut::rows(&mut c, m, n, n + GAP));
    assert_near(&c, &want, tolerance, &format!("{m} x {k} x {n}, {transposed:?}, {mode:?}"));
}

#[test]
fn products_are_three_loops() {
    let mut sizes = vec![(257, 64, 513)];
    for edge in [0, 1, 2, 255, 256, 257, 511, 512, 513] {
        sizes.extend([(edge, 5, 7), (4, edge, 9), (6, 3, edge), (edge, 2, edge)]);
    }
    for size in sizes {
        for transposed in [(false, false), (true, false), (false, true), (true, true)] {
            for mode in [Accumulate::Set, Accumulate::Add] {
                check::<f64>(size, transposed, mode, F64_ROUNDING);
                check::<f32>(size, transposed, mode, F32_ROUNDING);
            }
        }
    }
}

#[test]
#[should_panic(expected = "larger than its data")]
fn a_matrix_beyond_its_data_is_refused() {
    let _ = Matrix::rows(&[0.0_f32; 11], 3, 4, 4);
}

#[test]
#[should_panic(expected = "shapes of a matrix product")]
fn shapes_that_do_not_match_are_refused() {
    let (a, mut c) = ([0.0_f64; 6], [0.0_f64; 4]);
    let pair = (Matrix::rows(&a, 2, 3, 3), Matrix::rows(&a, 2, 3, 3));
    matmul(&[pair], Accumulate::Set, MatrixMut::rows(&mut c, 2, 2, 2));
}
