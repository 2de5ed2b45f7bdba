//! Networks that are small enough for their whole Hessian, on a few random examples.

use std::ops::Range;

use sharpness_network::architectures::{Architecture, ModelConfig};
use sharpness_network::backend::{Activation, Backend, Loss, Shape};
use sharpness_network::op::{BatchNorm, Pass};
use sharpness_network::operators::{Chunks, Curvature, Matrix};
use sharpness_network::{Examples, Images, Model, Network, Weights};

use crate::fixture::{signed, uniform};

const CLASSES: usize = 3;

/// With this seed a signal passes through every shrunk network: no layer has only dead ReLUs.
pub(crate) const SEED: u64 = 4;

/// Keeps everything linearized.
pub(crate) const ALL: usize = usize::MAX;

/// A network at a point where no parameter is zero, and its data.
pub(crate) struct Tiny<B: Backend> {
    pub(crate) network: Network<B>,
    pub(crate) weights: Weights,
    pub(crate) pass: Pass,
    pub(crate) data: Batch,
}

/// Images and labels.
#[derive(Debug)]
pub(crate) struct Batch {
    elements: usize,
    images: Vec<f64>,
    labels: Vec<u32>,
    numbers: Vec<u32>,
}

/// The model of an architecture with few channels.
pub(crate) fn shrunk(arch: Architecture, activation: Activation) -> ModelConfig {
    let width_divisor = match arch {
        Architecture::Vgg11 | Architecture::Vgg11Bn => 128,
        Architecture::Mlp => 1,
        Architecture::Cnn | Architecture::CnnBn => 8,
        _ => 32,
    };
    ModelConfig { activation, width_divisor, hidden: vec![5, 4], ..ModelConfig::new(arch) }
}

/// A network of images of two channels, as small as the architecture allows.
pub(crate) fn model(config: &ModelConfig) -> Model {
    let side = match config.arch {
        Architecture::Vgg11 | Architecture::Vgg11Bn => 32,
        Architecture::Mlp => 2,
        _ => 8,
    };
    config.model(Shape::new(2, side, side), CLASSES).expect("the shrunk architecture builds")
}

impl<B: Backend> Tiny<B> {
    /// `n` examples with images of two channels, as small as the architecture allows.
    pub(crate) fn new(backend: B, config: &ModelConfig, n: u64, batch_norm: BatchNorm, seed: u64) -> Self {
        let network = Network::compile(&model(config), backend, Loss::SoftmaxCrossEntropy);
        Self::around(network, n, batch_norm, seed)
    }

    /// The same with a network that is compiled already.
    pub(crate) fn around(network: Network<B>, n: u64, batch_norm: BatchNorm, seed: u64) -> Self {
        let mut weights = Weights::initial(&network, seed);
        (0..).zip(&mut weights.parameters).for_each(|(i, x)| *x += 0.2 * signed(seed + 1, i));
        (0..).zip(&mut weights.state).for_each(|(i, x)| *x += 0.3 * signed(seed + 2, i));
        let elements = network.input().elements() as u64;
        let images = (0..n * elements).map(|i| 1.5 * signed(seed + 3, i)).collect();
        let labels = (0..n).map(|i| (CLASSES as f64 * uniform(seed + 4, i)) as u32).collect();
        let pass = Pass { batch_norm, dropout: None };
        Self { network, weights, pass, data: Batch::new(images, labels) }
    }

    /// The operator on all of the data.
    pub(crate) fn curvature(&self, matrix: Matrix, examples: usize, memory_bytes: usize) -> Curvature<'_, B> {
        self.curvature_on(&self.data, matrix, examples, memory_bytes)
    }

    /// The operator on other data.
    pub(crate) fn curvature_on<'a>(
        &'a self,
        data: &'a Batch,
        matrix: Matrix,
        examples: usize,
        memory_bytes: usize,
    ) -> Curvature<'a, B> {
        let chunks = Chunks { examples, memory_bytes };
        let (network, weights) = (&self.network, &self.weights);
        Curvature::new(network, matrix, weights, self.pass, data.all(), chunks, &|| false).unwrap()
    }
}

impl Batch {
    /// The examples of `range`.
    pub(crate) fn part(&self, range: Range<usize>) -> Self {
        let images = self.images[self.elements * range.start..self.elements * range.end].to_vec();
        Self::new(images, self.labels[range].to_vec())
    }

    /// `images: [n, elements]` and their labels.
    pub(crate) fn new(images: Vec<f64>, labels: Vec<u32>) -> Self {
        let numbers = (0..).zip(&labels).map(|(number, _)| number).collect();
        Self { elements: images.len() / labels.len(), images, labels, numbers }
    }

    pub(crate) fn images(&self) -> &[f64] {
        &self.images
    }

    /// All of the examples.
    pub(crate) fn all(&self) -> (&dyn Examples, &[u32]) {
        (self, &self.numbers)
    }

    pub(crate) fn numbers(&self) -> &[u32] {
        &self.numbers
    }

    pub(crate) fn labels(&self) -> &[u32] {
        &self.labels
    }
}

impl Examples for Batch {
    fn images(&self) -> Images<'_> {
        Images::Numbers(&self.images)
    }

    fn label(&self, number: u32) -> u32 {
        self.labels[number as usize]
    }
}
