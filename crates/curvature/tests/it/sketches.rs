//! The traces by Hutch++ and `XTrace`.

use sharpness_curvature::spectra::{Diagonal, with_eigenvalues};
use sharpness_curvature::{
    ApplyError, Error, HutchinsonEstimate, HutchinsonParams, SymmetricOperator, hutch_plus_plus, trace,
    xtrace,
};

const PARAMS: HutchinsonParams = HutchinsonParams { rtol: 0.0, max_probes: 60, block: 8, seed: 0 };
const DIM: u32 = 200;

/// `XTrace`, or Hutch++ with a sketch.
#[derive(Debug, Clone, Copy)]
enum Method {
    XTrace,
    HutchPlusPlus(usize),
}

impl Method {
    fn estimate(self, op: &mut dyn SymmetricOperator, params: &HutchinsonParams) -> HutchinsonEstimate {
        match self {
            Self::XTrace => xtrace(op, params, &mut |_| ()),
            Self::HutchPlusPlus(sketch) => hutch_plus_plus(op, sketch, params, &mut |_| ()),
        }
        .expect("a trace of a test")
    }
}

fn bulk(f: impl Fn(f64) -> f64) -> Vec<f64> {
    (0..DIM).map(|i| f(f64::from(i))).collect()
}

fn spectra() -> Vec<(&'static str, Vec<f64>)> {
    let mut rank_20 = bulk(|_| 0.0);
    (0..20).zip(&mut rank_20).for_each(|(i, x)| *x = if i % 4 == 0 { -1.0 } else { 0.5 * f64::from(i) });
    // Ten outliers, a bulk near 0 and a few negative eigenvalues, as of a Hessian.
    let mut spiked = bulk(|i| 0.1 * (7.0 * i).sin());
    (0..10).zip(&mut spiked).for_each(|(i, x)| *x = 100.0 * 0.72_f64.powi(i));
    spiked[10..14].copy_from_slice(&[-1.0, -0.8, -0.6, -0.5]);
    vec![
        ("flat", bulk(|i| (1.0 + 0.3 * i.sin()) * if i % 3.0 < 1.0 { -1.0 } else { 1.0 })),
        ("power law", bulk(|i| 1.0 / (1.0 + i))),
        ("fast power law", bulk(|i| (1.0 + i).powi(-2))),
        ("geometric", bulk(|i| 0.9_f64.powf(i))),
        ("rank 20", rank_20),
        ("spiked", spiked),
    ]
}

/// How the errors over `seeds` compare with the stated ones: the share within the interval for 95 %, the ratio of the root mean
/// squares, and the mean error in units of its own standard error.
fn coverage(method: Method, eigenvalues: &[f64], quantile: f64, seeds: u64) -> (f64, f64, f64) {
    let mut op = with_eigenvalues(eigenvalues, 4).expect("a square matrix");
    let expected: f64 = eigenvalues.iter().sum();
    let rounding = 1e-12 * eigenvalues.iter().map(|x| x.abs()).sum::<f64>();
    let (mut near, mut sum, mut squares, mut stated) = (0, 0.0, 0.0, 0.0);
    for seed in 0..seeds {
        let found = method.estimate(&mut op, &HutchinsonParams { seed, ..PARAMS });
        let error = found.value - expected;
        near += u32::from(error.abs() <= quantile * found.standard_error + rounding);
        (sum, squares) = (sum + error, squares + error * error);
        stated += found.standard_error.powi(2) + rounding.powi(2);
    }
    let bias = sum / (squares + rounding.powi(2)).sqrt();
    (f64::from(near) / seeds as f64, (squares / stated).sqrt(), bias)
}

#[test]
fn hutch_plus_plus_errs_as_much_as_it_states() {
    for (name, eigenvalues) in spectra() {
        // 30 probes, and Student's quantile for 29 degrees of freedom.
        let (near, ratio, bias) = coverage(Method::HutchPlusPlus(15), &eigenvalues, 2.045, 300);
        assert!(near >= 0.91, "{name}: {near} within the interval, of which 0.95 are expected");
        assert!((0.8..1.2).contains(&ratio), "{name}: errors are {ratio} times as large as stated");
        assert!(bias.abs() < 4.0, "{name}: the bias is {bias} standard errors");
    }
}

#[test]
fn the_standard_error_of_xtrace_is_conservative() {
    for (name, eigenvalues) in spectra() {
        let (near, ratio, bias) = coverage(Method::XTrace, &eigenvalues, 2.045, 300);
        assert!(near >= 0.95, "{name}: {near} within the interval, at least 0.95 are expected");
        assert!(ratio < 1.0, "{name}: errors are {ratio} times as large as stated");
        assert!(bias.abs() < 4.0, "{name}: the bias is {bias} standard errors");
    }
}

/// Keeps the vectors that it multiplies.
struct Recording<'a> {
    operator: &'a mut dyn SymmetricOperator,
    vectors: Vec<Vec<f64>>,
}

impl SymmetricOperator for Recording<'_> {
    fn dim(&self) -> usize {
        self.operator.dim()
    }

    fn apply(&mut self, v: &[f64], out: &mut [f64]) -> Result<(), ApplyError> {
        self.vectors.push(v.to_vec());
        self.operator.apply(v, out)
    }
}

fn dot(x: &[f64], y: &[f64]) -> f64 {
    x.iter().zip(y).map(|(x, y)| x * y).sum()
}

/// `v` minus its projection on the orthonormal `basis`, computed twice.
fn deflated(v: &[f64], basis: &[Vec<f64>]) -> Vec<f64> {
    let mut rest = v.to_vec();
    for q in basis.iter().chain(basis) {
        let along = dot(&rest, q);
        rest.iter_mut().zip(q).for_each(|(x, q)| *x -= along * q);
    }
    rest
}

/// The estimate as the paper defines it, in which each vector is left out of the basis once.
fn by_definition(op: &mut dyn SymmetricOperator, omegas: &[Vec<f64>]) -> f64 {
    let dim = op.dim();
    let mut apply = |v: &[f64]| {
        let mut out = vec![0.0; dim];
        op.apply(v, &mut out).expect("a product of a test");
        out
    };
    let mut sum = 0.0;
    for (i, omega) in omegas.iter().enumerate() {
        let mut basis: Vec<Vec<f64>> = Vec::new();
        for (_, other) in omegas.iter().enumerate().filter(|(j, _)| *j != i) {
            let rest = deflated(&apply(other), &basis);
            let norm = dot(&rest, &rest).sqrt();
            basis.push(rest.iter().map(|x| x / norm).collect());
        }
        sum += basis.iter().map(|q| dot(q, &apply(q))).sum::<f64>();
        let rest = deflated(omega, &basis);
        let rank = dim - basis.len();
        sum += dot(&rest, &apply(&rest)) * rank as f64 / dot(&rest, &rest);
    }
    sum / omegas.len() as f64
}

#[test]
fn xtrace_is_what_the_paper_defines() {
    let eigenvalues: Vec<f64> = (0..40).map(|i| 3.0 * 0.8_f64.powi(i) - 0.2).collect();
    let mut op = with_eigenvalues(&eigenvalues, 1).unwrap();
    let mut recording = Recording { operator: &mut op, vectors: Vec::new() };
    let params = HutchinsonParams { max_probes: 20, ..PARAMS };
    let mut steps = Vec::new();
    let found = xtrace(&mut recording, &params, &mut |step| steps.push(*step)).unwrap();
    assert_eq!(steps.iter().map(|step| step.probes).collect::<Vec<_>>(), [16, 20], "8 vectors, then 10");
    // The sketch of 8, their basis, the further 2.
    let vectors = recording.vectors;
    for (step, omegas) in
        [(steps[0], vectors[..8].to_vec()), (found, [&vectors[..8], &vectors[16..18]].concat())]
    {
        let expected = by_definition(&mut op, &omegas);
        assert!((step.value - expected).abs() < 1e-11, "{} instead of {expected}", step.value);
        let without = |i: usize| {
            let mut others = omegas.clone();
            others.remove(i);
            others
        };
        let k = omegas.len();
        let estimates: Vec<f64> = (0..k).map(|i| by_definition(&mut op, &without(i))).collect();
        let mean = estimates.iter().sum::<f64>() / k as f64;
        let squares: f64 = estimates.iter().map(|x| (x - mean).powi(2)).sum();
        let error = (squares * (k as f64 - 1.0) / k as f64).sqrt();
        assert!((step.standard_error - error).abs() < 1e-10, "{} instead of {error}", step.standard_error);
    }
}

#[test]
fn few_nonzero_eigenvalues_are_found_exactly() {
    let (_, eigenvalues) = spectra().remove(4);
    let expected: f64 = eigenvalues.iter().sum();
    let mut op = with_eigenvalues(&eigenvalues, 4).unwrap();
    for method in [Method::HutchPlusPlus(25), Method::XTrace] {
        let found = method.estimate(&mut op, &HutchinsonParams { rtol: 1e-6, ..PARAMS });
        assert!((found.value - expected).abs() < 1e-10, "{method:?}: {found:?} instead of {expected}");
        assert!(found.converged && found.standard_error < 1e-10, "{method:?}: {found:?}");
        let zero = method.estimate(&mut Diagonal(vec![0.0; 30]), &PARAMS);
        assert!(
            zero.converged && zero.value.abs() <= 0.0 && zero.standard_error <= 0.0,
            "{method:?}: {zero:?}"
        );
    }
}

#[test]
fn a_small_dimension_needs_no_probes() {
    for dim in [1, 2, 3, 7] {
        let eigenvalues: Vec<f64> = (0..dim).map(|i| f64::from(i) - 1.5).collect();
        let expected: f64 = eigenvalues.iter().sum();
        for method in [Method::HutchPlusPlus(25), Method::XTrace] {
            let found = method.estimate(&mut with_eigenvalues(&eigenvalues, 4).unwrap(), &PARAMS);
            assert!((found.value - expected).abs() < 1e-12, "{method:?}, dimension {dim}: {found:?}");
            assert!(found.converged && found.probes <= 2 * dim as usize, "{method:?}, {dim}: {found:?}");
        }
    }
}

#[test]
fn the_block_changes_nothing_and_the_tolerance_stops() {
    let (_, eigenvalues) = spectra().remove(5);
    let expected: f64 = eigenvalues.iter().sum();
    let mut op = with_eigenvalues(&eigenvalues, 4).unwrap();
    let params = HutchinsonParams { rtol: 0.01, max_probes: 1000, ..PARAMS };
    for method in [Method::HutchPlusPlus(15), Method::XTrace] {
        let one = method.estimate(&mut op, &HutchinsonParams { block: 1, ..params });
        for block in [2, 7, 64] {
            assert_eq!(method.estimate(&mut op, &HutchinsonParams { block, ..params }), one, "{method:?}");
        }
        assert!(one.converged && one.standard_error <= 0.01 * expected, "{method:?}: {one:?}");
        assert!((one.value - expected).abs() < 3.0 * one.standard_error, "{method:?}: {one:?}");
        let plain = trace(&mut op, &params, &mut |_| ()).unwrap();
        assert!(3 * one.probes < plain.probes, "{method:?}: {one:?} instead of {plain:?}");
    }
}

/// A diagonal in single precision.
struct Single(Vec<f64>);

impl SymmetricOperator for Single {
    fn dim(&self) -> usize {
        self.0.len()
    }

    #[expect(clippy::cast_possible_truncation, reason = "rounding is the purpose")]
    fn apply(&mut self, v: &[f64], out: &mut [f64]) -> Result<(), ApplyError> {
        for ((out, v), value) in out.iter_mut().zip(v).zip(&self.0) {
            *out = f64::from((*v as f32) * (*value as f32));
        }
        Ok(())
    }

    fn is_single(&self) -> bool {
        true
    }
}

#[test]
fn single_precision_costs_only_rounding() {
    for (name, eigenvalues) in spectra() {
        let expected: f64 = eigenvalues.iter().sum();
        let norm: f64 = eigenvalues.iter().map(|x| x.abs()).sum();
        for method in [Method::HutchPlusPlus(15), Method::XTrace] {
            let single = method.estimate(&mut Single(eigenvalues.clone()), &PARAMS);
            let error = (single.value - expected).abs();
            assert!(error <= 3.0 * single.standard_error + 1e-5 * norm, "{name}, {method:?}: {single:?}");
        }
    }
}

#[test]
fn impossible_requests_are_errors() {
    let mut op = Diagonal(vec![1.0; 9]);
    let error = hutch_plus_plus(&mut op, 5, &HutchinsonParams { max_probes: 11, ..PARAMS }, &mut |_| ());
    assert!(matches!(error, Err(Error::TooFewProducts { max_products: 11, needed: 12 })), "{error:?}");
    let error = xtrace(&mut op, &HutchinsonParams { max_probes: 3, ..PARAMS }, &mut |_| ());
    assert!(matches!(error, Err(Error::TooFewProducts { max_products: 3, needed: 4 })), "{error:?}");
    for params in [HutchinsonParams { rtol: -1.0, ..PARAMS }, HutchinsonParams { block: 0, ..PARAMS }] {
        assert!(xtrace(&mut op, &params, &mut |_| ()).is_err(), "{params:?}");
        assert!(hutch_plus_plus(&mut op, 3, &params, &mut |_| ()).is_err(), "{params:?}");
    }
    let error = xtrace(&mut Diagonal(vec![f64::NAN; 9]), &PARAMS, &mut |_| ());
    assert!(matches!(error, Err(Error::NonFinite { product: 1 })), "{error:?}");
    assert!(
        matches!(xtrace(&mut Diagonal(Vec::new()), &PARAMS, &mut |_| ()), Err(Error::NoDimension)),
        "empty"
    );
}
