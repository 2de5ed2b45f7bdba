//! Small runs for the tests of training: configurations, data and observers.

use std::path::Path;
use std::sync::OnceLock;

use sharpness_experiments::config::{Precision, RunConfig};
use sharpness_experiments::data::{Dataset, DatasetName, Locations, Standardization, Standardized};
use sharpness_experiments::store::Existing;
use sharpness_experiments::training::{EpochMetrics, Observer, StepReport};
use sharpness_experiments::{Result, Run, RunOptions, Trained, train_run};
use sharpness_network::architectures::Architecture;

/// The digits, standardised once.
pub(crate) fn digits() -> &'static Standardized {
    static DIGITS: OnceLock<Standardized> = OnceLock::new();
    DIGITS.get_or_init(|| {
        let dataset = Dataset::load(DatasetName::Digits, &Locations::default()).unwrap();
        Standardized::new(dataset, Standardization::Pixel)
    })
}

/// A small MLP on the digits with everything that a checkpoint must hold: momentum and dropout.
pub(crate) fn config() -> RunConfig {
    let mut config = RunConfig::new(DatasetName::Digits, Architecture::Mlp);
    config.model.hidden = vec![16];
    config.model.dropout = 0.1;
    config.data.train_examples = Some(250);
    config.training.momentum = 0.9;
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
    config.training.sam = Some(sharpness_experiments::config::SamConfig {
        rho: 0.05,
        adaptive: false,
        m: Some(20),
        bn_stats: sharpness_experiments::config::BnStats::First,
    });
    config
}

/// The first one with λ_max measured through training.
pub(crate) fn config_with_tracking() -> RunConfig {
    let mut config = config();
    config.measure.examples = 60;
    config.measure.through_training = Some(1e-2);
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

/// Options of a run in `out`.
pub(crate) fn options(out: &Path, resume: bool) -> RunOptions {
    let existing = if resume { Existing::Resume } else { Existing::Refuse };
    RunOptions { out: Some(out.to_owned()), existing, ..RunOptions::default() }
}

/// Trains on the digits; a run that is finished already is a failure.
pub(crate) fn train(config: &RunConfig, options: &RunOptions, stop_at: Option<u32>) -> Result<Trained> {
    let mut watch = Watch { stop_at, ..Watch::default() };
    match train_run(config, digits(), options, &mut watch)? {
        Run::Trained(trained) => Ok(*trained),
        Run::Finished(result) => panic!("the run was finished already: {result:?}"),
    }
}
