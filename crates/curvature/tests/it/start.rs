//! Seeds and warm starts.

use sharpness_curvature::{EigenParams, Stop, lanczos, spectra::Diagonal, spectra::with_eigenvalues};

fn decaying(n: i32) -> Vec<f64> {
    (0..n).map(|i| 10.0 / f64::from(i + 1).sqrt()).collect()
}

#[test]
fn the_seed_determines_every_bit() {
    let solve = |seed| {
        let params = EigenParams { k: 2, seed, ..EigenParams::default() };
        let answer = lanczos(&mut Diagonal(decaying(500)), &params, &mut |_| ()).unwrap();
        answer.pairs[0].vector.iter().map(|x| x.to_bits()).collect::<Vec<_>>()
    };
    assert_eq!(solve(3), solve(3), "same seed");
    assert_ne!(solve(3), solve(4), "another seed");
}

#[test]
fn a_warm_start_takes_fewer_products() {
    let params = EigenParams { k: 3, rtol: 1e-4, ..EigenParams::default() };
    let mut op = with_eigenvalues(&decaying(200), 1).unwrap();
    let cold = lanczos(&mut op, &params, &mut |_| ()).unwrap();
    let start = cold.pairs.iter().map(|pair| pair.vector.clone()).collect();
    let warm = lanczos(&mut op, &EigenParams { start, ..params.clone() }, &mut |_| ()).unwrap();
    assert!(warm.converged() && warm.products < cold.products, "{} after {}", warm.products, cold.products);
    for (warm, cold) in warm.pairs.iter().zip(&cold.pairs) {
        assert!((warm.value - cold.value).abs() < 1e-6, "{} and {}", warm.value, cold.value);
    }
}

#[test]
fn a_warm_start_at_an_overtaken_eigenvector_finds_the_new_one() {
    let mut eigenvalues = vec![0.0; 400];
    (eigenvalues[7], eigenvalues[300]) = (5.0, 6.0);
    let mut start = vec![0.0; 400];
    start[7] = 1.0;
    let params = EigenParams { rtol: 1e-6, start: vec![start], ..EigenParams::default() };
    let answer = lanczos(&mut Diagonal(eigenvalues), &params, &mut |_| ()).unwrap();
    assert!((answer.pairs[0].value - 6.0).abs() < 1e-9, "{}", answer.pairs[0].value);
}

#[test]
fn start_vectors_that_cancel_give_a_random_start() {
    let v: Vec<f64> = (0..300).map(f64::from).collect();
    let opposite = v.iter().map(|x| -x).collect();
    let params = EigenParams { start: vec![v, opposite], ..EigenParams::default() };
    let answer = lanczos(&mut Diagonal(decaying(300)), &params, &mut |_| ()).unwrap();
    assert!(answer.converged() && (answer.pairs[0].value - 10.0).abs() < 1e-3, "{}", answer.pairs[0].value);
}

/// Starts that are eigenvectors of a smaller eigenvalue, or mixtures of a few. A solver that trusts its
/// residuals and its start takes such an eigenvalue for the largest.
#[test]
fn a_start_orthogonal_to_the_largest_eigenvector_does_not_hide_it() {
    let (mut tried, mut most) = (0, 0);
    for second in [0.7, 0.8, 0.88, 0.95] {
        for blind_to in [1, 3, 8] {
            let bulk = (0..500).map(|i| 0.5 * 0.97_f64.powi(i));
            let mut eigenvalues: Vec<f64> = [1.0, second].into_iter().chain(bulk).collect();
            eigenvalues[2..10].fill(0.9 * second);
            let mut start = vec![0.0; eigenvalues.len()];
            start[1..=blind_to].fill(1.0);
            for seed in 0..20 {
                let params = EigenParams { seed, start: vec![start.clone()], ..EigenParams::default() };
                let answer = lanczos(&mut Diagonal(eigenvalues.clone()), &params, &mut |_| ()).unwrap();
                let (value, limit) = (answer.pairs[0].value, answer.pairs[0].limit.unwrap());
                let label = format!("λ_2 = {second}, {blind_to} in the start, seed {seed}");
                assert_eq!(answer.stop, Stop::Converged, "{label}");
                assert!(value > 0.998, "{label}: {value} after {} products", answer.products);
                assert!((1.0..=1.1 * value).contains(&limit), "{label}: at most {limit}");
                (tried, most) = (tried + 1, most.max(answer.products));
            }
        }
    }
    assert_eq!(tried, 240, "problems");
    assert!(most < 60, "{most} products");
}
