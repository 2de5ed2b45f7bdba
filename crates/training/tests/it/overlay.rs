//! Settings over settings: tables with a kind, measures in their short and long forms, errors.

use sharpness_data::DatasetName;
use sharpness_network::models::Architecture;
use sharpness_training::settings::RunConfig;

fn base() -> RunConfig {
    RunConfig::new(DatasetName::Digits, Architecture::Mlp)
}

fn over(base: &RunConfig, text: &str) -> RunConfig {
    base.overlaid(&text.parse().unwrap()).unwrap()
}

#[test]
fn another_data_set_leaves_the_other_settings_of_the_data() {
    let subset = over(&base(), "data = { train_examples = 500, seed = 3, standardize = 'channel' }");
    let other = over(&subset, "data.name = 'mnist'");
    assert_eq!(other.data.name, DatasetName::Mnist, "the data set changes");
    assert_eq!((other.data.train_examples, other.data.seed), (Some(500), 3), "the subset stays");
    assert_eq!(other.data.standardize, subset.data.standardize, "so does the standardization");
}
