//! The subset that a run trains on belongs to its data, not to its seed.

use sharpness_data::DatasetName;
use sharpness_network::architectures::Architecture;
use sharpness_training::settings::RunConfig;
use sharpness_training::trained_examples;

use crate::training_runs::digits;

fn config(seed: u64, data_seed: u64) -> RunConfig {
    let mut config = RunConfig::new(DatasetName::Digits, Architecture::Mlp);
    (config.seed, config.data.train_examples, config.data.seed) = (seed, Some(200), data_seed);
    config
}

fn examples(config: &RunConfig) -> Vec<u32> {
    trained_examples(config, digits().dataset()).unwrap()
}

#[test]
fn runs_of_different_seeds_train_on_the_same_examples() {
    let first = examples(&config(0, 0));
    for seed in 1..5 {
        assert_eq!(examples(&config(seed, 0)), first, "seed {seed}");
    }
    assert_ne!(examples(&config(0, 1)), first, "another data seed draws another subset");
    assert_eq!(examples(&config(5, 1)), examples(&config(0, 1)), "whatever the seed of the run");
}

#[test]
fn a_table_of_settings_sets_it() {
    let base = RunConfig::new(DatasetName::Digits, Architecture::Mlp);
    assert_eq!(base.data.seed, 0, "the default");
    let read = |text: &str| base.overlaid(&text.parse().unwrap());
    assert_eq!(read("[data]\nseed = 7\n").unwrap().data.seed, 7, "data.seed");
    assert_eq!(read("seed = 7\n").unwrap().data.seed, 0, "the run's seed is another one");
}
