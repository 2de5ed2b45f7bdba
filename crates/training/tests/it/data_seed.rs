//! The subset that a run trains on belongs to its data, not to its seed.

use std::path::Path;

use sharpness_experiments::config::{ConfigFile, RunConfig};
use sharpness_experiments::data::DatasetName;
use sharpness_experiments::sweep::Plan;
use sharpness_experiments::trained_examples;
use sharpness_network::architectures::Architecture;

use crate::training_runs::digits;

fn config(seed: u64, data_seed: Option<u64>) -> RunConfig {
    let mut config = RunConfig::new(DatasetName::Digits, Architecture::Mlp);
    (config.seed, config.data.train_examples) = (seed, Some(200));
    config.data.seed = data_seed.or(config.data.seed);
    config
}

fn examples(config: &RunConfig) -> Vec<u32> {
    trained_examples(config, digits().dataset()).unwrap()
}

#[test]
fn runs_of_different_seeds_train_on_the_same_examples() {
    let first = examples(&config(0, None));
    for seed in 1..5 {
        assert_eq!(examples(&config(seed, None)), first, "seed {seed}");
    }
    assert_ne!(examples(&config(0, Some(1))), first, "another data seed draws another subset");
    let recipe =
        "seeds = [0, 1, 2]\nfixed = { arch = \"mlp\", data.name = \"digits\", train_examples = 200 }\n";
    for run in Plan::parse(Path::new("r.toml"), recipe).unwrap().runs {
        assert_eq!(examples(&run.config), first, "seed {} of a recipe", run.config.seed);
    }
    let other = recipe.replace("train_examples = 200", "train_examples = 200, data.seed = 1");
    let other = Plan::parse(Path::new("r.toml"), &other).unwrap().runs.remove(0);
    assert_eq!(examples(&other.config), examples(&config(0, Some(1))), "recipes set it too");
}

#[test]
fn a_run_from_before_the_data_seed_keeps_its_subset_and_its_name() {
    let new = config(3, None);
    let mut old: RunConfig =
        toml::from_str(&toml::to_string(&new).unwrap().replace("seed = 0\n", "")).unwrap();
    assert_eq!(old.data.seed, None, "it has no data seed");
    assert_eq!(examples(&old), examples(&config(0, Some(3))), "its own seed drew the subset");
    assert_eq!(old.id().unwrap(), config(3, Some(3)).id().unwrap(), "the name says what was drawn");
    assert_ne!(old.id().unwrap(), new.id().unwrap(), "another subset is another run");
    assert_eq!(new.differences(&old).unwrap(), ["data.seed (0 and 3)"], "and in what it differs is told");
    (old.seed, old.data.train_examples) = (0, Some(200));
    assert_eq!(old.id().unwrap(), config(0, None).id().unwrap(), "runs of seed 0 stay what they are");
    let whole = |seed| {
        let mut config = config(3, Some(seed));
        config.data.train_examples = None;
        config.id().unwrap()
    };
    assert_eq!(whole(0), whole(9), "without a subset the data seed draws nothing");
}

#[test]
fn a_file_of_settings_sets_it() {
    let base = RunConfig::new(DatasetName::Digits, Architecture::Mlp);
    let read = |text: &str| ConfigFile::parse(Path::new("c.toml"), text.to_owned()).unwrap().over(&base);
    assert_eq!(read("[data]\nseed = 7\n").unwrap().data_seed(), 7, "data.seed");
    assert_eq!(read("seed = 7\n").unwrap().data_seed(), 0, "the run's seed is another one");
    let mut large = base;
    large.data.seed = Some(u64::MAX);
    let error = large.validate(1000).unwrap_err().to_string();
    assert!(error.contains("data.seed"), "{error}");
}
