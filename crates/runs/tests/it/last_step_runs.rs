//! The last iterate of a run that is kept, and the one after it.

use sharpness_data::{Dataset, DatasetName, Locations, Standardization, Standardized};
use sharpness_network::architectures::Architecture;
use sharpness_runs::{Completion, RunObserver, RunOptions, complete_run, last_step};
use sharpness_training::optimizers::{BnStats, OptimizerConfig, SamConfig, SgdConfig};
use sharpness_training::settings::{Precision, RunConfig};
use sharpness_training::{Error as TrainingError, Observer, StepReport};

fn digits() -> Standardized {
    let dataset = Dataset::load(DatasetName::Digits, &Locations::default()).unwrap();
    Standardized::new(dataset, Standardization::Pixel)
}

/// A small MLP with momentum and dropout, three steps to an epoch.
fn config() -> RunConfig {
    let mut config = RunConfig::new(DatasetName::Digits, Architecture::Mlp);
    config.model.hidden = vec![16];
    config.model.dropout = 0.1;
    config.data.train_examples = Some(250);
    config.training.optimizer = OptimizerConfig::Sgd(SgdConfig { momentum: 0.9, ..SgdConfig::default() });
    config.training.target_accuracy = 1.0;
    config.training.max_epochs = 4;
    config
}

/// A small network with batch norm and SAM in double precision, three steps to an epoch.
fn config_with_batch_norm() -> RunConfig {
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

/// Stops after a number of steps.
struct StopAt(u32, u32);

impl Observer for StopAt {
    fn on_step(&mut self, step: &StepReport) {
        self.1 = step.step;
    }
    fn should_stop(&mut self) -> bool {
        self.0 == self.1
    }
}

impl RunObserver for StopAt {}

#[test]
fn the_next_weights_of_a_stopped_run_are_those_of_its_next_step() {
    let digits = digits();
    for config in [config(), config_with_batch_norm()] {
        let stopped = |stop_at| {
            let dir = tempfile::tempdir().unwrap();
            let options = RunOptions { out: Some(dir.path().to_owned()), ..RunOptions::default() };
            let run = complete_run(&config, &digits, &options, false, &mut StopAt(stop_at, 0)).unwrap();
            assert!(matches!(run, Completion::Stopped), "after step {stop_at}: {run:?}");
            last_step(dir.path(), &digits).unwrap()
        };
        // After the last step of an epoch of three, the next one begins another epoch.
        for stop_at in [1, 3, 4] {
            let (before, after) = (stopped(stop_at), stopped(stop_at + 1));
            assert_eq!(before.next, after.weights, "after step {stop_at}");
        }
    }
}

#[test]
fn data_of_another_kind_are_refused() {
    let refused = |config: &RunConfig, data: &Standardized| {
        complete_run(config, data, &RunOptions::default(), true, &mut ()).unwrap_err()
    };
    let is_of = |error: &sharpness_runs::Error, expected: &str| match error {
        sharpness_runs::Error::Training(TrainingError::Config { key, .. }) => key == expected,
        _ => false,
    };
    let mut config = config();
    config.data.standardize = Standardization::None;
    let error = refused(&config, &digits());
    assert!(is_of(&error, "data.standardize"), "{error}");
    config.data.name = DatasetName::Mnist;
    let dataset = Dataset::load(DatasetName::Digits, &Locations::default()).unwrap();
    let error = refused(&config, &Standardized::new(dataset, Standardization::None));
    assert!(is_of(&error, "data.name"), "{error}");
}
