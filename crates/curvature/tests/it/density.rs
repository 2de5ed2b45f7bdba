//! The spectral density against known spectra.

use sharpness_curvature::{
    Average, Density, DensityParams, Error, SymmetricOperator, density, spectra::Diagonal,
    spectra::with_eigenvalues,
};

const PARAMS: DensityParams = DensityParams { probes: 10, steps: 30, seed: 0 };

fn estimate(op: &mut dyn SymmetricOperator, params: &DensityParams) -> Density {
    density(op, params, &mut |_, _| ()).expect("a density of a test")
}

fn eigenvalues() -> Vec<f64> {
    [vec![90.0, 50.0, -30.0], (0..297).map(|i| (0.1 * f64::from(i)).sin()).collect()].concat()
}

fn mean(f: impl Fn(f64) -> f64) -> f64 {
    let values = eigenvalues();
    values.iter().map(|x| f(*x)).sum::<f64>() / values.len() as f64
}

fn assert_near(found: Average, expected: f64, what: &str) {
    let distance = (found.value - expected).abs();
    assert!(distance < 4.0 * found.standard_error + 1e-9, "{what}: {found:?} instead of {expected}");
}

#[test]
fn weights_sum_to_one_and_moments_are_those_of_the_spectrum() {
    let found = estimate(&mut with_eigenvalues(&eigenvalues(), 4).unwrap(), &PARAMS);
    assert_eq!((found.probes.len(), found.products, found.dim), (10, 300, 300), "as many as asked for");
    for nodes in &found.probes {
        let sum: f64 = nodes.iter().map(|node| node.weight).sum();
        assert!((sum - 1.0).abs() < 1e-12, "the weights of a probe sum to {sum}");
        assert!(nodes.is_sorted_by(|a, b| a.value < b.value), "nodes ascend");
    }
    for power in 0..5 {
        assert_near(found.average(|x| x.powi(power)), mean(|x| x.powi(power)), &format!("moment {power}"));
    }
    assert_near(found.trace(), 300.0 * mean(|x| x), "trace");
    assert_near(found.average(|x| f64::from(u8::from(x > 5.0))), 2.0 / 300.0, "share of outliers");
}

#[test]
fn a_quadrature_is_exact_for_polynomials() {
    // All eigenvalues of a multiple of the identity are seen from any start.
    let found = estimate(&mut Diagonal(vec![2.5; 40]), &PARAMS);
    for nodes in &found.probes {
        let [node] = nodes[..] else { panic!("{nodes:?} has several nodes") };
        assert!((node.value - 2.5).abs() < 1e-12 && (node.weight - 1.0).abs() < 1e-12, "{node:?}");
    }
    assert!(found.average(|x| x).standard_error < 1e-12, "and all probes agree");
    // n steps see the whole space: each probe has v's true weights on all eigenvalues.
    let found = estimate(&mut Diagonal(vec![1.0, 2.0, 4.0]), &DensityParams { steps: 3, ..PARAMS });
    assert!(found.probes.iter().all(|nodes| nodes.len() == 3), "{found:?}");
}

#[test]
fn the_smoothed_density_is_that_of_the_eigenvalues() {
    let params = DensityParams { probes: 40, steps: 60, seed: 1 };
    let found = estimate(&mut with_eigenvalues(&eigenvalues(), 4).unwrap(), &params);
    let (points, sigma) = ([-30.0, -0.5, 0.0, 0.9, 50.0, 70.0], 2.0);
    for (point, found) in points.into_iter().zip(found.smoothed(&points, sigma)) {
        let norm = sigma * (2.0 * std::f64::consts::PI).sqrt();
        let expected = mean(|x| (-0.5 * ((x - point) / sigma).powi(2)).exp() / norm);
        assert_near(found, expected, &format!("at {point}"));
    }
}

#[test]
fn the_standard_error_is_as_large_as_stated() {
    let mut op = with_eigenvalues(&eigenvalues(), 4).unwrap();
    let expected = 300.0 * mean(|x| x);
    let seeds = 100;
    let near = (0..seeds).filter(|seed| {
        let Average { value, standard_error } =
            estimate(&mut op, &DensityParams { probes: 20, steps: 5, seed: *seed }).trace();
        (value - expected).abs() < 2.1 * standard_error
    });
    let near = near.count();
    assert!((88..=100).contains(&near), "{near} of {seeds} within 2.1 standard errors; 95 expected");
}

#[test]
fn equal_seeds_give_equal_bits() {
    let mut op = with_eigenvalues(&eigenvalues(), 4).unwrap();
    assert_eq!(estimate(&mut op, &PARAMS), estimate(&mut op, &PARAMS), "the same seed");
    assert_ne!(
        estimate(&mut op, &PARAMS),
        estimate(&mut op, &DensityParams { seed: 1, ..PARAMS }),
        "another seed"
    );
}

#[test]
fn impossible_requests_are_errors() {
    for (probes, steps) in [(0, 10), (1, 10), (2, 0)] {
        let error =
            density(&mut Diagonal(vec![1.0; 5]), &DensityParams { probes, steps, seed: 0 }, &mut |_, _| ());
        assert!(matches!(error, Err(Error::Quadrature { .. })), "{probes} probes, {steps} steps: {error:?}");
    }
    let error = density(&mut Diagonal(Vec::new()), &PARAMS, &mut |_, _| ()).unwrap_err();
    assert!(matches!(error, Error::NoDimension), "{error}");
}
