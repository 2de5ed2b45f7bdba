//! The memory plan, and sweeps over graphs that no architecture of ours has.

use std::cell::RefCell;

use super::*;
use crate::Error;
use crate::architectures::{Architecture, ModelConfig};
use crate::backend::{Accumulate, Activation, Reference};
use crate::op::{Pass, Saved, Scratch, TapeKind};
use crate::ops::{Add, Elementwise, Linear};

use sharpness_kernels::{ConvolutionAlgorithm, Cpu};

type Float = Cpu<f32>;

fn bytes<'a>(buffers: impl IntoIterator<Item = &'a Vec<f32>>) -> usize {
    buffers.into_iter().map(|b| size_of::<f32>() * b.len()).sum()
}

fn bytes_of_scratch(scratch: &RefCell<Scratch<Float>>) -> usize {
    let scratch = scratch.borrow();
    bytes([&scratch.input, &scratch.output, &scratch.adjoint])
}

fn bytes_of(tape: &Tape<Float>) -> usize {
    let saved = |s: &Saved<Float>| {
        let wides: usize = s.wides.iter().map(|w| size_of::<f64>() * w.len()).sum();
        bytes(&s.buffers) + wides + s.bytes.iter().map(Vec::len).sum::<usize>()
    };
    let integers = size_of::<u32>() * (tape.labels.len() + tape.examples.len());
    let activations = bytes(&tape.values) + bytes(tape.adjoints.iter().flatten());
    let saved: usize = tape.saved.iter().map(saved).sum();
    let sums = size_of::<f64>() * tape.sums.len();
    activations + saved + integers + sums + bytes_of_scratch(&tape.scratch)
}

#[test]
fn bytes_are_those_of_the_buffers() -> Result<(), Error> {
    for method in [ConvolutionAlgorithm::Direct, ConvolutionAlgorithm::Auto] {
        let backend = Float::new(method);
        for arch in Architecture::ALL {
            let graph = ModelConfig::new(arch).model(Shape::new(3, 32, 32), 10)?.compile(&backend);
            for kind in [TapeKind::Values, TapeKind::Gradient, TapeKind::Products] {
                let tape = graph.tape(&backend, 3, kind);
                let predicted = graph.tape_bytes(&backend, 3, kind);
                assert_eq!(predicted, bytes_of(&tape), "{kind:?} of {}", arch.name());
            }
            let Tangents { values, adjoints, scratch } = graph.tangents(&backend, 3);
            let own = bytes(values.iter().chain(&adjoints).flatten()) + bytes_of_scratch(&scratch);
            assert_eq!(graph.tangent_bytes(&backend, 3), own, "tangents of {}", arch.name());
        }
    }
    Ok(())
}

/// Examples of a batch.
const N: usize = 3;
const STEP: f64 = 1e-5;
/// What rounding and truncation leave of a central difference with [`STEP`] of numbers about 1.
const DIFFERENCE: f64 = 1e-8;

/// Numbers in `[-1, 1]` that do not repeat.
fn numbers(len: usize, seed: f64) -> Vec<f64> {
    (0_u32..).map(|i| (f64::from(i + 1) * 12.9898 + 78.233 * seed).sin()).take(len).collect()
}

/// The loss `Σ c y + y² / 2` over all elements `y` of all outputs.
struct Case(Graph<Reference>);

impl Case {
    /// The loss, its gradient, and its Hessian times `v`, each added to what a buffer of ones held where that is asked for.
    fn at(&self, w: &Vec<f64>, v: &Vec<f64>, accumulate: Accumulate) -> (f64, Vec<f64>, Vec<f64>) {
        let Self(graph) = self;
        let (mut tape, mut tangents) =
            (graph.tape(&Reference, N, TapeKind::Products), graph.tangents(&Reference, N));
        let (state, pass) = (Vec::new(), Pass::EVALUATION);
        let s = Setting { backend: &Reference, pass: &pass, parameters: w, state: &state };
        tape.n = N;
        for (i, shape) in graph.inputs().iter().enumerate() {
            tape.values[i] = numbers(N * shape.elements(), i as f64 + 0.5);
        }
        graph.lend(&Reference, &mut tape, &mut tangents);
        graph.value(&s, &mut tape);
        let (mut loss, mut gradient, mut product) = (0.0, vec![1.0; w.len()], vec![1.0; w.len()]);
        for &output in graph.output_values() {
            let y = &tape.values[output];
            let c = numbers(y.len(), 0.25);
            loss += y.iter().zip(&c).map(|(y, c)| c * y + y * y / 2.0).sum::<f64>();
            tape.adjoints[output] = Some(y.iter().zip(&c).map(|(y, c)| c + y).collect());
        }
        graph.gradient(&s, &mut tape, None, accumulate, &mut gradient);
        graph.lend(&Reference, &mut tape, &mut tangents);
        graph.tangent(&s, v, &mut tape, &mut tangents);
        for &output in graph.output_values() {
            tangents.adjoints[output] = tangents.values[output].clone();
        }
        graph.gradient_tangent(&s, v, &mut tape, &mut tangents, accumulate, &mut product);
        (loss, gradient, product)
    }

    fn check(&self, what: &str) {
        let dim = self.0.parameters().len();
        let (w, v) = (numbers(dim, 3.0), numbers(dim, 4.0));
        let moved = |step: f64| w.iter().zip(&v).map(|(w, v)| w + step * v).collect::<Vec<f64>>();
        let at = |w: &Vec<f64>| self.at(w, &v, Accumulate::Set);
        let ((_, gradient, product), (before, after)) = (at(&w), (at(&moved(-STEP)), at(&moved(STEP))));
        let slope = (after.0 - before.0) / (2.0 * STEP);
        let along: f64 = gradient.iter().zip(&v).map(|(g, v)| g * v).sum();
        assert!((slope - along).abs() < DIFFERENCE * (1.0 + slope.abs()), "{what}: slope {slope}, {along}");
        for (k, product) in product.iter().enumerate() {
            let change = (after.1[k] - before.1[k]) / (2.0 * STEP);
            assert!(
                (product - change).abs() < 1e-6,
                "{what}: element {k} of a product is {product}, not {change}"
            );
        }
        let (_, more, more_product) = self.at(&w, &v, Accumulate::Add);
        for (set, add) in gradient.iter().zip(&more).chain(product.iter().zip(&more_product)) {
            assert!((set + 1.0 - add).abs() < 1e-12, "{what}: adding adds what overwriting writes");
        }
    }
}

fn linear(features_in: usize, features_out: usize) -> Linear {
    Linear::torch_default(features_in, features_out)
}

#[test]
fn a_network_with_two_inputs_has_exact_derivatives() -> Result<(), Error> {
    let mut model = Model::default();
    let (a, b) = (model.input("a", Shape::features(3)), model.input("b", Shape::features(4)));
    let (a, b) = (model.push("fc_a", linear(3, 5), &[a])?, model.push("fc_b", linear(4, 5), &[b])?);
    let h = model.push("add", Add, &[a, b])?;
    let h = model.push("tanh", Elementwise(Activation::Tanh), &[h])?;
    model.push("fc", linear(5, 2), &[h])?;
    Case(model.compile(&Reference)).check("two inputs");
    Ok(())
}

#[test]
fn gradients_of_shared_parameters_are_added() -> Result<(), Error> {
    let mut model = Model::default();
    let x = model.input("x", Shape::features(4));
    let h = model.push("fc1", linear(4, 4), &[x])?;
    let h = model.push("tanh1", Elementwise(Activation::Tanh), &[h])?;
    let h = model.push("fc2", linear(4, 4), &[h])?;
    let h = model.push("tanh2", Elementwise(Activation::Tanh), &[h])?;
    // Of two ops: the weight of one, and the bias of the other.
    let h = model.push_sharing("fc3", linear(4, 4), &[h], &["fc1.weight", "fc2.bias"])?;
    let h = model.push("tanh3", Elementwise(Activation::Tanh), &[h])?;
    let h = model.push_sharing("fc4", linear(4, 4), &[h], &["fc1.weight", "fc1.bias"])?;
    model.push("fc", linear(4, 2), &[h])?;
    let graph = model.compile(&Reference);
    assert_eq!(graph.parameters().len(), 2 * 20 + 10, "shared tensors count once");
    Case(graph).check("shared parameters");
    for tensors in [&["fc1.weight"][..], &["fc1.weight", "nowhere"], &["fc1.bias", "fc1.bias"]] {
        assert!(model.push_sharing("fc5", linear(4, 4), &[h], tensors).is_err(), "{tensors:?}");
    }
    Ok(())
}

#[test]
fn an_output_may_be_used_by_the_rest_of_a_network() -> Result<(), Error> {
    let mut model = Model::default();
    let x = model.input("x", Shape::features(4));
    let h = model.push("fc1", linear(4, 5), &[x])?;
    let h = model.push("tanh", Elementwise(Activation::Tanh), &[h])?;
    let y = model.push("fc2", linear(5, 2), &[h])?;
    model.push("unused", linear(2, 3), &[y])?;
    model.output(h);
    model.output(y);
    let graph = model.compile(&Reference);
    assert_eq!(graph.outputs(), [Shape::features(5), Shape::features(2)]);
    let unused = model.parameters().tensors()[4].range();
    let case = Case(graph);
    case.check("two outputs");
    let ones = vec![1.0; model.parameters().len()];
    let (_, gradient, _) = case.at(&ones, &ones, Accumulate::Set);
    assert!(
        gradient[unused].iter().all(|g| g.abs() < f64::MIN_POSITIVE),
        "what no output needs has gradient 0"
    );
    Ok(())
}
