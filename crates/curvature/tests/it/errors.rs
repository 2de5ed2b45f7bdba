//! Invalid parameters and failing operators.

use sharpness_curvature::{
    ApplyError, EigenParams, Error, Method, SymmetricOperator, Which, eigenpairs, spectra::Diagonal,
};

/// Computes `good` products and fails from then on.
struct Failing {
    good: usize,
    failure: fn(&mut [f64]) -> Result<(), ApplyError>,
}

impl SymmetricOperator for Failing {
    fn dim(&self) -> usize {
        200
    }

    fn apply(&mut self, v: &[f64], out: &mut [f64]) -> Result<(), ApplyError> {
        for (i, (out, v)) in out.iter_mut().zip(v).enumerate() {
            *out = v * i as f64;
        }
        if self.good == 0 {
            return (self.failure)(out);
        }
        self.good -= 1;
        Ok(())
    }
}

fn solve(dim: usize, params: &EigenParams) -> Error {
    eigenpairs(&mut Diagonal(vec![1.0; dim]), params, &mut |_| ()).expect_err("the parameters are invalid")
}

#[test]
fn the_error_of_a_failing_product_has_its_reason() {
    for method in [Method::Lanczos, Method::Dense, Method::PowerIteration] {
        let params = EigenParams { method, which: Which::LargestMagnitude, ..EigenParams::default() };
        let mut cancelled = Failing { good: 3, failure: |_| Err("cancelled by the user".into()) };
        let error = eigenpairs(&mut cancelled, &params, &mut |_| ()).unwrap_err();
        assert!(error.to_string().contains("cancelled by the user"), "{method:?}: {error}");

        let infinite = |out: &mut [f64]| {
            out[5] = f64::NAN;
            Ok(())
        };
        let error =
            eigenpairs(&mut Failing { good: 3, failure: infinite }, &params, &mut |_| ()).unwrap_err();
        assert!(matches!(error, Error::NonFinite { product: 4 }), "{method:?}: {error}");
    }
}

#[test]
fn products_whose_sums_overflow_are_errors() {
    for method in [Method::Lanczos, Method::Dense, Method::PowerIteration] {
        let params = EigenParams { method, which: Which::LargestMagnitude, ..EigenParams::default() };
        // A matrix of equal entries: each product is finite, but not the sum of its entries.
        let failure = |out: &mut [f64]| {
            out.fill(1e308);
            Ok(())
        };
        let mut huge = Failing { good: 0, failure };
        let error = eigenpairs(&mut huge, &params, &mut |_| ()).unwrap_err();
        assert!(matches!(error, Error::NonFinite { .. }), "{method:?}: {error}");
    }
}

#[test]
fn impossible_requests_name_their_cause() {
    let default = EigenParams::default;
    assert!(matches!(solve(0, &default()), Error::NoDimension), "dimension 0");
    for (k, dim) in [(0, 5), (6, 5), (501, 500)] {
        let error = solve(dim, &EigenParams { k, ..default() });
        assert!(matches!(error, Error::PairCount { .. }), "k = {k}: {error}");
    }
    for rtol in [-1.0, 1.0, 2.0, f64::NAN, f64::INFINITY] {
        let error = solve(5, &EigenParams { rtol, ..default() });
        assert!(matches!(error, Error::Tolerance { name: "rtol", .. }), "{rtol}: {error}");
    }
    for failure_probability in [0.0, 1.0, f64::NAN] {
        let error = solve(5, &EigenParams { failure_probability, ..default() });
        assert!(matches!(error, Error::FailureProbability { .. }), "{failure_probability}: {error}");
    }
    let error = solve(500, &EigenParams { max_products: 0, ..default() });
    assert!(matches!(error, Error::TooFewProducts { needed: 1, .. }), "{error}");
    let error = solve(2001, &EigenParams { method: Method::Dense, ..default() });
    assert!(error.to_string().contains("use Lanczos"), "{error}");
    let error = solve(500, &EigenParams { method: Method::PowerIteration, ..default() });
    assert!(matches!(error, Error::PowerIteration { .. }), "{error}");
}

#[test]
fn start_vectors_must_fit() {
    let with = |start| EigenParams { start: vec![vec![1.0; 500], start], ..EigenParams::default() };
    let error = solve(500, &with(vec![1.0; 499]));
    assert!(matches!(error, Error::StartLength { index: 1, length: 499, dim: 500 }), "{error}");
    for bad in [0.0, f64::NAN] {
        let error = solve(500, &with(vec![bad; 500]));
        assert!(matches!(error, Error::StartNorm { index: 1, .. }), "{error}");
    }
}
