//! Losses against closed forms and differences.

use sharpness_backend::Loss;
use sharpness_kernels::loss::{loss_gradient, loss_hessian_product, loss_value};

use crate::data::{F64_ROUNDING, Random, assert_near, assert_same};

const BOTH: [Loss; 2] = [Loss::SoftmaxCrossEntropy, Loss::SquaredError];
/// The step of central differences of functions whose derivatives are of order 1.
const STEP: f64 = 1e-5;
/// Truncation (`STEP²`) and rounding (`1e-15 / STEP`) of these differences.
const DIFFERENCE: f64 = 1e-9;

fn sums(kind: Loss, n: usize, z: &[f64], labels: &[u32]) -> [f64; 2] {
    let mut sums = [0.0; 2];
    loss_value(kind, n, z, labels, &mut sums);
    sums
}

fn gradient(kind: Loss, n: usize, z: &[f64], labels: &[u32], scale: f64) -> Vec<f64> {
    let mut dz = vec![f64::NAN; z.len()];
    loss_gradient(kind, n, z, labels, scale, &mut [0.0; 2], &mut dz);
    dz
}

fn product(kind: Loss, n: usize, z: &[f64], labels: &[u32], v: &[f64]) -> Vec<f64> {
    let mut out = vec![f64::NAN; z.len()];
    loss_hessian_product(kind, n, z, labels, 0.5, v, &mut out);
    out
}

#[test]
fn values_are_the_closed_forms() {
    // Two examples of three classes, [classes, n].
    let (z, labels) = ([0.0, 1.0, 0.0, 2.0, 0.0, 3.0], [1, 0]);
    let entropy = 3.0_f64.ln() + (1.0_f64.exp() + 2.0_f64.exp() + 3.0_f64.exp()).ln() - 1.0;
    let squared = 0.5 + 0.5 * (0.0 + 4.0 + 9.0);
    for (kind, want) in [(Loss::SoftmaxCrossEntropy, entropy), (Loss::SquaredError, squared)] {
        let [loss, correct] = sums(kind, 2, &z, &labels);
        assert!((loss - want).abs() < 1e-14, "{kind:?} gives {loss}, not {want}");
        assert!(correct.abs() < 0.5, "the first of equal maxima is class 0, the label is 1");
    }
}

#[test]
fn sums_are_added_to_and_count_the_first_maximum() {
    let mut both = [10.0, 20.0];
    loss_value(Loss::SquaredError, 2, &[1.0, 1.0, 1.0, 0.0], &[0, 0], &mut both);
    assert!((both[0] - 10.5).abs() < 1e-15 && (both[1] - 22.0).abs() < 1e-15, "got {both:?}");
}

#[test]
fn a_gradient_gives_the_sums_of_the_value() {
    for (kind, classes) in BOTH.into_iter().flat_map(|kind| [2, 10, 100].map(|classes| (kind, classes))) {
        let (z, n) = (Random::new(17).vector::<f64>(classes * 7), 7);
        let labels = [0, 1, 0, 1, 1, 0, 1];
        let (mut got, mut dz) = ([0.0; 2], vec![0.0; z.len()]);
        loss_gradient(kind, n, &z, &labels, 1.0, &mut got, &mut dz);
        assert_same(&got, &sums(kind, n, &z, &labels), &format!("{kind:?} of {classes} classes"));
    }
}

#[test]
fn large_outputs_do_not_overflow() {
    let [loss, correct] = sums(Loss::SoftmaxCrossEntropy, 1, &[1e4, -1e4, 0.0], &[1]);
    assert!((loss - 2e4).abs() < 1e-9 && correct.abs() < 0.5, "got {loss}, {correct}");
    let dz = gradient(Loss::SoftmaxCrossEntropy, 1, &[1e4, -1e4, 0.0], &[1], 1.0);
    assert_near(&dz, &[1.0, -1.0, 0.0], F64_ROUNDING, "gradient");
}

#[test]
fn outputs_that_are_not_finite_make_the_loss_nan_and_no_example_correct() {
    for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        for kind in BOTH {
            let [loss, correct] = sums(kind, 1, &[bad, 0.0], &[0]);
            assert!(loss.is_nan() && correct.abs() < 0.5, "{kind:?} of {bad} gives {loss}, {correct}");
        }
    }
}

#[test]
fn gradient_and_hessian_product_are_central_differences() {
    for (kind, (classes, n)) in BOTH.into_iter().flat_map(|k| [(1, 1), (2, 5), (10, 7)].map(|s| (k, s))) {
        let mut random = Random::new(16);
        let mut vector = || random.vector::<f64>(classes * n);
        let (z, v) = (vector(), vector());
        let labels: Vec<u32> = (0..).map(|i| i % u32::try_from(classes).unwrap()).take(n).collect();
        let moved = |step: f64| -> Vec<f64> { z.iter().zip(&v).map(|(z, v)| z + step * v).collect() };
        let (plus, minus) = (moved(STEP), moved(-STEP));
        let slope = (sums(kind, n, &plus, &labels)[0] - sums(kind, n, &minus, &labels)[0]) / (2.0 * STEP);
        let along: f64 = gradient(kind, n, &z, &labels, 1.0).iter().zip(&v).map(|(g, v)| g * v).sum();
        assert!((slope - along).abs() < DIFFERENCE, "{kind:?}: slope {slope}, gradient {along}");
        let (up, down) = (gradient(kind, n, &plus, &labels, 0.5), gradient(kind, n, &minus, &labels, 0.5));
        let turn: Vec<f64> = up.iter().zip(&down).map(|(u, d)| (u - d) / (2.0 * STEP)).collect();
        let got = product(kind, n, &z, &labels, &v);
        let error = got.iter().zip(&turn).map(|(g, t)| (g - t).abs()).fold(0.0, f64::max);
        assert!(error < DIFFERENCE, "{kind:?}: Hessian product off by {error:e}");
    }
}
