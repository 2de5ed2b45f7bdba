//! The name of a run: stable, and another one for every choice.

use std::collections::BTreeMap;

use sharpness_experiments::config::{
    BnMode, BnStats, BoundRtol, Convolution, LossName, MeasureConfig, Precision, RunConfig, SamConfig,
};
use sharpness_experiments::data::{DatasetName, Standardization, Subset};
use sharpness_network::architectures::Architecture;
use sharpness_network::backend::Activation;

/// Changes one value.
type Change = fn(&mut RunConfig);

fn base() -> RunConfig {
    let mut config = RunConfig::new(DatasetName::Digits, Architecture::Mlp);
    config.data.train_examples = Some(100);
    config.training.sam = Some(SamConfig { rho: 0.05, adaptive: false, m: None, bn_stats: BnStats::First });
    config
}

#[test]
fn the_name_of_a_run_never_changes() {
    let mut config = RunConfig::new(DatasetName::Cifar10, Architecture::Vgg11);
    config.measure.bound_rtol = BoundRtol::off();
    assert_eq!(config.canonical_json().unwrap(), CANONICAL, "the text that is hashed");
    assert_eq!(config.id().unwrap(), "rf7eda0f162f57334", "stored runs would no longer be found");
}

/// Sorted keys, no spaces, absent options left out.
const CANONICAL: &str = concat!(
    r#"{"data":{"name":"cifar10","standardize":"pixel"},"#,
    r#""measure":{"between_iterates":false,"bn":"batch","chunk":1000,"examples":5000,"#,
    r#""lambda_min":false,"max_products":500,"rtol":0.001,"subset":"every","top_k":1},"#,
    r#""model":{"activation":"relu","arch":"vgg11","dropout":0.0,"hidden":[256,256],"#,
    r#""width_divisor":1},"#,
    r#""precision":"f32","seed":0,"#,
    r#""training":{"batch_size":100,"learning_rate":0.05,"loss":"cross-entropy","max_epochs":1000,"#,
    r#""micro_batch_size":1000,"momentum":0.0,"nesterov":false,"target_accuracy":0.99,"#,
    r#""weight_decay":0.0}}"#,
);

#[test]
fn every_choice_changes_the_name() {
    let changes: Vec<(&str, Change)> = vec![
        ("none", |_| {}),
        ("seed", |c| c.seed = 1),
        ("precision", |c| c.precision = Precision::F64),
        ("convolution", |c| c.convolution = Convolution::Direct),
        ("data.name", |c| c.data.name = DatasetName::Mnist),
        ("data.standardize", |c| c.data.standardize = Standardization::Channel),
        ("data.train_examples", |c| c.data.train_examples = Some(200)),
        ("data.seed", |c| c.data.seed = Some(1)),
        ("model.arch", |c| c.model.arch = Architecture::Cnn),
        ("model.activation", |c| c.model.activation = Activation::Gelu),
        ("model.hidden", |c| c.model.hidden = vec![256]),
        ("model.dropout", |c| c.model.dropout = 0.1),
        ("model.width_divisor", |c| c.model.width_divisor = 2),
        ("training.loss", |c| c.training.loss = LossName::SquaredError),
        ("training.learning_rate", |c| c.training.learning_rate = 0.1),
        ("training.batch_size", |c| c.training.batch_size = 200),
        ("training.micro_batch_size", |c| c.training.micro_batch_size = 10),
        ("training.momentum", |c| c.training.momentum = 0.9),
        ("training.nesterov", |c| c.training.nesterov = true),
        ("training.weight_decay", |c| c.training.weight_decay = 1e-4),
        ("training.sam", |c| c.training.sam = None),
        ("training.sam.rho", |c| sam(c).rho = 0.1),
        ("training.sam.adaptive", |c| sam(c).adaptive = true),
        ("training.sam.m", |c| sam(c).m = Some(50)),
        ("training.sam.bn_stats", |c| sam(c).bn_stats = BnStats::Both),
        ("training.target_accuracy", |c| c.training.target_accuracy = 1.0),
        ("training.max_epochs", |c| c.training.max_epochs = 10),
        ("measure.examples", |c| c.measure.examples = 100),
        ("measure.subset", |c| c.measure.subset = Subset::First),
        ("measure.bn", |c| c.measure.bn = BnMode::Running),
        ("measure.chunk", |c| c.measure.chunk = Some(100)),
        ("measure.top_k", |c| c.measure.top_k = 2),
        ("measure.lambda_min", |c| c.measure.lambda_min = true),
        ("measure.between_iterates", |c| c.measure.between_iterates = true),
        ("measure.rtol", |c| c.measure.rtol = 1e-4),
        ("measure.bound_rtol", |c| c.measure.bound_rtol = BoundRtol(Some(0.01))),
        ("measure.max_products", |c| c.measure.max_products = 100),
    ];
    let mut ids = BTreeMap::new();
    for (key, change) in &changes {
        let mut config = base();
        change(&mut config);
        if let Some(other) = ids.insert(config.id().unwrap(), key) {
            panic!("{key} and {other} have the same name");
        }
        let differences = base().differences(&config).unwrap();
        assert!(
            *key == "none" || (!differences.is_empty() && differences.iter().all(|d| d.starts_with(key))),
            "{key}: {differences:?}"
        );
    }
    // Every value has its line; `none`, the three values that are absent and the table `sam` have one besides.
    let tables = 5;
    let values = base().canonical_json().unwrap().matches(':').count() - tables;
    assert_eq!(changes.len(), values + 5, "a choice of the configuration has no line in this test");
}

fn sam(config: &mut RunConfig) -> &mut SamConfig {
    config.training.sam.as_mut().unwrap()
}

#[test]
fn a_configuration_survives_toml() {
    let mut config = base();
    config.measure = MeasureConfig { rtol: 0.1 + 0.2, ..MeasureConfig::new() };
    config.training.learning_rate = 1.0;
    let text = toml::to_string(&config).unwrap();
    assert_eq!(toml::from_str::<RunConfig>(&text).unwrap(), config, "{text}");
}
