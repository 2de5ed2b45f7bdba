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

/// The key and the problem of a table that is refused.
fn refused(text: &str) -> (String, String) {
    base().overlaid(&text.parse().unwrap()).unwrap_err()
}

#[test]
fn another_data_set_leaves_the_other_settings_of_the_data() {
    let subset = over(&base(), "data = { train_examples = 500, seed = 3, standardize = 'channel' }");
    let other = over(&subset, "data.name = 'mnist'");
    assert_eq!(other.data.name, DatasetName::Mnist, "the data set changes");
    assert_eq!((other.data.train_examples, other.data.seed), (Some(500), 3), "the subset stays");
    assert_eq!(other.data.standardize, subset.data.standardize, "so does the standardization");
}

#[test]
fn an_error_in_a_table_with_a_kind_names_its_key() {
    let (key, problem) = refused("training.optimizer = { name = 'adam', beta = 0.9 }");
    assert_eq!((key.as_str(), problem.as_str()), ("training.optimizer.name", "must be one of sgd"), "a kind");
    let (key, problem) = refused("training.schedule.name = 3");
    assert_eq!(
        (key.as_str(), problem.as_str()),
        ("training.schedule.name", "must be one of constant"),
        "a type"
    );
    let (key, problem) = refused("training.optimizer.momentum = 2");
    assert_eq!(key, "training.optimizer.momentum", "a range: {problem}");
    assert_eq!(problem, "must be at least 0 and below 1, got 2", "a range");
    let (key, problem) = refused("training.optimizer.moment = 0.9");
    assert_eq!(key, "training.optimizer.moment", "an unknown key: {problem}");
    assert!(problem.contains("momentum") && problem.contains("weight_decay"), "those that it has: {problem}");
    let (key, _) = refused("training.optimizer = 3");
    assert_eq!(key, "training.optimizer", "no table");
}
