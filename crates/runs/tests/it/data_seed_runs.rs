//! The seed of the subset that a run trains on, in recipes, files and names.

use std::path::Path;

use sharpness_data::{Dataset, DatasetName, Locations};
use sharpness_network::architectures::Architecture;
use sharpness_runs::{ConfigFile, Identity, Plan, RunLayout, differences, run_config};
use sharpness_training::settings::RunConfig;
use sharpness_training::trained_examples;

fn config(seed: u64, data_seed: u64) -> RunConfig {
    let mut config = RunConfig::new(DatasetName::Digits, Architecture::Mlp);
    (config.seed, config.data.train_examples, config.data.seed) = (seed, Some(200), data_seed);
    config
}

fn examples(config: &RunConfig) -> Vec<u32> {
    trained_examples(config, &Dataset::load(DatasetName::Digits, &Locations::default()).unwrap()).unwrap()
}

fn id(config: &RunConfig) -> Identity {
    Identity::of(config).unwrap()
}

#[test]
fn the_runs_of_a_recipe_train_on_the_same_examples() {
    let first = examples(&config(0, 0));
    let recipe =
        "seeds = [0, 1, 2]\nfixed = { arch = \"mlp\", data.name = \"digits\", train_examples = 200 }\n";
    for run in Plan::parse(Path::new("r.toml"), recipe).unwrap().runs {
        assert_eq!(examples(&run.config), first, "seed {} of a recipe", run.config.seed);
    }
    let other = recipe.replace("train_examples = 200", "train_examples = 200, data.seed = 1");
    let other = Plan::parse(Path::new("r.toml"), &other).unwrap().runs.remove(0);
    assert_eq!(examples(&other.config), examples(&config(0, 1)), "recipes set it too");
}

#[test]
fn the_data_seed_is_part_of_a_name_where_it_draws_a_subset() {
    let (one, other) = (config(3, 0), config(3, 3));
    assert_ne!(id(&one).training, id(&other).training, "another subset is another training");
    assert_eq!(differences(&one, &other).unwrap(), ["data.seed (0 and 3)"], "and in what it differs is told");
    let whole = |seed| {
        let mut config = config(3, seed);
        config.data.train_examples = None;
        id(&config)
    };
    assert_eq!(whole(0), whole(9), "without a subset the data seed draws nothing");
}

#[test]
fn a_file_of_settings_sets_it() {
    let base = RunConfig::new(DatasetName::Digits, Architecture::Mlp);
    let read = |text: &str| ConfigFile::parse(Path::new("c.toml"), text.to_owned()).unwrap().over(&base);
    assert_eq!(read("[data]\nseed = 7\n").unwrap().data.seed, 7, "data.seed");
    assert_eq!(read("seed = 7\n").unwrap().data.seed, 0, "the run's seed is another one");
}

#[test]
fn a_run_from_before_the_data_seed_keeps_its_subset() {
    let text = "seed = 3\n[data]\nname = \"digits\"\ntrain_examples = 200\n[model]\narch = \"mlp\"\n[training]\n[measure]\n";
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("config.toml"), text).unwrap();
    let file = run_config(&RunLayout::new(dir.path())).unwrap().unwrap();
    let old = file.over(&RunConfig::new(DatasetName::Digits, Architecture::Mlp)).unwrap();
    assert_eq!(old.data.seed, 3, "its own seed drew the subset");
    assert_eq!(examples(&old), examples(&config(0, 3)), "so these are its examples");
    let text = format!("schema = 2\n{text}");
    std::fs::write(dir.path().join("config.toml"), text).unwrap();
    let file = run_config(&RunLayout::new(dir.path())).unwrap().unwrap();
    let new = file.over(&RunConfig::new(DatasetName::Digits, Architecture::Mlp)).unwrap();
    assert_eq!(new.data.seed, 0, "today an unset data seed is the default");
}
