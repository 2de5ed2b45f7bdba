//! Invariant spaces: the solver detects breakdown and finds what the first space lacks.

use sharpness_curvature::{DenseOperator, EigenParams, lanczos, spectra::Diagonal};

#[test]
fn one_pair_of_a_repeated_spectrum_needs_as_many_products_as_distinct_values() {
    let mut op = Diagonal([vec![3.0; 500], vec![1.0; 500], vec![-2.0; 500]].concat());
    let answer =
        lanczos(&mut op, &EigenParams { rtol: 1e-12, ..EigenParams::default() }, &mut |_| ()).unwrap();
    assert!(answer.converged(), "{:?}", answer.stop);
    assert!(answer.products <= 5, "{} products", answer.products);
    let bounds = answer.spectrum_bounds.unwrap();
    assert!(bounds.upper >= 3.0 && bounds.upper < 3.0 + 1e-6, "{bounds:?}");
    assert!(bounds.lower <= -2.0 && bounds.lower > -2.0 - 1e-6, "{bounds:?}");
}

#[test]
fn every_copy_of_a_repeated_eigenvalue_is_found() {
    let mut op = Diagonal([vec![3.0; 2], vec![2.0; 3], vec![1.0; 500]].concat());
    let answer = lanczos(&mut op, &EigenParams { k: 6, ..EigenParams::default() }, &mut |_| ()).unwrap();
    let values: Vec<f64> = answer.pairs.iter().map(|pair| pair.value).collect();
    for (value, expected) in values.iter().zip([3.0, 3.0, 2.0, 2.0, 2.0, 1.0]) {
        assert!((value - expected).abs() < 1e-9, "{values:?}");
    }
    assert!(answer.converged(), "{:?}", answer.stop);
}

#[test]
fn copies_are_found_without_breakdown() {
    let pairs = Diagonal((0..200).map(|i| f64::from(i / 2).sqrt()).collect());
    // Sixteen identical units: λ_3 to λ_17 are equal.
    let units = [vec![10.0, 8.0], vec![5.0; 15], (0..400).map(|i| 4.6 * 0.99_f64.powi(i)).collect()].concat();
    for (mut op, k) in [(pairs, 2), (Diagonal(units.clone()), 4), (Diagonal(units), 17)] {
        let mut expected = op.0.clone();
        expected.sort_by(|a, b| b.total_cmp(a));
        for (seed, bound_rtol) in (0..5).flat_map(|seed| [(seed, Some(0.1)), (seed, None)]) {
            let params = EigenParams { k, seed, bound_rtol, ..EigenParams::default() };
            let answer = lanczos(&mut op, &params, &mut |_| ()).unwrap();
            assert!(answer.converged(), "k = {k}, seed {seed}: {:?}", answer.stop);
            for (place, (pair, expected)) in answer.pairs.iter().zip(&expected).enumerate() {
                let (value, limit) = (pair.value, pair.limit.unwrap());
                assert!(
                    (value - expected).abs() < 1e-3 * expected,
                    "λ_{}: {value}, not {expected}",
                    place + 1
                );
                assert!(*expected <= limit, "λ_{} = {expected} exceeds {limit}", place + 1);
            }
        }
    }
}

#[test]
fn all_pairs_of_a_small_operator_are_found() {
    let mut op = Diagonal(vec![5.0, 5.0, 1.0]);
    let answer = lanczos(&mut op, &EigenParams { k: 3, ..EigenParams::default() }, &mut |_| ()).unwrap();
    let values: Vec<f64> = answer.pairs.iter().map(|pair| pair.value).collect();
    assert!(answer.converged() && values.len() == 3, "{values:?}, {:?}", answer.stop);
    assert!((values[1] - 5.0).abs() < 1e-12 && (values[2] - 1.0).abs() < 1e-12, "{values:?}");
}

#[test]
fn a_tiny_coupling_is_not_a_breakdown() {
    // Two blocks coupled by 1e-9, with the largest eigenvalue in the block that the start does not touch. A
    // test at the square root of machine epsilon would stop in the first block.
    let n = 40;
    let mut entries = vec![0.0; n * n];
    for i in 0..n / 2 {
        entries[i * n + i] = 1.0;
    }
    for i in n / 2..n {
        entries[i * n + i] = 2.0;
    }
    for i in 0..n / 2 {
        entries[i * n + i + n / 2] = 1e-9;
        entries[(i + n / 2) * n + i] = 1e-9;
    }
    let mut op = DenseOperator::new(n, entries).unwrap();
    let mut start = vec![0.0; n];
    start[0] = 1.0;
    let params = EigenParams { start: vec![start], rtol: 1e-10, ..EigenParams::default() };
    let answer = lanczos(&mut op, &params, &mut |_| ()).unwrap();
    assert!(answer.converged() && (answer.pairs[0].value - 2.0).abs() < 1e-12, "{:?}", answer.pairs[0].value);
}
