//! Operators whose products are rounded to `f32`.

use sharpness_curvature::{
    ApplyError, DenseOperator, EigenParams, Error, Stop, SymmetricOperator, dense, lanczos,
    smallest_lanczos_bytes, spectra::with_eigenvalues,
};

use crate::accuracy::check_claims;

/// Multiplies in `f32`. Rounding of its entries makes the matrix slightly asymmetric.
struct Single {
    dim: usize,
    entries: Vec<f32>,
    /// What `is_single` returns.
    is_single: bool,
}

#[expect(clippy::cast_possible_truncation, reason = "the operator is inexact by design")]
fn single(operator: &DenseOperator) -> Single {
    let dim = operator.dim();
    let skewed = |at: usize| 1.0 + 1e-7 * f64::from(u8::from(at / dim > at % dim));
    let entries =
        operator.entries().iter().enumerate().map(|(at, entry)| (entry * skewed(at)) as f32).collect();
    Single { dim, entries, is_single: false }
}

impl SymmetricOperator for Single {
    fn dim(&self) -> usize {
        self.dim
    }

    #[expect(clippy::cast_possible_truncation, reason = "the operator is inexact by design")]
    fn apply(&mut self, v: &[f64], out: &mut [f64]) -> Result<(), ApplyError> {
        for (out, row) in out.iter_mut().zip(self.entries.chunks_exact(self.dim)) {
            *out = f64::from(row.iter().zip(v).map(|(a, v)| a * *v as f32).sum::<f32>());
        }
        Ok(())
    }

    fn is_single(&self) -> bool {
        self.is_single
    }
}

fn spectrum() -> Vec<f64> {
    [vec![12.0, 7.0, 6.9], (0..197).map(|i| (0.1 * f64::from(i)).sin()).collect()].concat()
}

#[test]
fn an_attainable_tolerance_converges_in_single_precision() {
    let mut op = single(&with_eigenvalues(&spectrum(), 3).unwrap());
    let params = EigenParams { k: 3, rtol: 1e-5, ..EigenParams::default() };
    let answer = lanczos(&mut op, &params, &mut |_| ()).unwrap();
    assert!(answer.converged(), "{:?}", answer.stop);
    for (pair, expected) in answer.pairs.iter().zip([12.0, 7.0, 6.9]) {
        assert!((pair.value - expected).abs() < 1e-5 * 12.0, "{} instead of {expected}", pair.value);
    }
    assert!(answer.asymmetry > 1e-9 && answer.asymmetry < 1e-5 * 12.0, "asymmetry {}", answer.asymmetry);
    let bounds = answer.spectrum_bounds.unwrap();
    assert!(bounds.upper >= 12.0 - 1e-5 && bounds.lower <= -0.99, "{bounds:?}");
}

#[test]
fn an_unattainable_tolerance_stagnates_and_reports_the_residual_reached() {
    let mut op = single(&with_eigenvalues(&spectrum(), 3).unwrap());
    let params = EigenParams { rtol: 1e-11, ..EigenParams::default() };
    let answer = lanczos(&mut op, &params, &mut |_| ()).unwrap();
    assert_eq!(answer.stop, Stop::Stagnated, "after {} products", answer.products);
    assert!(answer.products < 150, "{} products", answer.products);
    let pair = &answer.pairs[0];
    assert!(pair.residual > 1e-11 * 12.0 && pair.residual < 1e-5 * 12.0, "residual {}", pair.residual);
}

/// A basis in single precision takes as many products and finds the same values, up to the rounding of the
/// operator.
#[test]
fn a_basis_in_single_precision_takes_no_more_products() {
    let mut op = single(&with_eigenvalues(&spectrum(), 3).unwrap());
    let dim = op.dim;
    for (k, memory_bytes) in [(1, 1 << 20), (3, 1 << 20), (3, smallest_lanczos_bytes(3, dim, false))] {
        let params = EigenParams { k, rtol: 1e-5, memory_bytes, ..EigenParams::default() };
        let mut solve = |is_single| {
            op.is_single = is_single;
            lanczos(&mut op, &params, &mut |_| ()).unwrap()
        };
        let (double, single) = (solve(false), solve(true));
        assert!(single.converged(), "k = {k}: {:?}", single.stop);
        assert!(single.products <= double.products, "{} and {} products", single.products, double.products);
        for (own, other) in single.pairs.iter().zip(&double.pairs) {
            assert!((own.value - other.value).abs() < 1e-6 * 12.0, "{} and {}", own.value, other.value);
            let mut product = vec![0.0; dim];
            op.apply(&own.vector, &mut product).unwrap();
            let squares = product.iter().zip(&own.vector).map(|(p, u)| (p - own.value * u).powi(2));
            let residual = squares.sum::<f64>().sqrt();
            assert!((residual - own.residual).abs() < 1e-6 * 12.0, "{residual} and {}", own.residual);
        }
        let (own, other) = (single.spectrum_bounds.unwrap(), double.spectrum_bounds.unwrap());
        assert!(own.upper >= 12.0 && (own.upper - other.upper).abs() < 1e-3 * 12.0, "{own:?} and {other:?}");
    }
    let memory_bytes = smallest_lanczos_bytes(1, dim, true);
    let params = EigenParams { memory_bytes, bound_rtol: None, ..EigenParams::default() };
    assert!(lanczos(&mut op, &params, &mut |_| ()).unwrap().converged(), "the smallest memory suffices");
    op.is_single = false;
    let error = lanczos(&mut op, &params, &mut |_| ()).unwrap_err();
    assert!(matches!(error, Error::Memory { .. }), "it does not for double precision: {error}");
}

/// The residual refers to the products, not to their symmetric part.
#[test]
fn the_residual_includes_the_asymmetric_part() {
    let symmetric = with_eigenvalues(&spectrum(), 3).unwrap();
    let dim = symmetric.dim();
    let skewed = |at: usize| f64::from(u8::from(at / dim > at % dim)) * 1e-4 * (at as f64).sin();
    let entries = symmetric.entries().iter().enumerate().map(|(at, entry)| entry + skewed(at)).collect();
    let mut op = DenseOperator::new(dim, entries).unwrap();
    let answer =
        lanczos(&mut op, &EigenParams { rtol: 1e-9, ..EigenParams::default() }, &mut |_| ()).unwrap();
    assert_eq!(answer.stop, Stop::Stagnated, "after {} products", answer.products);
    assert!(answer.pairs[0].residual > 1e-5, "residual {}", answer.pairs[0].residual);
    check_claims("not symmetric", &mut op, 12.0, &answer);
}

#[test]
fn the_dense_method_measures_the_asymmetry() {
    let mut op = DenseOperator::new(2, vec![2.0, 0.5, 0.3, 1.0]).unwrap();
    let answer = dense(&mut op, &EigenParams::default(), &mut |_| ()).unwrap();
    let expected = 0.1 * 2.0_f64.sqrt();
    assert!((answer.asymmetry - expected).abs() < 1e-15, "{}", answer.asymmetry);
    assert_eq!(answer.stop, Stop::Stagnated, "a residual of {} is above rtol", answer.pairs[0].residual);
}

/// The rounding of products in single precision decides which residuals count as zero.
#[test]
fn an_eigenvalue_of_zero_is_found_in_single_precision() {
    let eigenvalues: Vec<f64> = (0..200).map(|i| -0.3 * f64::from(i)).collect();
    let mut op = single(&with_eigenvalues(&eigenvalues, 3).unwrap());
    op.is_single = true;
    for (k, rtol) in [(1, 1e-3), (1, 1e-9), (2, 1e-3)] {
        let params = EigenParams { k, rtol, bound_rtol: None, ..EigenParams::default() };
        for answer in [lanczos(&mut op, &params, &mut |_| ()), dense(&mut op, &params, &mut |_| ())] {
            let answer = answer.unwrap();
            assert!(answer.converged(), "k = {k}, rtol = {rtol}: {:?}", answer.stop);
            let value = answer.pairs[0].value;
            assert!(value.abs() < 1e-6 * 60.0, "{value}");
        }
    }
}
