//! Scaled operators and diagonal blocks.

use sharpness_curvature::spectra::with_eigenvalues;
use sharpness_curvature::{
    ApplyError, Block, DenseOperator, EigenParams, Error, Method, Scaled, SymmetricOperator, eigenpairs,
};

fn operator() -> DenseOperator {
    with_eigenvalues(&(0..40).map(|i| f64::from(i) - 9.5).collect::<Vec<_>>(), 1).expect("a valid operator")
}

/// All columns of an operator, three products at once.
fn columns(op: &mut dyn SymmetricOperator) -> Vec<Vec<f64>> {
    let dim = op.dim();
    let units: Vec<Vec<f64>> =
        (0..dim).map(|i| (0..dim).map(|j| f64::from(u8::from(i == j))).collect()).collect();
    let mut columns = vec![vec![f64::NAN; dim]; dim];
    for (units, columns) in units.chunks(3).zip(columns.chunks_mut(3)) {
        let units: Vec<&[f64]> = units.iter().map(Vec::as_slice).collect();
        let mut columns: Vec<&mut [f64]> = columns.iter_mut().map(Vec::as_mut_slice).collect();
        op.apply_block(&units, &mut columns).expect("a valid operator");
    }
    columns
}

#[test]
fn scaling_is_that_of_rows_and_columns() {
    let (mut op, dim) = (operator(), 40);
    let scale: Vec<f64> = (0..dim).map(|i| if i == 7 { 0.0 } else { 12.0 - i as f64 }).collect();
    let entries = op.entries().to_vec();
    let found = columns(&mut Scaled::new(&mut op, &scale).unwrap());
    for (i, j) in (0..dim * dim).map(|at| (at / dim, at % dim)) {
        let expected = scale[i] * entries[i * dim + j] * scale[j];
        assert!((found[j][i] - expected).abs() <= 1e-15 * expected.abs(), "entry {i}, {j}");
    }
}

#[test]
fn a_block_has_the_rows_and_columns_of_its_ranges() {
    let (mut op, dim) = (operator(), 40);
    let entries = op.entries().to_vec();
    let indices: Vec<usize> = (2..5).chain(5..6).chain(30..40).collect();
    let mut block = Block::new(&mut op, vec![2..5, 5..6, 30..40]).unwrap();
    for (j, column) in columns(&mut block).iter().enumerate() {
        for (i, entry) in column.iter().enumerate() {
            let expected = entries[indices[i] * dim + indices[j]];
            assert!((entry - expected).abs() <= 0.0, "entry {i}, {j}: {entry} instead of {expected}");
        }
    }
}

#[test]
fn solvers_take_blocks_of_scaled_operators() {
    let mut op = operator();
    let scale: Vec<f64> = (0..40).map(|i| 1.0 + 0.1 * f64::from(i)).collect();
    let entries: Vec<f64> = (0..400)
        .map(|at| (at / 20, at % 20))
        .map(|(i, j)| scale[i] * op.entries()[40 * i + j] * scale[j])
        .collect();
    let params = EigenParams { rtol: 1e-9, method: Method::Lanczos, ..EigenParams::default() };
    let mut scaled = Scaled::new(&mut op, &scale).unwrap();
    let found =
        eigenpairs(&mut Block::new(&mut scaled, vec![0..4, 4..20]).unwrap(), &params, &mut |_| ()).unwrap();
    let dense = EigenParams { method: Method::Dense, ..EigenParams::default() };
    let expected = eigenpairs(&mut DenseOperator::new(20, entries).unwrap(), &dense, &mut |_| ()).unwrap();
    let (found, expected) = (found.pairs[0].value, expected.pairs[0].value);
    assert!((found - expected).abs() < 1e-12 * expected, "{found} instead of {expected}");
}

/// An operator in single precision with a known product error.
struct Single;

impl SymmetricOperator for Single {
    fn dim(&self) -> usize {
        4
    }

    fn apply(&mut self, v: &[f64], out: &mut [f64]) -> Result<(), ApplyError> {
        out.copy_from_slice(v);
        Ok(())
    }

    fn is_single(&self) -> bool {
        true
    }

    fn product_error(&self) -> f64 {
        0.125
    }
}

#[test]
fn precision_is_that_of_the_operator() {
    let of = |op: &dyn SymmetricOperator| (op.is_single(), op.product_error());
    assert_eq!(of(&Scaled::new(&mut Single, &[1.0; 4]).unwrap()), (true, 0.125), "scaled");
    assert_eq!(
        of(&Block::new(&mut Single, std::iter::once(1..3).collect()).unwrap()),
        (true, 0.125),
        "block"
    );
}

#[test]
fn impossible_scales_and_blocks_are_errors() {
    let error = Scaled::new(&mut Single, &[1.0; 3]).err().unwrap();
    assert!(matches!(error, Error::ScaleLength { length: 3, dim: 4 }), "{error}");
    let error = Scaled::new(&mut Single, &[1.0, f64::NAN, 0.0, 0.0]).err().unwrap();
    assert!(matches!(error, Error::ScaleEntry { index: 1, .. }), "{error}");
    let error = Block::new(&mut Single, vec![0..2, 1..3]).err().unwrap();
    assert!(matches!(error, Error::Range { start: 1, end: 3, first: 2, dim: 4 }), "{error}");
    let error = Block::new(&mut Single, Vec::new()).err().unwrap();
    assert!(matches!(error, Error::NoDimension), "{error}");
}
