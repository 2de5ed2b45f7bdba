//! A network on the digits, to be measured.

use std::cell::RefCell;

use sharpness_data::{Dataset, DatasetName, Locations, Standardization, Standardized};
use sharpness_network::architectures::ModelConfig;
use sharpness_network::backend::{Backend, Loss, Shape};
use sharpness_network::op::{Pass, TapeKind};
use sharpness_network::{Examples, Images, Model, Network, Tape, Weights};
use sharpness_training::measures::{Iterates, Measurement, Subject, measure};
use sharpness_training::settings::MeasureConfig;
use sharpness_training::{Budget, Engine, MeasureProgress, Result, Watcher};

/// More than any of these networks needs.
pub(crate) const MEMORY: Budget = Budget::of(1 << 28);

/// All that a measurement needs.
pub(crate) struct Problem<B: Backend> {
    pub(crate) engine: Engine<B>,
    pub(crate) data: Standardized,
    pub(crate) train: Vec<u32>,
    pub(crate) weights: Weights,
}

/// A watcher of two functions.
pub(crate) struct Watching<'a> {
    pub(crate) report: RefCell<&'a mut dyn FnMut(&MeasureProgress)>,
    pub(crate) stop: &'a dyn Fn() -> bool,
}

impl Watcher for Watching<'_> {
    fn report(&self, progress: &MeasureProgress) {
        self.report.borrow_mut()(progress);
    }

    fn should_stop(&self) -> bool {
        (self.stop)()
    }
}

impl<B: Backend> Problem<B> {
    /// The network at its beginning, without the same one in double precision, and all of the digits.
    pub(crate) fn new(backend: B, model: &ModelConfig) -> Self {
        Self::of_model(backend, &model.model(Shape::new(1, 8, 8), 10).unwrap())
    }

    /// The same with any network for images of the digits.
    pub(crate) fn of_model(backend: B, model: &Model) -> Self {
        let dataset = Dataset::load(DatasetName::Digits, &Locations::default()).unwrap();
        let network = Network::compile(model, backend, Loss::SoftmaxCrossEntropy);
        let train = (0..u32::try_from(dataset.train().len()).unwrap()).collect();
        let weights = Weights::initial(&network, 1);
        let data = Standardized::new(dataset, Standardization::Pixel);
        Self { engine: Engine { network, double: None }, data, train, weights }
    }

    pub(crate) fn measure(&self, config: &MeasureConfig, memory: Budget) -> Result<Measurement> {
        self.measure_with(config, memory, &mut |_| (), &|| false)
    }

    pub(crate) fn measure_with(
        &self,
        config: &MeasureConfig,
        memory: Budget,
        report: &mut dyn FnMut(&MeasureProgress),
        stop: &dyn Fn() -> bool,
    ) -> Result<Measurement> {
        let at = Iterates::only(&self.weights);
        measure(self.subject(config, memory), at, &Watching { report: RefCell::new(report), stop })
    }

    /// What is measured.
    pub(crate) fn subject<'a>(&'a self, settings: &'a MeasureConfig, budget: Budget) -> Subject<'a, B> {
        let Self { engine, data, train, .. } = self;
        Subject { engine, data, trained: train, settings, seed: 0, budget }
    }

    /// The mean loss over examples of the training split, by the network's own function.
    pub(crate) fn mean_loss(&self, indices: &[u32]) -> f64 {
        let network = &self.engine.network;
        let examples = Subsample::of(&self.data, indices);
        let mut tape = network.tape(indices.len(), TapeKind::Values);
        network.load(&mut tape, &examples.images, &examples.labels, indices);
        let [parameters, state] =
            [&self.weights.parameters, &self.weights.state].map(|flat| network.upload(flat));
        let sums = network.value(&parameters, &state, &Pass::EVALUATION, &mut tape);
        sums.loss / indices.len() as f64
    }
}

/// Some examples of the training split, standardized by the formula.
#[derive(Debug)]
pub(crate) struct Subsample {
    images: Vec<f64>,
    labels: Vec<u32>,
    numbers: Vec<u32>,
}

impl Subsample {
    pub(crate) fn of(data: &Standardized, indices: &[u32]) -> Self {
        let (split, scale) = (data.dataset().train(), data.dataset().pixel_scale());
        let len = data.mean().len();
        let image = |&index: &u32| {
            let pixels = split.pixels()[index as usize * len..][..len].iter();
            let moments = data.mean().iter().zip(data.deviation());
            pixels
                .zip(moments)
                .map(|(&pixel, (mean, deviation))| (f64::from(pixel) * scale - mean) / deviation)
        };
        let label = |&index: &u32| u32::from(split.labels()[index as usize]);
        Self {
            images: indices.iter().flat_map(image).collect(),
            labels: indices.iter().map(label).collect(),
            numbers: (0..).take(indices.len()).collect(),
        }
    }

    /// Loads all of them onto a tape, with the given numbers.
    pub(crate) fn load<B: Backend>(&self, network: &Network<B>, tape: &mut Tape<B>, numbers: &[u32]) {
        network.load(tape, &self.images, &self.labels, numbers);
    }

    /// All of them, as the source of an operator.
    pub(crate) fn source(&self) -> (&dyn Examples, &[u32]) {
        (self, &self.numbers)
    }
}

impl Examples for Subsample {
    fn images(&self) -> Images<'_> {
        Images::Numbers(&self.images)
    }

    fn label(&self, number: u32) -> u32 {
        self.labels[number as usize]
    }
}
