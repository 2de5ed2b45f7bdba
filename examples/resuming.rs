//! A training that is stopped in the middle of an epoch and resumed ends in the same bits as one that is not.
//!
//! A run in a directory is saved when its observer asks to stop, as the handler of Ctrl-C does. Calling `complete_run` again resumes it
//! from its checkpoint. The weights of both runs, as files for PyTorch, are compared byte by byte.
//!
//! Run it with `cargo run -p sharpness-examples --example resuming`.

use std::error::Error;
use std::path::Path;

use sharpness_data::{Dataset, DatasetName, Locations, Standardized};
use sharpness_network::architectures::Architecture;
use sharpness_runs::{Completion, Existing, RunLayout, RunObserver, RunOptions, complete_run};
use sharpness_training::settings::RunConfig;
use sharpness_training::{EpochMetrics, Observer, StepReport};

/// Asks to stop after a step.
struct StopAfter {
    last: u32,
    step: u32,
}

impl Observer for StopAfter {
    fn on_step(&mut self, report: &StepReport) {
        self.step = report.step;
    }

    fn on_epoch(&mut self, metrics: &EpochMetrics) {
        println!("  epoch {}: train accuracy {:.2} %", metrics.epoch, 100.0 * metrics.train_accuracy);
    }

    fn should_stop(&mut self) -> bool {
        self.step >= self.last
    }
}

impl RunObserver for StopAfter {}

/// Trains in `dir` until the end or the step `last`, and says whether it ended.
fn train(config: &RunConfig, data: &Standardized, dir: &Path, last: u32) -> Result<bool, Box<dyn Error>> {
    let options =
        RunOptions { out: Some(dir.to_owned()), existing: Existing::Resume, ..RunOptions::default() };
    let completion = complete_run(config, data, &options, false, &mut StopAfter { last, step: 0 })?;
    Ok(!matches!(completion, Completion::Stopped))
}

fn main() -> Result<(), Box<dyn Error>> {
    let digits = Dataset::load(DatasetName::Digits, &Locations::default())?;
    let mut config = RunConfig::new(DatasetName::Digits, Architecture::Mlp);
    (config.model.hidden, config.model.dropout, config.training.max_epochs) = (vec![32], 0.2, 5);
    let data = Standardized::new(digits, config.data.standardize);
    let runs = tempfile::tempdir()?;
    let [whole, stopped] = ["whole", "stopped"].map(|name| runs.path().join(name));

    println!("without interruption:");
    assert!(train(&config, &data, &whole, u32::MAX)?, "it ends");
    // An epoch has 15 steps.
    println!("until step 37:");
    assert!(!train(&config, &data, &stopped, 37)?, "it is stopped in its third epoch");
    println!("resumed:");
    assert!(train(&config, &data, &stopped, u32::MAX)?, "it ends");

    let weights = |dir| std::fs::read(RunLayout::new(dir).weights());
    let (whole, resumed) = (weights(whole)?, weights(stopped)?);
    assert_eq!(whole, resumed, "both trainings end in the same bits");
    println!("both wrote the same {} bytes of weights", whole.len());
    Ok(())
}
