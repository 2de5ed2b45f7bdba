//! Values out of their range are refused by the name of their key.

use sharpness_data::{Dataset, DatasetName, Locations, Standardization, Standardized};
use sharpness_network::architectures::Architecture;
use sharpness_training::optimizers::{BnStats, OptimizerConfig, SamConfig, SgdConfig};
use sharpness_training::settings::{BoundRtol, RunConfig};
use sharpness_training::{Error, check_data};

use crate::training_runs::{config, digits, momentum};

/// Changes one value.
type Change = fn(&mut RunConfig);

fn sam(rho: f64, m: Option<usize>) -> Option<SamConfig> {
    Some(SamConfig { rho, adaptive: false, m, bn_stats: BnStats::First })
}

fn sgd(nesterov: bool, weight_decay: f64) -> OptimizerConfig {
    OptimizerConfig::Sgd(SgdConfig { momentum: 0.0, nesterov, weight_decay })
}

fn ask(config: &mut RunConfig, measure: &str, value: impl Into<toml::Value>) {
    config.measure.asked.insert(measure.to_owned(), value.into());
}

#[test]
fn every_range_is_checked() {
    let changes: Vec<(&str, Change)> = vec![
        ("seed", |c| c.seed = u64::MAX),
        ("data.train_examples", |c| c.data.train_examples = Some(0)),
        ("data.train_examples", |c| c.data.train_examples = Some(1001)),
        ("model.hidden", |c| c.model.hidden = vec![1 << 20; 3]),
        ("model.hidden", |c| c.model.hidden = vec![4, 0]),
        ("model.hidden", |c| c.model.hidden = vec![4; 65]),
        ("model.dropout", |c| c.model.dropout = 1.0),
        ("model.dropout", |c| c.model.dropout = -0.1),
        ("model.dropout", |c| c.model.dropout = f64::NAN),
        ("model.dropout", |c| (c.model.arch, c.model.dropout) = (Architecture::Cnn, 0.5)),
        ("model.width_divisor", |c| c.model.width_divisor = 0),
        ("data.name", |c| c.model.arch = Architecture::Vgg11),
        ("training.learning_rate", |c| c.training.learning_rate = 0.0),
        ("training.learning_rate", |c| c.training.learning_rate = f64::NAN),
        ("training.learning_rate", |c| c.training.learning_rate = f64::INFINITY),
        ("training.batch_size", |c| c.training.batch_size = 0),
        ("training.batch_size", |c| c.training.batch_size = 1001),
        ("training.batch_size", |c| c.data.train_examples = Some(99)),
        ("training.micro_batch_size", |c| c.training.micro_batch_size = 0),
        ("training.optimizer.momentum", |c| c.training.optimizer = momentum(1.0)),
        ("training.optimizer.momentum", |c| c.training.optimizer = momentum(-0.1)),
        ("training.optimizer.nesterov", |c| c.training.optimizer = sgd(true, 0.0)),
        ("training.optimizer.weight_decay", |c| c.training.optimizer = sgd(false, -1.0)),
        ("training.sam.rho", |c| c.training.sam = sam(-0.1, None)),
        ("training.sam.m", |c| c.training.sam = sam(0.1, Some(0))),
        ("training.sam.m", |c| c.training.sam = sam(0.1, Some(101))),
        ("training.target_accuracy", |c| c.training.target_accuracy = 0.0),
        ("training.target_accuracy", |c| c.training.target_accuracy = 99.0),
        ("training.max_epochs", |c| c.training.max_epochs = 0),
        ("training.max_epochs", |c| c.training.max_epochs = u32::MAX),
        ("measure.examples", |c| c.measure.examples = 0),
        ("measure.chunk", |c| c.measure.chunk = Some(0)),
        ("measure.top_k", |c| c.measure.top_k = 0),
        ("measure.top_k", |c| (c.model.hidden, c.measure.top_k) = (vec![4], 64 * 4 + 4 + 4 * 10 + 10 + 1)),
        ("measure.rtol", |c| c.measure.rtol = 0.0),
        ("measure.max_products", |c| c.measure.max_products = 0),
        ("measure.max_products", |c| c.measure.max_products = usize::MAX),
        ("measure.chunk", |c| c.measure.chunk = Some(usize::MAX)),
        ("measure.bound_rtol", |c| c.measure.bound_rtol = BoundRtol(Some(1.0))),
        ("measure.trace.probes", |c| ask(c, "trace", 1)),
        ("measure.sam_bound.rho", |c| ask(c, "sam_bound", 0.0)),
        ("measure.adaptive_worst.iterations", |c| ask(c, "adaptive_worst", 0)),
        ("measure.lambda_min", |c| ask(c, "lambda_min", 3)),
        ("measure.lambda_mid", |c| ask(c, "lambda_mid", true)),
        ("training.through_training", |c| c.training.through_training = Some(1.0)),
        ("data.seed", |c| c.data.seed = u64::MAX),
    ];
    let base = RunConfig::new(DatasetName::Digits, Architecture::Mlp);
    base.validate(1000).unwrap();
    for (expected, change) in changes {
        let mut config = base.clone();
        change(&mut config);
        let error = config.validate(1000).unwrap_err();
        assert!(matches!(&error, Error::Config { key, .. } if key == expected), "{expected}: {error}");
    }
}

#[test]
fn data_of_another_kind_are_refused() {
    let mut config = config();
    config.data.standardize = Standardization::None;
    let error = check_data(&config, digits()).unwrap_err();
    assert!(matches!(&error, Error::Config { key, .. } if key == "data.standardize"), "{error}");
    config.data.name = DatasetName::Mnist;
    let dataset = Dataset::load(DatasetName::Digits, &Locations::default()).unwrap();
    let data = Standardized::new(dataset, Standardization::None);
    let error = check_data(&config, &data).unwrap_err();
    assert!(matches!(&error, Error::Config { key, .. } if key == "data.name"), "{error}");
}
