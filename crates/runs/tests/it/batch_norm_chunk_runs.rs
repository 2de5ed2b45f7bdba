//! The chunk of batch norm is part of what a run measures, and so of its name.

use sharpness_data::DatasetName;
use sharpness_network::architectures::Architecture;
use sharpness_runs::{Identity, differences};
use sharpness_training::settings::RunConfig;

fn config(batch: usize, micro_batch: usize) -> RunConfig {
    let mut config = RunConfig::new(DatasetName::Digits, Architecture::CnnBn);
    (config.training.batch_size, config.training.micro_batch_size) = (batch, micro_batch);
    config
}

#[test]
fn a_run_keeps_its_name_where_its_numbers_stay() {
    let id = |config: &RunConfig, chunk| {
        let mut config = config.clone();
        config.measure.chunk = chunk;
        Identity::of(&config).unwrap().run
    };
    let small = config(20, 20);
    assert_eq!(id(&small, None), id(&small, Some(20)), "the same measurement");
    assert_ne!(id(&small, None), id(&small, Some(1000)), "what was the default measures something else");
    let large = config(5000, 1000);
    assert_eq!(id(&large, None), id(&large, Some(1000)), "large batches are measured as before");
    let mlp = RunConfig::new(DatasetName::Digits, Architecture::Mlp);
    assert_eq!(id(&mlp, None), id(&mlp, Some(1000)), "and so are networks without batch norm");
    assert!(differences(&mlp, &mlp).unwrap().is_empty(), "no difference");
}

#[test]
fn another_chunk_is_another_measurement_of_the_same_training() {
    let mut other = config(20, 20);
    other.measure.chunk = Some(1000);
    let (derived, other) = (Identity::of(&config(20, 20)).unwrap(), Identity::of(&other).unwrap());
    assert_eq!(derived.training, other.training, "the training does not depend on the chunk");
    assert_ne!(derived.run, other.run, "the measurement does");
}
