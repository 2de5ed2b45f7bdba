//! An optimizer of your own: normalized gradient descent with momentum (Cutkosky and Mehta 2020),
//! `m ← β m + (1 − β) g`, `w ← w − η m / ‖m‖`.
//!
//! All arithmetic is in the backend's vector kernels, so the rule works on any device and in any precision; only ‖m‖ is read back. Each
//! step is exactly η long, which is asserted, and the loss on the embedded digits falls.
//!
//! Run it with `cargo run -p sharpness-examples --example own_optimizer`.

use sharpness_backend::{Accumulate, Backend, Loss, Shape, View, ViewMut};
use sharpness_data::{Dataset, DatasetName, Locations, Part, PartExamples, Standardization, Standardized};
use sharpness_kernels::{ConvolutionAlgorithm, Cpu};
use sharpness_network::architectures::{Architecture, ModelConfig};
use sharpness_network::op::Pass;
use sharpness_network::{Network, Weights};
use sharpness_training::optimizers::Rule;
use sharpness_training::settings::TrainingConfig;
use sharpness_training::{Moment, Optimizer, evaluate};

/// The vector m, and room for the next one, since a kernel's output must not be one of its inputs.
#[derive(Debug)]
struct NormalizedMomentum<B: Backend> {
    beta: f64,
    momentum: Vec<B::Buffer>,
    next: B::Buffer,
    square: B::Wide,
}

impl<B: Backend> NormalizedMomentum<B> {
    fn new(backend: &B, dim: usize, beta: f64) -> Self {
        let [momentum, next] = [backend.buffer(dim), backend.buffer(dim)];
        Self { beta, momentum: vec![momentum], next, square: backend.wide(1) }
    }
}

impl<B: Backend> Rule<B> for NormalizedMomentum<B> {
    fn state(&self) -> &[B::Buffer] {
        &self.momentum
    }

    fn update(
        &mut self,
        backend: &B,
        (_, learning_rate): (u32, f64),
        gradient: View<'_, B::Buffer>,
        parameters: ViewMut<'_, B::Buffer>,
    ) {
        let Self { beta, momentum, next, square } = self;
        let (momentum, dim) = (&mut momentum[0], gradient.len);
        let terms = [(*beta, View::new(&*momentum, 0, dim)), (1.0 - *beta, gradient)];
        backend.linear_combination(&terms, Accumulate::Set, ViewMut::new(next, 0, dim));
        std::mem::swap(momentum, next);
        let direction = View::new(&*momentum, 0, dim);
        backend.dot(direction, direction, 0, square);
        let length = backend.read(square)[0].sqrt();
        if length > 0.0 {
            backend.linear_combination(&[(-learning_rate / length, direction)], Accumulate::Add, parameters);
        }
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let digits = Dataset::load(DatasetName::Digits, &Locations::default())?;
    let data = Standardized::new(digits, Standardization::Pixel);
    let model = ModelConfig { hidden: vec![32], ..ModelConfig::new(Architecture::Mlp) };
    let model = model.model(Shape::new(1, 8, 8), 10)?;
    let backend = Cpu::<f32>::new(ConvolutionAlgorithm::Auto);
    let network = Network::compile(&model, backend, Loss::SoftmaxCrossEntropy);

    let weights = Weights::initial(&network, 0);
    let rule = NormalizedMomentum::new(network.backend(), network.parameters().len(), 0.9);
    let config = TrainingConfig { learning_rate: 0.05, batch_size: 100, ..TrainingConfig::default() };
    let mut optimizer = Optimizer::with_rule(&network, &config, &weights, Box::new(rule));
    let (examples, numbers) = (PartExamples::new(&data, Part::Train), Vec::from_iter(0..1442));
    let mut step = 0;
    for epoch in 1..=10 {
        for batch in numbers.chunks(config.batch_size) {
            let before = optimizer.weights().parameters;
            let learning_rate = config.learning_rate;
            optimizer.step(&examples, batch, &Moment { step, learning_rate, pass: Pass::EVALUATION });
            step += 1;
            let after = optimizer.weights().parameters;
            let moved = after.iter().zip(&before).map(|(x, y)| (x - y).powi(2)).sum::<f64>().sqrt();
            assert!((moved / learning_rate - 1.0).abs() < 1e-4, "step {step} is {moved} long");
        }
        let train = evaluate(&network, &data, Part::Train, &optimizer.weights());
        println!("epoch {epoch:2}: loss {:.4}, accuracy {:.2} %", train.loss, 100.0 * train.correct);
    }
    let test = evaluate(&network, &data, Part::Test, &optimizer.weights());
    println!(
        "test accuracy {:.2} %; each of {step} steps was {} long",
        100.0 * test.correct,
        config.learning_rate
    );
    assert!(test.correct > 0.9, "the network has learned the digits");
    Ok(())
}
