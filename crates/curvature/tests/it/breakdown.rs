//! Invariant spaces: breakdown is noticed, and what the first space lacks is found.

use sharpness_curvature::{DenseOperator, EigenParams, dense, lanczos, spectra::Diagonal};

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
fn copies_are_counted() {
    let mut op = Diagonal([vec![3.0; 2], vec![2.0; 3], vec![1.0; 500]].concat());
    let answer = lanczos(&mut op, &EigenParams { k: 6, ..EigenParams::default() }, &mut |_| ()).unwrap();
    let values: Vec<f64> = answer.pairs.iter().map(|pair| pair.value).collect();
    for (value, expected) in values.iter().zip([3.0, 3.0, 2.0, 2.0, 2.0, 1.0]) {
        assert!((value - expected).abs() < 1e-9, "{values:?}");
    }
    assert!(answer.converged(), "{:?}", answer.stop);
}

/// The limit that the documentation states: a space that converges before it breaks down holds no copies.
#[test]
fn copies_are_missed_without_a_breakdown() {
    let mut op = Diagonal((0..200).map(|i| f64::from(i / 2).sqrt()).collect());
    let params = EigenParams { k: 2, ..EigenParams::default() };
    let copies = |answer: &sharpness_curvature::Eigenpairs| {
        (answer.pairs[0].value - answer.pairs[1].value).abs() < 1e-9
    };
    assert!(!copies(&lanczos(&mut op, &params, &mut |_| ()).unwrap()), "Lanczos");
    assert!(copies(&dense(&mut op, &params, &mut |_| ()).unwrap()), "dense");
}

#[test]
fn all_pairs_of_a_small_operator() {
    let mut op = Diagonal(vec![5.0, 5.0, 1.0]);
    let answer = lanczos(&mut op, &EigenParams { k: 3, ..EigenParams::default() }, &mut |_| ()).unwrap();
    let values: Vec<f64> = answer.pairs.iter().map(|pair| pair.value).collect();
    assert!(answer.converged() && values.len() == 3, "{values:?}, {:?}", answer.stop);
    assert!((values[1] - 5.0).abs() < 1e-12 && (values[2] - 1.0).abs() < 1e-12, "{values:?}");
}

#[test]
fn a_tiny_coupling_is_no_breakdown() {
    // Two blocks that are joined by 1e-9, the larger eigenvalue in the block that the start lies outside of. A test at
    // the square root of the rounding unit would stop inside the first block.
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
