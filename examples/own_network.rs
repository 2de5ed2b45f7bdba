//! λ_max of the loss of your own network on your own arrays.
//!
//! The network is described in plain ops: two layers with a residual connection, which no architecture of this crate has. The data
//! are points of two spirals. The answer is checked against a second difference of the loss along the eigenvector.
//!
//! Run it with `cargo run -p sharpness-examples --example own_network`.

use sharpness_backend::{Activation, Loss, Shape};
use sharpness_curvature::{EigenParams, eigenpairs};
use sharpness_kernels::{ConvolutionAlgorithm, Cpu};
use sharpness_network::op::Pass;
use sharpness_network::operators::{Chunks, Curvature, Matrix};
use sharpness_network::ops::{Add, Elementwise, Linear};
use sharpness_network::{Error, Examples, Images, Model, Network, Weights};

/// Points of the plane in two classes. `points: [examples, 2]`, `labels: [examples]`.
#[derive(Debug)]
struct Spirals {
    points: Vec<f64>,
    labels: Vec<u32>,
}

impl Examples for Spirals {
    fn images(&self) -> Images<'_> {
        Images::Numbers(&self.points)
    }

    fn label(&self, number: u32) -> u32 {
        self.labels[number as usize]
    }
}

fn spirals(count: u32) -> Spirals {
    let labels: Vec<u32> = (0..count).map(|i| i % 2).collect();
    let point = |i: u32| {
        let radius = f64::from(i + 1) / f64::from(count);
        let angle = 6.0 * radius + std::f64::consts::PI * f64::from(i % 2);
        [radius * angle.cos(), radius * angle.sin()]
    };
    Spirals { points: (0..count).flat_map(point).collect(), labels }
}

/// `fc3(h + tanh(fc2(h)))` with `h = tanh(fc1(x))`.
fn model() -> Result<Model, Error> {
    let mut model = Model::default();
    let x = model.input("point", Shape::features(2));
    let h = model.push("fc1", Linear::torch_default(2, 16), &[x])?;
    let h = model.push("tanh1", Elementwise(Activation::Tanh), &[h])?;
    let branch = model.push("fc2", Linear::torch_default(16, 16), &[h])?;
    let branch = model.push("tanh2", Elementwise(Activation::Tanh), &[branch])?;
    let sum = model.push("add", Add, &[h, branch])?;
    let y = model.push("fc3", Linear::torch_default(16, 2), &[sum])?;
    model.output(y);
    Ok(model)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let backend = Cpu::<f64>::new(ConvolutionAlgorithm::Auto);
    let network = Network::compile(&model()?, backend, Loss::SoftmaxCrossEntropy);
    let weights = Weights::initial(&network, 0);
    let (examples, numbers): (_, Vec<u32>) = (spirals(200), (0..200).collect());
    let chunks = Chunks { examples: 100, memory_bytes: 64 << 20 };
    // The Hessian of the mean loss at `weights`.
    let hessian = |weights: &Weights| {
        let source = (&examples as &dyn Examples, numbers.as_slice());
        Curvature::new(&network, Matrix::Hessian, weights, Pass::EVALUATION, source, chunks, &|| false)
    };

    let mut operator = hessian(&weights)?;
    let answer = eigenpairs(&mut operator, &EigenParams::default(), &mut |_| ())?;
    let top = &answer.pairs[0];
    println!("{} parameters, loss {:.6}", network.parameters().len(), operator.loss());
    println!("λ_max = {:.6}, residual {:.1e}, {} products", top.value, top.residual, answer.products);

    let step = 1e-3;
    let loss_at = |distance: f64| {
        let moved = weights.parameters.iter().zip(&top.vector).map(|(w, u)| w + distance * u);
        hessian(&Weights { parameters: moved.collect(), ..weights.clone() }).map(|at| at.loss())
    };
    let difference = (loss_at(step)? - 2.0 * operator.loss() + loss_at(-step)?) / (step * step);
    println!("second difference of the loss along the eigenvector: {difference:.6}");
    assert!(answer.converged(), "the residual and the bound meet their tolerances");
    assert!(
        (difference - top.value).abs() < 1e-4 * top.value,
        "both are the curvature along the eigenvector"
    );
    Ok(())
}
