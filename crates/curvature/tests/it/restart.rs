//! Thick restarts under a memory limit.

use sharpness_curvature::{
    EigenParams, Error, Stop, Which, lanczos, spectra::Diagonal, spectra::with_eigenvalues,
};

use crate::accuracy::check_claims;
use crate::cases::{ENDS, cases, largest_magnitude, ranked};

fn smallest_memory(k: usize, dim: usize) -> usize {
    (3 * k + 5) * 8 * dim
}

#[test]
fn little_memory_gives_the_same_values() {
    for case in cases().into_iter().filter(|case| case.eigenvalues.len() > 20) {
        let dim = case.eigenvalues.len();
        let mut op = with_eigenvalues(&case.eigenvalues, 5).unwrap();
        let norm = largest_magnitude(&case.eigenvalues);
        for which in ENDS {
            let label = format!("{}, {which:?}", case.name);
            let k = 2;
            // The smallest memory always converges eventually, but at the edge of a bulk it takes thousands
            // of products.
            let factor = if which == Which::LargestAlgebraic { 1 } else { 3 };
            let params = EigenParams {
                k,
                which,
                rtol: 1e-5,
                bound_rtol: None,
                max_products: 4000,
                memory_bytes: factor * smallest_memory(k, dim),
                ..EigenParams::default()
            };
            let answer = lanczos(&mut op, &params, &mut |_| ()).unwrap();
            assert!(answer.converged(), "{label}: {:?}", answer.stop);
            for (pair, expected) in answer.pairs.iter().zip(ranked(&case.eigenvalues, which)) {
                let error = (pair.value.abs() - expected.abs()).abs();
                assert!(error <= 1e-5 * norm, "{label}: {} instead of {expected}", pair.value);
            }
            check_claims(&label, &mut op, norm, &answer);
        }
    }
}

#[test]
fn a_restart_costs_few_products_and_keeps_the_bounds() {
    let eigenvalues: Vec<f64> = (0..2000).map(|i| (-0.01 * f64::from(i)).exp()).collect();
    let mut op = Diagonal(eigenvalues.clone());
    let free = EigenParams { rtol: 1e-6, ..EigenParams::default() };
    let unrestarted = lanczos(&mut op, &free, &mut |_| ()).unwrap();
    let bound = EigenParams { memory_bytes: 20 * 8 * 2000, ..free };
    let restarted = lanczos(&mut op, &bound, &mut |_| ()).unwrap();
    assert!(restarted.converged(), "{:?}", restarted.stop);
    let (few, more) = (unrestarted.products, restarted.products);
    assert!(few < more && more < 3 * few, "{few} products without and {more} with restarts");
    let bounds = restarted.spectrum_bounds.unwrap();
    assert!(bounds.steps < 20, "the bounds come from before the first restart: {bounds:?}");
    assert!(bounds.upper >= 1.0 && bounds.lower <= eigenvalues[1999], "{bounds:?}");
}

/// The bound comes from one Krylov space, so a basis of few vectors proves little. The result must say so.
#[test]
fn a_result_that_little_memory_cannot_prove_is_not_converged() {
    let eigenvalues: Vec<f64> = (0..2000).map(|i| 1.0 - f64::from(i) / 2000.0).collect();
    let dim = eigenvalues.len();
    let params = EigenParams { rtol: 1e-2, bound_rtol: Some(1e-3), ..EigenParams::default() };
    let few = EigenParams { memory_bytes: smallest_memory(1, dim), ..params.clone() };
    let answer = lanczos(&mut Diagonal(eigenvalues.clone()), &few, &mut |_| ()).unwrap();
    assert_eq!(answer.stop, Stop::Unproved, "after {} products", answer.products);
    assert!(answer.pairs[0].limit.unwrap() >= 1.0, "{:?}", answer.pairs[0].limit);
    let answer = lanczos(&mut Diagonal(eigenvalues), &params, &mut |_| ()).unwrap();
    assert!(
        answer.converged() && answer.pairs[0].value > 0.999,
        "{} {:?}",
        answer.pairs[0].value,
        answer.stop
    );
}

#[test]
fn the_product_limit_is_respected() {
    let mut op = Diagonal((0..3000).map(f64::from).collect());
    for (k, max_products) in [(1, 2), (1, 17), (3, 4), (3, 40)] {
        let params = EigenParams { k, max_products, rtol: 1e-12, ..EigenParams::default() };
        let answer = lanczos(&mut op, &params, &mut |_| ()).unwrap();
        assert_eq!(answer.stop, Stop::ProductLimit, "k = {k}, limit {max_products}");
        assert!(answer.products <= max_products, "{} products of {max_products}", answer.products);
        assert!(!answer.pairs.is_empty(), "the best pairs so far are returned");
        check_claims("product limit", &mut op, 3000.0, &answer);
    }
}

#[test]
fn the_error_for_too_little_memory_states_how_much_is_needed() {
    let mut op = Diagonal(vec![1.0; 1000]);
    let params = EigenParams { memory_bytes: smallest_memory(1, 1000) - 1, ..EigenParams::default() };
    match lanczos(&mut op, &params, &mut |_| ()) {
        Err(Error::Memory { needed_bytes, .. }) => {
            assert_eq!(needed_bytes, smallest_memory(1, 1000), "needed")
        }
        other => panic!("{other:?}"),
    }
}
