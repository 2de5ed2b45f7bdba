//! Batch norm is measured over batches of the size that it was trained with.

use sharpness_data::DatasetName;
use sharpness_network::architectures::Architecture;
use sharpness_network::op::BatchNorm;
use sharpness_training::Budget;
use sharpness_training::measures::Measurement;
use sharpness_training::optimizers::{BnStats, SamConfig};
use sharpness_training::settings::RunConfig;

use crate::training_runs::{self, config_with_batch_norm, train};

fn config(batch: usize, micro_batch: usize) -> RunConfig {
    let mut config = RunConfig::new(DatasetName::Digits, Architecture::CnnBn);
    (config.training.batch_size, config.training.micro_batch_size) = (batch, micro_batch);
    config
}

fn chunk(config: &RunConfig) -> usize {
    config.measurement().chunk.unwrap()
}

#[test]
fn an_unset_chunk_follows_from_the_training() {
    for (batch, micro_batch, expected) in
        [(20, 1000, 20), (20, 20, 20), (100, 30, 30), (5000, 1000, 1000), (5000, 5000, 1000), (1, 1, 1)]
    {
        let found = chunk(&config(batch, micro_batch));
        assert_eq!(found, expected, "batches of {batch} in micro-batches of {micro_batch}");
    }
    let mut grouped = config(100, 100);
    grouped.training.sam =
        Some(SamConfig { rho: 0.1, adaptive: false, m: Some(10), bn_stats: BnStats::First });
    assert_eq!(chunk(&grouped), 10, "a micro-batch lies within a group of SAM");
    let mut asked = config(20, 20);
    asked.measure.chunk = Some(500);
    assert_eq!(chunk(&asked), 500, "a chunk that is asked for");
    let mut running = config(20, 20);
    running.measure.bn = BatchNorm::Running;
    assert_eq!(chunk(&running), 1000, "running statistics have no batch");
    let mut without = config(20, 20);
    without.model.arch = Architecture::Cnn;
    assert_eq!(chunk(&without), 1000, "nor has a network without batch norm");
}

fn measured(config: &RunConfig) -> Measurement {
    training_runs::measured(config, &train(config, None).state.weights, Budget::default())
}

#[test]
fn a_run_is_measured_over_its_micro_batches_and_says_so() {
    let mut config = config_with_batch_norm();
    config.measure.examples = 100;
    let derived = measured(&config);
    assert_eq!(derived.batch_norm_chunk, Some(16), "the micro-batch");
    config.measure.chunk = Some(16);
    let same = measured(&config);
    assert!(same.lambda_max == derived.lambda_max, "{:?} and {:?}", same.lambda_max, derived.lambda_max);
    config.measure.chunk = Some(100);
    let whole = measured(&config);
    assert_eq!(whole.batch_norm_chunk, Some(100), "as asked");
    let change = whole.lambda_max.value / derived.lambda_max.value - 1.0;
    assert!(change.abs() > 1e-3, "the chunk matters, else this tests nothing: {change}");
}
