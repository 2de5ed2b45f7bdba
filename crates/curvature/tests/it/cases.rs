//! The spectra that every solver is tested on.

use sharpness_curvature::Which;

pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) eigenvalues: Vec<f64>,
}

pub(crate) fn cases() -> Vec<Case> {
    let case = |name, eigenvalues| Case { name, eigenvalues };
    let evenly = |n: usize, low: f64, high: f64| -> Vec<f64> {
        (0..n).map(|i| low + (high - low) * (i as f64 + 0.5) / n as f64).collect()
    };
    vec![
        case("dimension 1", vec![-3.0]),
        case("dimension 2", vec![2.0, -5.0]),
        case("zero", vec![0.0; 30]),
        case("identity", vec![1.0; 30]),
        case("repeated", [vec![5.0; 3], vec![1.0; 20], vec![-2.0; 17]].concat()),
        case("even", evenly(150, -1.0, 3.0)),
        case("negative end larger", [vec![-40.0, -39.0], evenly(120, -1.0, 1.0), vec![7.0, 6.5]].concat()),
        case("negative semidefinite", [evenly(60, -3.0, -1.0), vec![0.0]].concat()),
        case(
            "cluster at the top",
            [vec![4.0, 4.0 - 1e-3, 4.0 - 2e-3, 4.0 - 3e-3], evenly(90, -1.0, 2.0)].concat(),
        ),
        case("low rank and a bulk", [vec![90.0, 50.0, 30.0, 20.0, 15.0], evenly(245, -0.05, 0.05)].concat()),
        case("geometric", (0..80).map(|i| 0.9_f64.powi(i)).collect()),
        case("tiny", evenly(50, -1e-200, 3e-200)),
        case("huge", evenly(50, -1e200, 3e200)),
    ]
}

pub(crate) const ENDS: [Which; 3] =
    [Which::LargestAlgebraic, Which::SmallestAlgebraic, Which::LargestMagnitude];

/// The eigenvalues, most wanted first.
pub(crate) fn ranked(eigenvalues: &[f64], which: Which) -> Vec<f64> {
    let rank = |value: f64| match which {
        Which::LargestAlgebraic => value,
        Which::SmallestAlgebraic => -value,
        Which::LargestMagnitude => value.abs(),
    };
    let mut ranked = eigenvalues.to_vec();
    ranked.sort_by(|a, b| rank(*b).total_cmp(&rank(*a)));
    ranked
}

pub(crate) fn largest_magnitude(eigenvalues: &[f64]) -> f64 {
    eigenvalues.iter().fold(0.0, |largest: f64, value| largest.max(value.abs()))
}
