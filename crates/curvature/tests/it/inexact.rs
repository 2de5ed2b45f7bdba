//! Operators whose products carry the rounding of `f32`.

use sharpness_curvature::{
    ApplyError, DenseOperator, EigenParams, Stop, SymmetricOperator, dense, lanczos,
    spectra::with_eigenvalues,
};

/// Multiplies in `f32`, with a matrix that was rounded entry by entry and so is not quite symmetric.
struct Single {
    dim: usize,
    entries: Vec<f32>,
}

#[expect(clippy::cast_possible_truncation, reason = "the operator is inexact by design")]
fn single(operator: &DenseOperator) -> Single {
    let dim = operator.dim();
    let skewed = |at: usize| 1.0 + 1e-7 * f64::from(u8::from(at / dim > at % dim));
    let entries =
        operator.entries().iter().enumerate().map(|(at, entry)| (entry * skewed(at)) as f32).collect();
    Single { dim, entries }
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
}

fn spectrum() -> Vec<f64> {
    [vec![12.0, 7.0, 6.9], (0..197).map(|i| (0.1 * f64::from(i)).sin()).collect()].concat()
}

#[test]
fn what_single_precision_can_give_converges() {
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
fn what_it_cannot_give_ends_as_stagnated_with_the_residual_reached() {
    let mut op = single(&with_eigenvalues(&spectrum(), 3).unwrap());
    let params = EigenParams { rtol: 1e-11, ..EigenParams::default() };
    let answer = lanczos(&mut op, &params, &mut |_| ()).unwrap();
    assert_eq!(answer.stop, Stop::Stagnated, "after {} products", answer.products);
    assert!(answer.products < 150, "{} products", answer.products);
    let pair = &answer.pairs[0];
    assert!(pair.residual > 1e-11 * 12.0 && pair.residual < 1e-5 * 12.0, "residual {}", pair.residual);
}

#[test]
fn the_dense_method_measures_the_asymmetry() {
    let mut op = DenseOperator::new(2, vec![2.0, 0.5, 0.3, 1.0]).unwrap();
    let answer = dense(&mut op, &EigenParams::default(), &mut |_| ()).unwrap();
    let expected = 0.1 * 2.0_f64.sqrt();
    assert!((answer.asymmetry - expected).abs() < 1e-15, "{}", answer.asymmetry);
    assert_eq!(answer.stop, Stop::Stagnated, "a residual of {} is above rtol", answer.pairs[0].residual);
}
