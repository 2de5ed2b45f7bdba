//! The values, vectors and residuals of every method on every case.

use sharpness_curvature::{
    EigenParams, Eigenpairs, Method, Progress, Stop, SymmetricOperator, Which, eigenpairs,
    spectra::with_eigenvalues,
};

use crate::cases::{ENDS, cases, largest_magnitude, ranked};

/// Checks a result: orthonormal vectors with the stated values and residuals.
pub(crate) fn check_claims(label: &str, op: &mut dyn SymmetricOperator, norm: f64, answer: &Eigenpairs) {
    let dot = |x: &[f64], y: &[f64]| -> f64 { x.iter().zip(y).map(|(x, y)| x * y).sum() };
    for (i, pair) in answer.pairs.iter().enumerate() {
        let mut product = vec![0.0; op.dim()];
        op.apply(&pair.vector, &mut product).expect("the operator of a test");
        // Scaled by the norm, since squares of tiny numbers underflow.
        let unit = if norm > 0.0 { norm } else { 1.0 };
        let scaled = |(p, u): (&f64, &f64)| (p - pair.value * u) / unit;
        let difference: Vec<f64> = product.iter().zip(&pair.vector).map(scaled).collect();
        let residual = dot(&difference, &difference).sqrt();
        let claimed = pair.residual / unit;
        assert!((residual - claimed).abs() <= 1e-13, "{label}: pair {i} claims {claimed}, has {residual}");
        for (j, other) in answer.pairs.iter().enumerate() {
            let expected = f64::from(u8::from(i == j));
            let product = dot(&pair.vector, &other.vector);
            assert!(
                (product - expected).abs() < 1e-9,
                "{label}: vectors {i} and {j} have the product {product}"
            );
        }
    }
}

#[test]
fn every_method_finds_the_wanted_values() {
    for case in cases() {
        let mut op = with_eigenvalues(&case.eigenvalues, 5).unwrap();
        let norm = largest_magnitude(&case.eigenvalues);
        for which in ENDS {
            for (method, k) in
                [(Method::Lanczos, 1), (Method::Lanczos, 4), (Method::Dense, 4), (Method::Auto, 2)]
            {
                let k = k.min(case.eigenvalues.len());
                let label = format!("{}, {which:?}, {method:?}, k = {k}", case.name);
                let params = EigenParams { k, which, method, rtol: 1e-9, ..EigenParams::default() };
                let answer = eigenpairs(&mut op, &params, &mut |_| ()).unwrap();
                assert!(answer.converged(), "{label}: {:?} after {} products", answer.stop, answer.products);
                assert_eq!(answer.pairs.len(), k, "{label}");
                for (pair, expected) in answer.pairs.iter().zip(ranked(&case.eigenvalues, which)) {
                    let same_sign = (pair.value - expected).abs() <= 1e-10 * norm;
                    let same_magnitude = (pair.value.abs() - expected.abs()).abs() <= 1e-10 * norm;
                    let good = same_sign || which == Which::LargestMagnitude && same_magnitude;
                    assert!(good, "{label}: {} instead of {expected}", pair.value);
                    let limit = pair.limit.unwrap_or(f64::INFINITY);
                    let excess = match which {
                        Which::LargestAlgebraic => expected - limit,
                        Which::SmallestAlgebraic => limit - expected,
                        Which::LargestMagnitude => expected.abs() - limit,
                    };
                    assert!(excess <= 1e-12 * norm, "{label}: {expected} lies beyond {limit}");
                }
                check_claims(&label, &mut op, norm, &answer);
            }
        }
    }
}

#[test]
fn power_iteration_finds_the_largest_magnitude() {
    let eigenvalues = [vec![-9.0], (0..60).map(|i| -5.0 + i as f64 / 6.0).collect()].concat();
    let mut op = with_eigenvalues(&eigenvalues, 1).unwrap();
    let params = EigenParams {
        which: Which::LargestMagnitude,
        method: Method::PowerIteration,
        rtol: 1e-6,
        bound_rtol: None,
        ..EigenParams::default()
    };
    let mut reports = 0;
    let answer = eigenpairs(&mut op, &params, &mut |_| reports += 1).unwrap();
    assert!(answer.converged(), "{:?}", answer.stop);
    assert_eq!(answer.products, reports, "one report a product");
    assert!((answer.pairs[0].value + 9.0).abs() < 1e-9, "{}", answer.pairs[0].value);
    check_claims("power iteration", &mut op, 9.0, &answer);

    let lanczos = EigenParams { method: Method::Lanczos, ..params.clone() };
    let faster = eigenpairs(&mut op, &lanczos, &mut |_| ()).unwrap();
    assert!(faster.products < answer.products, "Lanczos took {} products", faster.products);

    let bounded = EigenParams { bound_rtol: Some(0.1), ..params.clone() };
    let answer = eigenpairs(&mut op, &bounded, &mut |_| ()).unwrap();
    assert_eq!(answer.stop, Stop::Unproved, "power iteration has no bound");

    let limited = EigenParams { max_products: 5, ..params };
    let answer = eigenpairs(&mut op, &limited, &mut |_| ()).unwrap();
    assert!(!answer.converged() && answer.products == 5, "{:?} after {}", answer.stop, answer.products);
}

#[test]
fn power_iteration_stops_after_one_product_on_zero() {
    let mut op = with_eigenvalues(&[0.0; 9], 1).unwrap();
    let params = EigenParams {
        which: Which::LargestMagnitude,
        method: Method::PowerIteration,
        bound_rtol: None,
        ..EigenParams::default()
    };
    let answer = eigenpairs(&mut op, &params, &mut |_| ()).unwrap();
    assert!(answer.converged() && answer.products == 1, "{:?} after {}", answer.stop, answer.products);
}

#[test]
fn the_last_progress_is_the_result() {
    let eigenvalues: Vec<f64> = (0..300).map(|i| (i as f64).sqrt()).collect();
    let mut op = with_eigenvalues(&eigenvalues, 2).unwrap();
    let mut reports = Vec::new();
    let answer =
        eigenpairs(&mut op, &EigenParams::default(), &mut |progress| reports.push(*progress)).unwrap();
    let (last, before) = reports.split_last().unwrap();
    assert!((last.value - answer.pairs[0].value).abs() < 1e-9, "{last:?}");
    assert!((last.residual - answer.pairs[0].residual).abs() < 1e-9, "{last:?}");
    assert_eq!(last.products, answer.products, "the residual takes no further product");
    assert!(reports.len() >= answer.products.min(40), "one look after each of the first 40 products");
    let found = |report: &&Progress| {
        report.residual <= 1e-3 * report.value
            && report.limit.is_some_and(|limit| limit <= 1.1 * report.value)
    };
    assert!(before.iter().find(found).is_none(), "it stops at the first product that suffices");
}
