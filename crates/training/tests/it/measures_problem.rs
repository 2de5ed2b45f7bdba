//! A network on the digits, to be measured.

use std::ops::Range;

use sharpness_experiments::Result;
use sharpness_experiments::config::MeasureConfig;
use sharpness_experiments::data::{Dataset, DatasetName, Locations, Part, Standardization, Standardized};
use sharpness_experiments::measures::{Budget, MeasureProgress, Measurement, measure};
use sharpness_network::backend::{Backend, Loss, Shape};
use sharpness_network::architectures::Model;
use sharpness_network::op::{Pass, TapeKind};
use sharpness_network::operators::Examples;
use sharpness_network::{Network, Weights};

/// More than any of these networks needs.
pub(crate) const MEMORY: Budget = Budget::of(1 << 28);

/// All that a measurement needs.
pub(crate) struct Problem<B: Backend> {
    pub(crate) network: Network<B>,
    pub(crate) data: Standardized,
    pub(crate) train: Vec<u32>,
    pub(crate) weights: Weights,
}

impl<B: Backend> Problem<B> {
    /// The network at its beginning, and all of the digits.
    pub(crate) fn new(backend: B, model: &Model) -> Self {
        let dataset = Dataset::load(DatasetName::Digits, &Locations::default()).unwrap();
        let graph = model.graph(Shape::new(1, 8, 8), dataset.classes()).unwrap();
        let network = Network::new(backend, graph, Loss::SoftmaxCrossEntropy);
        let train = (0..u32::try_from(dataset.train().len()).unwrap()).collect();
        let weights = Weights::initial(&network, 1);
        Self { network, data: Standardized::new(dataset, Standardization::Pixel), train, weights }
    }

    pub(crate) fn measure(&self, config: &MeasureConfig, memory: Budget) -> Result<Measurement> {
        self.measure_with(config, memory, &mut |_| (), &|| false)
    }

    pub(crate) fn measure_with(
        &self,
        config: &MeasureConfig,
        memory: Budget,
        observer: &mut dyn FnMut(&MeasureProgress),
        stop: &dyn Fn() -> bool,
    ) -> Result<Measurement> {
        measure(&self.network, &self.data, &self.train, &self.weights, config, 0, memory, observer, stop)
    }

    /// The mean loss over examples of the training split, by the network's own function.
    pub(crate) fn mean_loss(&self, indices: &[u32]) -> f64 {
        let examples = Subsample::new(self, indices);
        let mut tape = self.network.tape(indices.len(), TapeKind::Values);
        self.network.load(&mut tape, &examples.images, &examples.labels, indices);
        let parameters = self.network.upload(&self.weights.parameters);
        let state = self.network.upload(&self.weights.state);
        let sums = self.network.value(&parameters, &state, &Pass::EVALUATION, &mut tape);
        sums.loss / indices.len() as f64
    }
}

/// Some examples of the training split.
pub(crate) struct Subsample {
    images: Vec<f64>,
    labels: Vec<u32>,
}

impl Subsample {
    pub(crate) fn new<B: Backend>(problem: &Problem<B>, indices: &[u32]) -> Self {
        Self::of(&problem.data, indices)
    }

    pub(crate) fn of(data: &Standardized, indices: &[u32]) -> Self {
        let (mut images, mut labels) = (Vec::new(), Vec::new());
        data.images(Part::Train, indices, &mut images);
        data.labels(Part::Train, indices, &mut labels);
        Self { images, labels: labels.into_iter().map(u32::from).collect() }
    }
}

impl Examples for Subsample {
    fn count(&self) -> usize {
        self.labels.len()
    }

    fn read(&self, range: Range<usize>, images: &mut Vec<f64>, labels: &mut Vec<u32>) {
        let elements = self.images.len() / self.labels.len();
        *images = self.images[elements * range.start..elements * range.end].to_vec();
        *labels = self.labels[range].to_vec();
    }
}
