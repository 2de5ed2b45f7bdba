//! Small runs: configurations, data, observers, and what a run leaves in its directory.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::OnceLock;

use safetensors::SafeTensors;
use serde_json::Value;
use sharpness_data::{Dataset, DatasetName, Locations, Standardization, Standardized};
use sharpness_network::architectures::Architecture;
use sharpness_runs::{Completion, Existing, Result, RunLayout, RunObserver, RunOptions, complete_run};
use sharpness_training::optimizers::{BnStats, OptimizerConfig, SamConfig, SgdConfig};
use sharpness_training::settings::{Cadence, Precision, RunConfig};
use sharpness_training::{EpochMetrics, Observer, StepReport};

/// The digits, standardized once.
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
    config.training.optimizer = OptimizerConfig::Sgd(SgdConfig { momentum: 0.9, ..SgdConfig::default() });
    config.training.batch_size = 100;
    config.training.target_accuracy = 1.0;
    config.training.max_epochs = 4;
    config.measure.examples = 60;
    config.measure.rtol = 0.1;
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

/// The first one with λ_max and a measure through training, after every second step.
pub(crate) fn config_with_measures() -> RunConfig {
    let mut config = config_with_tracking();
    config.training.through_every = Some(Cadence::Steps(2));
    config.training.through_measures = vec!["batch_sharpness".to_owned()];
    config
}

/// The first one with λ_max measured through training.
pub(crate) fn config_with_tracking() -> RunConfig {
    let mut config = config();
    config.training.through_training = Some(1e-2);
    config
}

/// Stops after a number of steps.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    pub(crate) stop_at: Option<u32>,
    pub(crate) last: Option<u32>,
}

impl Observer for Watch {
    fn on_step(&mut self, step: &StepReport) {
        self.last = Some(step.step);
    }
    fn should_stop(&mut self) -> bool {
        self.last.is_some() && self.last == self.stop_at
    }
}

impl RunObserver for Watch {}

/// Fails if anything is trained.
pub(crate) struct NoSteps;

impl Observer for NoSteps {
    fn on_step(&mut self, step: &StepReport) {
        panic!("trained again: {step:?}");
    }
    fn on_epoch(&mut self, metrics: &EpochMetrics) {
        panic!("trained again: {metrics:?}");
    }
}

impl RunObserver for NoSteps {}

/// Options of a run in `out`.
pub(crate) fn options(out: &Path, resume: bool) -> RunOptions {
    let existing = if resume { Existing::Resume } else { Existing::Refuse };
    RunOptions { out: Some(out.to_owned()), existing, ..RunOptions::default() }
}

/// Trains on the digits, without a measurement.
pub(crate) fn train(config: &RunConfig, options: &RunOptions, stop_at: Option<u32>) -> Result<Completion> {
    complete_run(config, digits(), options, false, &mut Watch { stop_at, ..Watch::default() })
}

/// What a training leaves that must be the same whatever interrupts it: all but the time that it took.
#[derive(Debug, PartialEq)]
pub(crate) struct Content {
    tensors: BTreeMap<String, Vec<u8>>,
    progress: Value,
    metrics: String,
    weights: Vec<u8>,
}

impl Content {
    pub(crate) fn of(dir: &Path) -> Self {
        let layout = RunLayout::new(dir);
        let checkpoint = fs::read(layout.checkpoint()).unwrap();
        let file = SafeTensors::deserialize(&checkpoint).unwrap();
        let tensors = file.iter().map(|(name, view)| (name.to_owned(), view.data().to_owned())).collect();
        let (_, metadata) = SafeTensors::read_metadata(&checkpoint).unwrap();
        let header: Value =
            serde_json::from_str(&metadata.metadata().as_ref().unwrap()["sharpness"]).unwrap();
        let mut progress: Value = serde_json::from_str(header["progress"].as_str().unwrap()).unwrap();
        progress.as_object_mut().unwrap().remove("seconds").unwrap();
        let metrics = fs::read_to_string(layout.metrics()).unwrap();
        let weights = fs::read(layout.weights()).unwrap();
        Self { tensors, progress, metrics, weights }
    }

    /// Steps that were made.
    pub(crate) fn steps(&self) -> u32 {
        serde_json::from_value(self.progress["step"].clone()).unwrap()
    }
}

/// The step of the last checkpoint.
pub(crate) fn saved_step(dir: &Path) -> u32 {
    let state: Value = serde_json::from_slice(&fs::read(RunLayout::new(dir).state()).unwrap()).unwrap();
    serde_json::from_value(state["step"].clone()).unwrap()
}

/// All files in a directory and in those in it, by their paths there, with their content.
pub(crate) fn files(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut all = BTreeMap::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if path.is_dir() {
            all.extend(files(&path).into_iter().map(|(inner, content)| (format!("{name}/{inner}"), content)));
        } else {
            all.insert(name, fs::read(&path).unwrap());
        }
    }
    all
}

/// Copies a directory with all that is in it.
pub(crate) fn copy(from: &Path, to: &Path) {
    for (name, content) in files(from) {
        let path = to.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
}
