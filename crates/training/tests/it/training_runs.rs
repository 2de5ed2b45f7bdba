//! Small runs for the tests of training: configurations, data and observers.

use std::sync::OnceLock;

use sharpness_data::{Dataset, DatasetName, Locations, Standardization, Standardized};
use sharpness_kernels::Cpu;
use sharpness_network::architectures::Architecture;
use sharpness_network::backend::{Backend, Loss, Shape};
use sharpness_network::{Network, Ranks, Weights};
use sharpness_training::measures::{Iterates, Measurement, Subject, measure};
use sharpness_training::optimizers::{BnStats, OptimizerConfig, SamConfig, SgdConfig};
use sharpness_training::settings::{Precision, RunConfig};
use sharpness_training::{
    Budget, Engine, EpochMetrics, Job, Observer, Outcome, StepReport, TrainState, Visitor, trained_examples,
    with_shared_engine,
};

/// The digits, standardised once.
pub(crate) fn digits() -> &'static Standardized {
    static DIGITS: OnceLock<Standardized> = OnceLock::new();
    DIGITS.get_or_init(|| {
        let dataset = Dataset::load(DatasetName::Digits, &Locations::default()).unwrap();
        Standardized::new(dataset, Standardization::Pixel)
    })
}

/// SGD with momentum.
pub(crate) fn momentum(momentum: f64) -> OptimizerConfig {
    OptimizerConfig::Sgd(SgdConfig { momentum, ..SgdConfig::default() })
}

/// A small MLP on the digits with everything that a checkpoint must hold: momentum and dropout.
pub(crate) fn config() -> RunConfig {
    let mut config = RunConfig::new(DatasetName::Digits, Architecture::Mlp);
    config.model.hidden = vec![16];
    config.model.dropout = 0.1;
    config.data.train_examples = Some(250);
    config.training.optimizer = momentum(0.9);
    config.training.batch_size = 100;
    config.training.target_accuracy = 1.0;
    config.training.max_epochs = 4;
    config
}

/// The same for a small network with batch norm, SAM and double precision.
pub(crate) fn config_with_batch_norm() -> RunConfig {
    let mut config = RunConfig::new(DatasetName::Digits, Architecture::CnnBn);
    config.precision = Precision::F64;
    config.model.width_divisor = 4;
    config.data.train_examples = Some(100);
    config.training.batch_size = 40;
    config.training.micro_batch_size = 16;
    config.training.max_epochs = 2;
    config.training.sam =
        Some(SamConfig { rho: 0.05, adaptive: false, m: Some(20), bn_stats: BnStats::First });
    config
}

/// The first one with λ_max measured through training.
pub(crate) fn config_with_tracking() -> RunConfig {
    let mut config = config();
    config.measure.examples = 60;
    config.training.through_training = Some(1e-2);
    config
}

/// Stops after a number of steps, and remembers what it heard.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    pub(crate) stop_at: Option<u32>,
    pub(crate) steps: Vec<StepReport>,
    pub(crate) epochs: Vec<EpochMetrics>,
}

impl Observer for Watch {
    fn on_step(&mut self, step: &StepReport) {
        self.steps.push(*step);
    }
    fn on_epoch(&mut self, metrics: &EpochMetrics) {
        self.epochs.push(metrics.clone());
    }
    fn should_stop(&mut self) -> bool {
        self.steps.last().is_some_and(|last| Some(last.step) == self.stop_at)
    }
}

/// The network of a configuration on the digits, in double precision.
pub(crate) fn network(config: &RunConfig) -> Network<Cpu<f64>> {
    let model = config.model.options().model(Shape::new(1, 8, 8), 10).unwrap();
    Network::compile(&model, Cpu::default(), Loss::SoftmaxCrossEntropy)
}

/// How a training on the digits ended.
#[derive(Debug)]
pub(crate) struct Trained {
    pub(crate) outcome: Outcome,
    pub(crate) state: TrainState,
    /// The iterate that the next step would make.
    pub(crate) next: Weights,
}

struct Train<'a> {
    config: &'a RunConfig,
    watch: &'a mut Watch,
}

impl Visitor for Train<'_> {
    type Output = Trained;

    fn visit<B: Backend>(self, engine: &Engine<B>) -> Trained {
        let Self { config, watch } = self;
        let trained = trained_examples(config, digits().dataset()).unwrap();
        let job = Job { config, engine, data: digits(), trained: &trained, budget: Budget::default() };
        let (outcome, state) = job.train(job.initial_state(), &mut (), watch).unwrap();
        let next = job.next_weights(&state);
        Trained { outcome, state, next }
    }
}

/// Trains on the digits.
pub(crate) fn train(config: &RunConfig, stop_at: Option<u32>) -> Trained {
    train_watched(config, &mut Watch { stop_at, ..Watch::default() })
}

/// Trains on the digits before an observer.
pub(crate) fn train_watched(config: &RunConfig, watch: &mut Watch) -> Trained {
    train_shared(config, watch, &Ranks::default())
}

/// The same on several ranks.
pub(crate) fn train_shared(config: &RunConfig, watch: &mut Watch, ranks: &Ranks) -> Trained {
    config.validate(digits().dataset().train().len()).unwrap();
    with_shared_engine(config, ranks, Train { config, watch }).unwrap()
}

/// Measures weights on the digits as a run of this configuration measures its last ones.
pub(crate) fn measured(config: &RunConfig, weights: &Weights, budget: Budget) -> Measurement {
    measured_by(config, weights, budget, &Ranks::default())
}

/// The same on several ranks.
pub(crate) fn measured_by(
    config: &RunConfig,
    weights: &Weights,
    budget: Budget,
    ranks: &Ranks,
) -> Measurement {
    struct Measure<'a>(&'a RunConfig, &'a Weights, Budget);
    impl Visitor for Measure<'_> {
        type Output = Measurement;

        fn visit<B: Backend>(self, engine: &Engine<B>) -> Measurement {
            let Self(config, weights, budget) = self;
            let (settings, seed) = (&config.measurement(), config.seed);
            let trained = &trained_examples(config, digits().dataset()).unwrap();
            let subject = Subject { engine, data: digits(), trained, settings, seed, budget };
            measure(subject, Iterates::only(weights), &sharpness_training::Watch::new(&mut ())).unwrap()
        }
    }
    with_shared_engine(config, ranks, Measure(config, weights, budget)).unwrap()
}
