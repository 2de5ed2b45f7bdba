//! The bounds on the spectrum: they hold, fail as rarely as stated, and are tight.

use sharpness_curvature::{
    EigenParams, Method, SpectrumBounds, Which, eigenpairs, lanczos, spectra::Diagonal,
};

use crate::cases::{cases, largest_magnitude};

#[test]
fn bounds_hold_and_beat_the_worst_case_rate_for_many_seeds_and_lengths() {
    let mut tried = 0;
    for case in cases() {
        let true_largest = case.eigenvalues.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let true_smallest = case.eigenvalues.iter().copied().fold(f64::INFINITY, f64::min);
        for seed in 0..20 {
            for max_products in [4, 8, 16, 32] {
                let params = EigenParams { seed, max_products, rtol: 1e-8, ..EigenParams::default() };
                let answer = lanczos(&mut Diagonal(case.eigenvalues.clone()), &params, &mut |_| ()).unwrap();
                let Some(bounds) = answer.spectrum_bounds else { continue };
                tried += 1;
                let label = format!("{}, seed {seed}, {max_products} products: {bounds:?}", case.name);
                assert!(bounds.lower <= true_smallest && true_largest <= bounds.upper, "{label}");
                let theta = answer.pairs[0].value;
                assert!(theta <= bounds.upper && bounds.upper.is_finite(), "{label}, value {theta}");
                let width = true_largest - true_smallest;
                let by_rate = excess_by_rate(case.eigenvalues.len(), &bounds, width);
                let allowance = 1e-12 * largest_magnitude(&case.eigenvalues);
                assert!(bounds.upper - theta <= by_rate + allowance, "{label}, by the rate {by_rate}");
            }
        }
    }
    assert!(tried > 900, "only {tried} answers had bounds");
}

/// The rate of Kuczyński and Woźniakowski at both ends of an indefinite operator: `ε width / (1 - 2 ε)` with
/// `ε = tanh²(acosh(1/τ) / (2 k - 1))`, see `docs/derivations/lanczos.md`.
fn excess_by_rate(dim: usize, bounds: &SpectrumBounds, width: f64) -> f64 {
    let overlap =
        0.5 * bounds.failure_probability * (std::f64::consts::PI / (2.0 * (dim as f64 - 1.0))).sqrt();
    let epsilon = ((1.0 / overlap).acosh() / (2.0 * bounds.steps as f64 - 1.0)).tanh().powi(2);
    if epsilon < 0.5 { epsilon * width / (1.0 - 2.0 * epsilon) } else { f64::INFINITY }
}

/// One distant eigenvalue and a bulk that hides it: the spectrum for which a random start fails most often.
#[test]
fn bounds_fail_about_as_often_as_stated() {
    let dim = 50;
    let mut eigenvalues = vec![0.0; dim];
    for (i, value) in eigenvalues.iter_mut().enumerate() {
        *value = (i as f64 * std::f64::consts::PI / dim as f64).cos();
    }
    eigenvalues[0] = 1e4;
    let (seeds, failure_probability) = (3000, 0.2);
    let mut failures = 0;
    for seed in 0..seeds {
        // After one step, the bound is nearly tight for an eigenvalue that dwarfs the others.
        let params = EigenParams { seed, max_products: 1, failure_probability, ..EigenParams::default() };
        let answer = lanczos(&mut Diagonal(eigenvalues.clone()), &params, &mut |_| ()).unwrap();
        failures += u32::from(answer.spectrum_bounds.unwrap().upper < eigenvalues[0]);
    }
    let share = f64::from(failures) / f64::from(u32::try_from(seeds).unwrap());
    // Each end gets half of the stated probability. Three standard deviations are 0.016.
    assert!(share < 0.5 * failure_probability + 0.016, "{share}");
    assert!(
        share > 0.3 * failure_probability,
        "{share}: the bound is needlessly wide, or this test tests nothing"
    );
}

#[test]
fn bounds_are_tight_for_a_hessian_like_spectrum() {
    let dim = 100_000;
    let mut eigenvalues: Vec<f64> = (0..dim).map(|i| 0.2 * (f64::from(i) * 0.37).sin()).collect();
    for (i, value) in eigenvalues.iter_mut().take(10).enumerate() {
        *value = 20.0 * 0.7_f64.powi(i32::try_from(i).unwrap());
    }
    let answer = lanczos(&mut Diagonal(eigenvalues), &EigenParams::default(), &mut |_| ()).unwrap();
    let bounds = answer.spectrum_bounds.unwrap();
    assert!(answer.converged() && bounds.upper >= 20.0, "{bounds:?}");
    assert!(bounds.upper < 20.0 * 1.5, "{bounds:?} after {} products", answer.products);
}

#[test]
fn bound_rtol_continues_until_the_bounds_are_tight() {
    let eigenvalues: Vec<f64> = (0..2000).map(|i| f64::from(i).sqrt()).collect();
    for which in [Which::LargestAlgebraic, Which::SmallestAlgebraic, Which::LargestMagnitude] {
        let shifted: Vec<f64> = eigenvalues.iter().map(|value| value - 30.0).collect();
        let params = EigenParams { which, bound_rtol: Some(1e-3), ..EigenParams::default() };
        let answer = lanczos(&mut Diagonal(shifted), &params, &mut |_| ()).unwrap();
        let (value, bounds) = (answer.pairs[0].value, answer.spectrum_bounds.unwrap());
        let excess = if value > 0.0 { bounds.upper - value } else { value - bounds.lower };
        assert!(answer.converged(), "{which:?}: {:?}", answer.stop);
        assert!((0.0..=1.001e-3 * value.abs()).contains(&excess), "{which:?}: {value} and {bounds:?}");
    }
}

#[test]
fn bounds_hold_after_a_warm_start() {
    let eigenvalues: Vec<f64> = (0..300).map(|i| 10.0 / f64::from(i + 1)).collect();
    for seed in 0..100 {
        // The given vector is orthogonal to the largest eigenvector: only the random share can find it.
        let mut start = vec![0.0; 300];
        start[1] = 1.0;
        let params = EigenParams { seed, start: vec![start], max_products: 12, ..EigenParams::default() };
        let answer = lanczos(&mut Diagonal(eigenvalues.clone()), &params, &mut |_| ()).unwrap();
        let bounds = answer.spectrum_bounds.unwrap();
        assert!(bounds.upper >= 10.0 && bounds.lower <= eigenvalues[299], "seed {seed}: {bounds:?}");
    }
}

#[test]
fn bounds_of_the_dense_method_and_of_a_whole_space_are_certain() {
    let mut op = Diagonal(vec![4.0, 1.0, -2.0]);
    for method in [Method::Dense, Method::Lanczos] {
        let params = EigenParams { method, rtol: 1e-14, ..EigenParams::default() };
        let bounds = eigenpairs(&mut op, &params, &mut |_| ()).unwrap().spectrum_bounds.unwrap();
        assert!(bounds.failure_probability <= 0.0, "{method:?}: {bounds:?}");
        assert!((4.0..4.0 + 1e-12).contains(&bounds.upper), "{method:?}: {bounds:?}");
        assert!((-2.0 - 1e-12..=-2.0).contains(&bounds.lower), "{method:?}: {bounds:?}");
    }
}
