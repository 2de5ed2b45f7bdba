//! The estimates of the trace and the Frobenius norm.

use sharpness_curvature::{
    ApplyError, Error, HutchinsonEstimate, HutchinsonParams, SymmetricOperator, spectra::Diagonal,
    spectra::with_eigenvalues, squared_frobenius_norm, trace,
};

const PARAMS: HutchinsonParams = HutchinsonParams { rtol: 1e-2, max_probes: 100, block: 1, seed: 0 };

fn estimate(op: &mut dyn SymmetricOperator, params: &HutchinsonParams) -> HutchinsonEstimate {
    trace(op, params, &mut |_| ()).expect("a trace of a test")
}

fn eigenvalues() -> Vec<f64> {
    [vec![90.0, 50.0, -30.0], (0..197).map(|i| (0.1 * f64::from(i)).sin()).collect()].concat()
}

#[test]
fn the_probes_of_a_diagonal_operator_agree() {
    let mut op = Diagonal(eigenvalues());
    let expected: f64 = eigenvalues().iter().sum();
    let found = estimate(&mut op, &PARAMS);
    assert!((found.value - expected).abs() < 1e-10 * expected, "{found:?} instead of {expected}");
    assert!(found.converged && found.probes == 8, "{found:?}");
    assert!(found.standard_error < 1e-10 * expected, "{found:?}");
}

#[test]
fn the_standard_error_is_as_large_as_stated() {
    let mut op = with_eigenvalues(&eigenvalues(), 4).unwrap();
    let expected: f64 = eigenvalues().iter().sum();
    let (mut near, mut sum, mut squares) = (0, 0.0, 0.0);
    let seeds = 200;
    for seed in 0..seeds {
        let found = estimate(&mut op, &HutchinsonParams { rtol: 0.0, max_probes: 30, seed, ..PARAMS });
        assert!(!found.converged && found.probes == 30, "{found:?}");
        let errors = (found.value - expected) / found.standard_error;
        near += u32::from(errors.abs() < 2.0);
        sum += found.value - expected;
        squares += (found.value - expected).powi(2);
    }
    // A normal variable lies within two standard deviations with 95 %, a Student variable with 29 degrees of
    // freedom slightly less often.
    assert!((0.88..0.99).contains(&(f64::from(near) / seeds as f64)), "{near} of {seeds} are near");
    // The variance of a probe is 2 (‖A‖_F² - Σ a_ii²).
    let (dim, entries) = (op.dim(), op.entries());
    let diagonal: f64 = (0..dim).map(|i| entries[i * dim + i].powi(2)).sum();
    let variance = 2.0 * (entries.iter().map(|a| a * a).sum::<f64>() - diagonal) / 30.0;
    let ratio = squares / seeds as f64 / variance;
    assert!((0.7..1.35).contains(&ratio), "the variance is {ratio} times the expected one");
    assert!((sum / seeds as f64).abs() < 4.0 * (variance / seeds as f64).sqrt(), "a bias of {sum}");
}

#[test]
fn it_stops_at_the_tolerance_and_the_block_changes_nothing() {
    let mut op = with_eigenvalues(&eigenvalues(), 4).unwrap();
    let loose = HutchinsonParams { rtol: 0.2, max_probes: 1000, ..PARAMS };
    let one = estimate(&mut op, &loose);
    assert!(one.converged && one.standard_error <= 0.2 * one.value, "{one:?}");
    for block in [2, 7, 64, 5000] {
        assert_eq!(estimate(&mut op, &HutchinsonParams { block, ..loose }), one, "blocks of {block}");
    }
    let negative: Vec<f64> = eigenvalues().iter().map(|x| -x).collect();
    let other = estimate(&mut with_eigenvalues(&negative, 4).unwrap(), &loose);
    assert!(other.converged && other.value < 0.0, "a negative trace converges too: {other:?}");
}

#[test]
fn the_squared_frobenius_norm_lies_within_its_standard_error() {
    let mut op = with_eigenvalues(&eigenvalues(), 4).unwrap();
    let expected: f64 = eigenvalues().iter().map(|x| x * x).sum();
    let seeds = 200;
    let params = |seed| HutchinsonParams { rtol: 0.0, max_probes: 30, seed, ..PARAMS };
    let found: Vec<_> = (0..seeds)
        .map(|seed| squared_frobenius_norm(&mut op, &params(seed), &mut |_| ()).expect("a norm of a test"))
        .collect();
    let near = found.iter().filter(|f| (f.value - expected).abs() < 2.0 * f.standard_error).count();
    assert!((160..200).contains(&near), "{near} of {seeds} are near");
    let mean = found.iter().map(|f| f.value).sum::<f64>() / seeds as f64;
    let error = found.iter().map(|f| f.standard_error).sum::<f64>() / seeds as f64 / (seeds as f64).sqrt();
    assert!((mean - expected).abs() < 4.0 * error, "{mean} instead of {expected}");
}

#[test]
fn impossible_requests_are_errors() {
    let mut op = Diagonal(eigenvalues());
    let mut error = |params| trace(&mut op, &params, &mut |_| ()).unwrap_err();
    assert!(matches!(error(HutchinsonParams { max_probes: 1, ..PARAMS }), Error::Probes { .. }), "one probe");
    assert!(matches!(error(HutchinsonParams { block: 0, ..PARAMS }), Error::Probes { .. }), "no block");
    assert!(
        matches!(error(HutchinsonParams { rtol: f64::NAN, ..PARAMS }), Error::Tolerance { .. }),
        "tolerance"
    );
    let error = trace(&mut Diagonal(Vec::new()), &PARAMS, &mut |_| ()).unwrap_err();
    assert!(matches!(error, Error::NoDimension), "{error}");
    let error = trace(&mut Diagonal(vec![f64::NAN; 3]), &PARAMS, &mut |_| ()).unwrap_err();
    assert!(matches!(error, Error::NonFinite { product: 1 }), "{error}");
}

/// A tridiagonal matrix, in arithmetic that rounds alike everywhere.
struct Tridiagonal(usize);

impl SymmetricOperator for Tridiagonal {
    fn dim(&self) -> usize {
        self.0
    }

    fn apply(&mut self, v: &[f64], out: &mut [f64]) -> Result<(), ApplyError> {
        let at = |i: usize| v.get(i).copied().unwrap_or(0.0) / (i as f64 + 3.0);
        for (i, out) in out.iter_mut().enumerate() {
            *out = 0.1 * v[i] + (i as f64 + 3.0).recip() * (at(i.wrapping_sub(1)) + at(i + 1));
        }
        Ok(())
    }
}

#[test]
fn a_seed_gives_the_bits_that_it_always_gave() {
    let mut op = Tridiagonal(5000);
    let params = HutchinsonParams { rtol: 1e-5, max_probes: 50, block: 3, seed: 9 };
    let bits = |e: HutchinsonEstimate| (e.value.to_bits(), e.standard_error.to_bits(), e.probes);
    let found = bits(estimate(&mut op, &params));
    assert_eq!(found, (4_647_504_107_241_654_452, 4_584_265_009_886_449_458, 50));
    let found = bits(squared_frobenius_norm(&mut op, &params, &mut |_| ()).unwrap());
    assert_eq!(found, (4_632_237_790_575_201_613, 4_573_761_457_799_804_832, 50));
}
