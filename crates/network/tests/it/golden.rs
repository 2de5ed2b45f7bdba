//! Loss, gradient, Hessian and Gauss-Newton products against PyTorch in double precision.

use sharpness_network::backend::{Accumulate, Activation, Device, View};
use sharpness_network::op::{BatchNorm, Pass, TapeKind};
use sharpness_network::{At, Linearization};

use crate::fixture::{Golden, assert_close};

/// Both sides sum in double precision in different orders.
const TOLERANCE: f64 = 1e-10;

fn check(case: &str) {
    let golden = Golden::read(case);
    let network = golden.network();
    let weights = golden.weights(&network);
    let (images, labels) = golden.batch();
    let numbers = vec![0; labels.len()];
    let batch_norm = if golden.running() { BatchNorm::Running } else { BatchNorm::Batch };
    let pass = Pass { batch_norm, dropout: None };
    let (parameters, state) = (network.upload(&weights.parameters), network.upload(&weights.state));
    let mut tape = network.tape(labels.len(), TapeKind::Products);
    network.load(&mut tape, &images, &labels, &numbers);
    let scale = 1.0 / labels.len() as f64;
    let at = At { network: &network, parameters: &parameters, state: &state, pass, scale };
    let dim = network.parameters().len();
    let mut out = network.backend().buffer(dim);
    let mut tangents = network.tangents(labels.len());
    let mut linearization = Linearization::new(at, tape, &mut tangents, Accumulate::Set, &mut out);
    let download = |x: &_| network.backend().download(View::new(x, 0, dim));

    let sums = linearization.sums();
    assert_close("loss", sums.loss * scale, golden.number("loss"), TOLERANCE);
    assert_close("correct", sums.correct, golden.number("correct"), 0.0);
    golden.assert_digest("gradient", &network, &download(&out), TOLERANCE);

    let v = network.upload(&golden.direction(&network));
    linearization.gauss_newton_product(at, &v, &mut tangents, Accumulate::Set, &mut out);
    golden.assert_digest("gauss_newton_product", &network, &download(&out), TOLERANCE);
    linearization.hvp(at, &v, &mut tangents, Accumulate::Set, &mut out);
    golden.assert_digest("hvp", &network, &download(&out), TOLERANCE);
}

#[test]
fn vgg11_relu() {
    check("vgg11-relu");
}

#[test]
fn vgg11_gelu() {
    check("vgg11-gelu");
}

#[test]
fn vgg11_batch_norm_on_batch_statistics() {
    check("vgg11-bn-batch");
}

#[test]
fn vgg11_batch_norm_on_running_statistics() {
    check("vgg11-bn-running");
}

#[test]
fn fixup_resnet32() {
    check("fixup-resnet32");
}

#[test]
fn mlp_cross_entropy() {
    check("mlp-relu");
}

#[test]
fn mlp_squared_error() {
    check("mlp-squared-error");
}

#[test]
fn cnn_batch_norm_on_batch_statistics() {
    check("cnn-bn-batch");
}

#[test]
fn cnn_batch_norm_on_running_statistics() {
    check("cnn-bn-running");
}

#[test]
fn activations() {
    let golden = Golden::read("activations");
    // Those of a ReLU are exact, and tested where it is defined.
    for kind in Activation::ALL.iter().filter(|kind| !kind.is_homogeneous()) {
        let name = kind.name();
        let column = |key: &str| Golden(golden.0[name].clone()).numbers(key);
        let rows =
            golden.numbers("x").into_iter().zip(column("f")).zip(column("df").into_iter().zip(column("d2f")));
        for ((x, f), (df, d2f)) in rows {
            let [value, first, second] = kind.derivatives(x);
            assert_close(&format!("{name}({x})"), value, f, 1e-15 * (1.0 + f.abs()));
            assert_close(&format!("{name}'({x})"), first, df, 4e-16 * 4.0);
            assert_close(&format!("{name}''({x})"), second, d2f, 4e-16 * 4.0);
        }
    }
}
