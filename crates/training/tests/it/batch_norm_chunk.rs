//! Batch norm is measured over batches of the size that it was trained with.

use sharpness_experiments::config::{BnMode, BnStats, RunConfig, SamConfig};
use sharpness_experiments::data::DatasetName;
use sharpness_experiments::measures::Measurement;
use sharpness_experiments::{RunOptions, complete_run};
use sharpness_network::architectures::Architecture;

use crate::training_runs::{config_with_batch_norm, digits};

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
    running.measure.bn = BnMode::Running;
    assert_eq!(chunk(&running), 1000, "running statistics have no batch");
    let mut without = config(20, 20);
    without.model.arch = Architecture::Cnn;
    assert_eq!(chunk(&without), 1000, "nor has a network without batch norm");
}

fn measured(config: &RunConfig) -> Measurement {
    let report = complete_run(config, digits(), &RunOptions::default(), true, &mut ()).unwrap();
    report.report().unwrap().measurement.unwrap()
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

#[test]
fn a_run_keeps_its_name_where_its_numbers_stay() {
    let id = |config: &RunConfig, chunk| {
        let mut config = config.clone();
        config.measure.chunk = chunk;
        config.id().unwrap()
    };
    let small = config(20, 20);
    assert_eq!(id(&small, None), id(&small, Some(20)), "the same measurement");
    assert_ne!(id(&small, None), id(&small, Some(1000)), "what was the default measures something else");
    let large = config(5000, 1000);
    assert_eq!(id(&large, None), id(&large, Some(1000)), "large batches are measured as before");
    let mlp = RunConfig::new(DatasetName::Digits, Architecture::Mlp);
    assert_eq!(id(&mlp, None), id(&mlp, Some(1000)), "and so are networks without batch norm");
    assert!(mlp.differences(&mlp).unwrap().is_empty(), "no difference");
}
