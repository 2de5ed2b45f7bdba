//! Tapes of different kinds hold different by-products and give the same bits.

use sharpness_kernels::Cpu;
use sharpness_network::architectures::Architecture;
use sharpness_network::backend::{Accumulate, Activation, Device, View};
use sharpness_network::op::{BatchNorm, TapeKind};
use sharpness_network::{At, Linearization};

use crate::fixture::signed;
use crate::tiny::{SEED, Tiny, shrunk};

type F32 = Tiny<Cpu<f32>>;

const N: u64 = 5;

/// Networks with convolutions, poolings and linear layers, fused and not.
fn networks() -> impl Iterator<Item = F32> {
    let all = [
        (Architecture::Vgg11, Activation::Relu),
        (Architecture::Cnn, Activation::Gelu),
        (Architecture::CnnBn, Activation::Relu),
        (Architecture::Mlp, Activation::Relu),
        (Architecture::FixupResnet20, Activation::Relu),
    ];
    let new =
        |(arch, activation)| F32::new(Cpu::default(), &shrunk(arch, activation), N, BatchNorm::Batch, SEED);
    all.into_iter().map(new)
}

#[test]
fn outputs_and_gradients_do_not_depend_on_the_kind_of_tape() {
    for tiny in networks() {
        let (network, labels) = (&tiny.network, tiny.data.labels());
        let (parameters, state) =
            (network.upload(&tiny.weights.parameters), network.upload(&tiny.weights.state));
        let run = |kind| {
            // A capacity that the batch does not fill.
            let mut tape = network.tape(labels.len() + 2, kind);
            network.load(&mut tape, tiny.data.images(), labels, &vec![0; labels.len()]);
            if kind != TapeKind::Products {
                network.value(&parameters, &state, &tiny.pass, &mut tape);
            }
            let mut out = network.backend().buffer(network.parameters().len());
            let (pass, scale, set) = (tiny.pass, 0.2, Accumulate::Set);
            if kind == TapeKind::Gradient {
                network.gradient(&parameters, &state, &pass, &mut tape, scale, set, &mut out);
            }
            if kind == TapeKind::Products {
                let at = At { network, parameters: &parameters, state: &state, pass, scale };
                let mut tangents = network.tangents(labels.len());
                tape = Linearization::new(at, tape, &mut tangents, set, &mut out).into_tape();
            }
            (network.outputs(&tape), network.backend().download(View::new(&out, 0, out.len())))
        };
        let (outputs, gradient) = run(TapeKind::Products);
        assert_eq!(run(TapeKind::Gradient), (outputs.clone(), gradient), "a tape for gradients");
        assert_eq!(run(TapeKind::Values).0, outputs, "a tape for values");
    }
}

#[test]
fn products_of_both_matrices_leave_the_linearization_alone() {
    for tiny in networks() {
        let (network, labels) = (&tiny.network, tiny.data.labels());
        let dim = network.parameters().len();
        let (parameters, state) =
            (network.upload(&tiny.weights.parameters), network.upload(&tiny.weights.state));
        let v: Vec<f64> = (0..dim as u64).map(|i| signed(9, i)).collect();
        let (v, mut out) = (network.upload(&v), network.backend().buffer(dim));
        let mut tape = network.tape(labels.len(), TapeKind::Products);
        network.load(&mut tape, tiny.data.images(), labels, &vec![0; labels.len()]);
        let at = At { network, parameters: &parameters, state: &state, pass: tiny.pass, scale: 0.2 };
        let mut tangents = network.tangents(labels.len());
        let mut linearization = Linearization::new(at, tape, &mut tangents, Accumulate::Set, &mut out);
        let mut product = |is_hessian| {
            if is_hessian {
                linearization.hvp(at, &v, &mut tangents, Accumulate::Set, &mut out);
            } else {
                linearization.gauss_newton_product(at, &v, &mut tangents, Accumulate::Set, &mut out);
            }
            network.backend().download(View::new(&out, 0, dim))
        };
        let (hessian, gauss_newton) = (product(true), product(false));
        assert_eq!(product(true), hessian, "the Hessian after a Gauss-Newton product");
        assert_eq!(product(false), gauss_newton, "the Gauss-Newton matrix after a Hessian product");
    }
}

#[test]
#[should_panic(expected = "a tape for products")]
fn a_linearization_refuses_a_tape_for_gradients() {
    let tiny =
        F32::new(Cpu::default(), &shrunk(Architecture::Mlp, Activation::Relu), N, BatchNorm::Running, SEED);
    let network = &tiny.network;
    let (parameters, state) = (network.upload(&tiny.weights.parameters), network.upload(&tiny.weights.state));
    let at = At { network, parameters: &parameters, state: &state, pass: tiny.pass, scale: 1.0 };
    let mut out = network.backend().buffer(network.parameters().len());
    let (tape, mut tangents) = (network.tape(1, TapeKind::Gradient), network.tangents(1));
    Linearization::new(at, tape, &mut tangents, Accumulate::Set, &mut out);
}
