//! Effective ranks and moments of a spectrum like that of a network's Hessian: ten outliers, a bulk near 0, a few negative eigenvalues.

use sharpness_curvature::spectra::{Diagonal, with_eigenvalues};
use sharpness_curvature::{
    ApplyError, Average, DenseOperator, Density, DensityParams, EigenParams, Error, Probes, ProbesParams,
    SymmetricOperator, density, eigenpairs, quotient,
};

const DIM: u16 = 300;
const STEPS: usize = 40;

fn eigenvalues() -> Vec<f64> {
    let mut values: Vec<f64> = (0..DIM).map(|i| 0.05 + 0.1 * (7.0 * f64::from(i)).sin()).collect();
    (0..10).zip(&mut values).for_each(|(i, x)| *x = 40.0 * 0.8_f64.powi(i));
    values[10..14].copy_from_slice(&[-1.0, -0.8, -0.6, -0.5]);
    values
}

fn operator() -> DenseOperator {
    with_eigenvalues(&eigenvalues(), 6).expect("a square matrix")
}

fn quadrature(op: &mut dyn SymmetricOperator, probes: usize, seed: u64) -> Density {
    density(op, &DensityParams { probes, steps: STEPS, seed }, &mut |_, _| ()).expect("a density of a test")
}

fn sum(f: impl Fn(f64) -> f64) -> f64 {
    eigenvalues().iter().map(|x| f(*x)).sum()
}

fn entropy_rank() -> f64 {
    let total = sum(|x| x.max(0.0));
    let entropy = sum(|x| if x > 0.0 { -(x / total) * (x / total).ln() } else { 0.0 });
    entropy.exp()
}

/// The share of `seeds` in which `estimate` holds `expected` within 2.05 standard errors, for about 40 probes.
fn coverage(expected: f64, seeds: u64, mut estimate: impl FnMut(u64) -> Average) -> f64 {
    let near = (0..seeds).filter(|seed| {
        let found = estimate(*seed);
        (found.value - expected).abs() <= 2.05 * found.standard_error
    });
    near.count() as f64 / seeds as f64
}

#[test]
fn ranks_from_the_density_lie_within_their_standard_errors() {
    let mut op = operator();
    let densities: Vec<Density> = (0..60).map(|seed| quadrature(&mut op, 40, seed)).collect();
    let of = |seed: u64| &densities[usize::try_from(seed).expect("a small number")];
    let near = coverage(entropy_rank(), 60, |seed| of(seed).entropy_rank());
    assert!(near >= 0.88, "entropy rank: {near} within the interval, of which 0.95 are expected");
    for alpha in [1e-2, 0.1, 1.0, 20.0] {
        let expected = sum(|x| x.max(0.0) / (x.max(0.0) + alpha));
        let near = coverage(expected, 60, |seed| of(seed).effective_dimension(alpha).unwrap());
        assert!(near >= 0.88, "alpha = {alpha}: {near} within the interval, of which 0.95 are expected");
    }
}

#[test]
fn quotients_lie_within_their_standard_errors() {
    let mut op = operator();
    let top =
        eigenpairs(&mut op, &EigenParams { rtol: 1e-6, ..EigenParams::default() }, &mut |_| ()).unwrap();
    let (largest, residual) = (top.pairs[0].value, top.pairs[0].residual);
    let average = |value, standard_error| Average { value, standard_error };
    let mut probes = |seed| {
        let mut probes = Probes::new(300, ProbesParams { seed, ..ProbesParams::default() }).unwrap();
        let trace = probes.trace(&mut op, 0.0, 40, &mut |_| ()).unwrap();
        let square = probes.squared_frobenius_norm(&mut op, 0.0, 40, &mut |_| ()).unwrap();
        (average(trace.value, trace.standard_error), average(square.value, square.standard_error))
    };
    let near = coverage(sum(|x| x) / 40.0, 200, |seed| quotient(probes(seed).0, largest, residual));
    assert!(near >= 0.91, "tr A / λ_max: {near} within the interval");
    let square = (largest * largest, 2.0 * largest * residual);
    let near = coverage(sum(|x| x * x) / 1600.0, 200, |seed| quotient(probes(seed).1, square.0, square.1));
    assert!(near >= 0.91, "‖A‖_F² / λ_max²: {near} within the interval");
    let both = quotient(average(6.0, 0.3), 2.0, 0.05);
    assert!((both.standard_error - 0.15_f64.hypot(0.075)).abs() < 1e-15, "both errors count: {both:?}");
}

#[test]
fn equal_eigenvalues_have_the_rank_of_their_number() {
    // The weights of a probe on the two eigenvalues are random, but a probe sees no other eigenvalue.
    let half: Vec<f64> = (0..200).map(|i| f64::from(i % 2) * 3.0).collect();
    let found = quadrature(&mut Diagonal(half), 40, 0);
    let rank = found.entropy_rank();
    assert!((rank.value - 100.0).abs() < 3.0 * rank.standard_error, "{rank:?} instead of 100");
    let same = quadrature(&mut Diagonal(vec![3.0; 200]), 10, 0).entropy_rank();
    assert!((same.value - 200.0).abs() < 1e-9 && same.standard_error < 1e-9, "{same:?} instead of 200");
    let none = quadrature(&mut Diagonal(vec![-3.0; 20]), 2, 0).entropy_rank();
    assert!(none.value.is_nan(), "no positive eigenvalue: {none:?}");
}

#[test]
fn an_effective_dimension_needs_a_positive_alpha() {
    let found = quadrature(&mut Diagonal(vec![3.0; 20]), 2, 0);
    for alpha in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        let error = found.effective_dimension(alpha).unwrap_err();
        assert!(matches!(error, Error::NotPositive { name: "alpha", .. }), "{error}");
    }
}

/// Keeps the vectors that it multiplies.
struct Recording(DenseOperator, Vec<Vec<f64>>);

impl SymmetricOperator for Recording {
    fn dim(&self) -> usize {
        self.0.dim()
    }

    fn apply(&mut self, v: &[f64], out: &mut [f64]) -> Result<(), ApplyError> {
        self.1.push(v.to_vec());
        self.0.apply(v, out)
    }
}

#[test]
fn each_probe_has_the_moments_of_its_vector() {
    let mut op = Recording(operator(), Vec::new());
    let found = quadrature(&mut op, 3, 5);
    for (nodes, start) in found.probes.iter().zip(op.1.chunks(STEPS).map(|vectors| vectors[0].clone())) {
        let mut power = start.clone();
        for degree in 0..6 {
            let moment: f64 = nodes.iter().map(|node| node.weight * node.value.powi(degree)).sum();
            let expected: f64 = start.iter().zip(&power).map(|(x, y)| x * y).sum();
            assert!(
                (moment - expected).abs() < 1e-11 * 40.0_f64.powi(degree),
                "degree {degree}: {moment} instead of {expected}"
            );
            let mut next = vec![0.0; power.len()];
            op.0.apply(&power, &mut next).unwrap();
            power = next;
        }
    }
    let trace = found.trace();
    let means = found.probes.iter().map(|nodes| nodes.iter().map(|n| n.weight * n.value).sum::<f64>());
    let mean = means.sum::<f64>() / 3.0 * 300.0;
    assert!((trace.value - mean).abs() < 1e-10, "{trace:?} is the mean of the first moments, {mean}");
}
