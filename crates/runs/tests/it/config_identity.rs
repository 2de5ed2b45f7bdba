//! The names of a run: stable, and others for every choice.

use std::collections::BTreeMap;

use sharpness_data::{DatasetName, Standardization, Subset};
use sharpness_kernels::ConvolutionAlgorithm;
use sharpness_network::architectures::Architecture;
use sharpness_network::backend::Activation;
use sharpness_network::backend::Loss;
use sharpness_network::op::BatchNorm;
use sharpness_runs::{Identity, differences, leaves};
use sharpness_training::optimizers::{
    AdamConfig, BnStats, Cosine, OptimizerConfig, SamConfig, ScheduleConfig, SgdConfig,
};
use sharpness_training::settings::{BoundRtol, Cadence, MeasureConfig, Precision, RunConfig};

/// Changes one value.
type Change = fn(&mut RunConfig);

fn base() -> RunConfig {
    let mut config = RunConfig::new(DatasetName::Digits, Architecture::Mlp);
    config.data.train_examples = Some(100);
    config.measure.examples = 60;
    config.training.micro_batch_size = 50;
    config.training.sam = Some(SamConfig { rho: 0.05, adaptive: false, m: None, bn_stats: BnStats::First });
    config
}

/// If one of these changes, stored runs are no longer found.
const GOLDEN: &[(&str, Change, &str, &str)] = &[
    ("defaults", |_| {}, "t70f8ef892e97a036", "ra1cf5ffffcc3d191"),
    (
        "every setting of training",
        |c| {
            (c.seed, c.precision, c.convolution) = (7, Precision::F64, ConvolutionAlgorithm::Direct);
            (c.data.train_examples, c.data.seed) = (Some(1000), 3);
            (c.data.standardize, c.model.activation) = (Standardization::Channel, Activation::Gelu);
            (c.model.width_divisor, c.training.loss) = (4, Loss::SquaredError);
            (c.training.learning_rate, c.training.batch_size) = (0.025, 500);
            (c.training.micro_batch_size, c.training.max_epochs) = (250, 30);
            c.training.target_accuracy = 0.95;
            let sgd = SgdConfig { momentum: 0.9, nesterov: true, weight_decay: 5e-4 };
            c.training.optimizer = OptimizerConfig::Sgd(sgd);
            c.training.sam =
                Some(SamConfig { rho: 0.1, adaptive: true, m: Some(125), bn_stats: BnStats::Both });
        },
        "tde0f30cb60dabb63",
        "r6f0287b9e699dfb4",
    ),
    (
        "SAM with its defaults",
        |c| c.training.sam = base().training.sam,
        "t966667056749ac3e",
        "r7badc9c2f6a9a94f",
    ),
    (
        "through training",
        |c| c.training.through_training = Some(0.01),
        "t8c14c885840deea3",
        "rc3407a7124e89db4",
    ),
    (
        "every measure",
        |c| {
            (c.measure.examples, c.measure.subset, c.measure.bn) = (1000, Subset::First, BatchNorm::Running);
            (c.measure.chunk, c.measure.top_k, c.measure.rtol) = (Some(100), 3, 1e-4);
            (c.measure.bound_rtol, c.measure.max_products) = (BoundRtol::off(), 200);
            c.measure.asked.extend([
                ("trace".to_owned(), 50.into()),
                ("sam_bound".to_owned(), 0.1.into()),
                ("lambda_min".to_owned(), true.into()),
                ("between_iterates".to_owned(), true.into()),
            ]);
        },
        "t70f8ef892e97a036",
        "r37dc08c2961b9779",
    ),
];

#[test]
fn names_never_change() {
    let mut wrong = Vec::new();
    for (what, change, training, run) in GOLDEN {
        let mut config = RunConfig::new(DatasetName::Cifar10, Architecture::Vgg11Bn);
        change(&mut config);
        let identity = Identity::of(&config).unwrap();
        if (identity.training.as_str(), identity.run.as_str()) != (*training, *run) {
            wrong.push(format!("{what}: {identity:?}"));
        }
    }
    assert!(wrong.is_empty(), "stored runs would no longer be found:\n{}", wrong.join("\n"));
}

/// What a choice changes: nothing, the measurement, or the training and with it the measurement.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Names {
    Neither,
    Run,
    Both,
}

use Names::{Both, Neither, Run};

/// Every choice of a configuration, what it renames, and another value.
const CHANGES: &[(&str, Names, Change)] = &[
    ("none", Neither, |_| {}),
    ("seed", Both, |c| c.seed = 1),
    ("precision", Both, |c| c.precision = Precision::F64),
    ("convolution", Both, |c| c.convolution = ConvolutionAlgorithm::Direct),
    ("data.name", Both, |c| c.data.name = DatasetName::Mnist),
    ("data.standardize", Both, |c| c.data.standardize = Standardization::Channel),
    ("data.train_examples", Both, |c| c.data.train_examples = Some(200)),
    ("data.seed", Both, |c| c.data.seed = 1),
    ("model.arch", Both, |c| c.model.arch = Architecture::Cnn),
    ("model.activation", Both, |c| c.model.activation = Activation::Gelu),
    ("model.hidden", Both, |c| c.model.hidden = vec![256]),
    ("model.dropout", Both, |c| c.model.dropout = 0.1),
    ("model.width_divisor", Both, |c| c.model.width_divisor = 2),
    ("training.loss", Both, |c| c.training.loss = Loss::SquaredError),
    ("training.learning_rate", Both, |c| c.training.learning_rate = 0.1),
    ("training.batch_size", Both, |c| c.training.batch_size = 200),
    ("training.micro_batch_size", Both, |c| c.training.micro_batch_size = 10),
    ("training.optimizer.momentum", Both, |c| sgd(c).momentum = 0.9),
    ("training.optimizer.nesterov", Both, |c| sgd(c).nesterov = true),
    ("training.optimizer.weight_decay", Both, |c| sgd(c).weight_decay = 1e-4),
    ("training.optimizer.name", Both, |c| {
        c.training.optimizer = OptimizerConfig::Adam(AdamConfig::default())
    }),
    ("training.schedule.name", Both, |c| c.training.schedule = ScheduleConfig::Cosine(Cosine::default())),
    ("training.warmup_steps", Both, |c| c.training.warmup_steps = 10),
    ("training.sam", Both, |c| c.training.sam = None),
    ("training.sam.rho", Both, |c| sam(c).rho = 0.1),
    ("training.sam.adaptive", Both, |c| sam(c).adaptive = true),
    ("training.sam.m", Both, |c| sam(c).m = Some(50)),
    ("training.sam.bn_stats", Both, |c| sam(c).bn_stats = BnStats::Both),
    ("training.target_accuracy", Both, |c| c.training.target_accuracy = 1.0),
    ("training.max_epochs", Both, |c| c.training.max_epochs = 10),
    ("training.through_training", Both, |c| c.training.through_training = Some(0.01)),
    ("training.through_every", Both, |c| c.training.through_every = Some(Cadence::Steps(5))),
    ("training.through_measures", Both, |c| c.training.through_measures = vec!["trace".to_owned()]),
    ("measure.examples", Run, |c| c.measure.examples = 50),
    ("measure.subset", Run, |c| c.measure.subset = Subset::First),
    ("measure.bn", Run, |c| c.measure.bn = BatchNorm::Running),
    ("measure.chunk", Run, |c| c.measure.chunk = Some(100)),
    ("measure.top_k", Run, |c| c.measure.top_k = 2),
    ("measure.lambda_min", Run, |c| ask(c, "lambda_min", true)),
    ("measure.between_iterates", Run, |c| ask(c, "between_iterates", true)),
    ("measure.trace", Run, |c| ask(c, "trace", 100)),
    ("measure.frobenius", Run, |c| ask(c, "frobenius", 100)),
    ("measure.effective_rank", Run, |c| ask(c, "effective_rank", 100)),
    ("measure.diagonal", Run, |c| ask(c, "diagonal", 100)),
    ("measure.per_layer", Run, |c| ask(c, "per_layer", "*")),
    ("measure.density", Run, |c| ask(c, "density", 5)),
    ("measure.gradient_overlap", Run, |c| ask(c, "gradient_overlap", true)),
    ("measure.gauss_newton", Run, |c| ask(c, "gauss_newton", 100)),
    ("measure.empirical_fisher", Run, |c| ask(c, "empirical_fisher", 100)),
    ("measure.monte_carlo_fisher", Run, |c| ask(c, "monte_carlo_fisher", 100)),
    ("measure.adaptive_hessian", Run, |c| ask(c, "adaptive_hessian", 100)),
    ("measure.adam_sharpness", Run, |c| ask(c, "adam_sharpness", true)),
    ("measure.batch_sharpness", Run, |c| ask(c, "batch_sharpness", 50)),
    ("measure.relative_flatness", Run, |c| ask(c, "relative_flatness", "*")),
    ("measure.fisher_rao", Run, |c| ask(c, "fisher_rao", true)),
    ("measure.sam_bound", Run, |c| ask(c, "sam_bound", 0.05)),
    ("measure.foret", Run, |c| ask(c, "foret", 0.05)),
    ("measure.m_sharpness", Run, |c| ask(c, "m_sharpness", 128)),
    ("measure.first_order_flatness", Run, |c| ask(c, "first_order_flatness", 0.05)),
    ("measure.adaptive_worst", Run, |c| ask(c, "adaptive_worst", 20)),
    ("measure.adaptive_average", Run, |c| ask(c, "adaptive_average", 20)),
    ("measure.pac_bayes", Run, |c| ask(c, "pac_bayes", 10)),
    ("measure.local_volume", Run, |c| ask(c, "local_volume", 20)),
    ("measure.critical_step_size", Run, |c| ask(c, "critical_step_size", 0.01)),
    ("measure.rtol", Run, |c| c.measure.rtol = 1e-4),
    ("measure.bound_rtol", Run, |c| c.measure.bound_rtol = BoundRtol(Some(0.01))),
    ("measure.max_products", Run, |c| c.measure.max_products = 100),
];

#[test]
fn every_choice_of_training_changes_both_names_and_one_of_measuring_that_of_the_run() {
    let (mut trainings, mut runs) = (BTreeMap::new(), BTreeMap::new());
    let plain = Identity::of(&base()).unwrap();
    for (key, names, change) in CHANGES {
        let mut config = base();
        change(&mut config);
        let Identity { training, run } = Identity::of(&config).unwrap();
        assert_eq!(training != plain.training, *names == Both, "{key}: the name of the training");
        if let Some(other) = runs.insert(run, key) {
            panic!("runs with {key} and {other} have the same name");
        }
        if *names == Both
            && let Some(other) = trainings.insert(training, key)
        {
            panic!("trainings with {key} and {other} have the same name");
        }
        let differences = differences(&base(), &config).unwrap();
        // Another kind has other settings.
        let changed = key.strip_suffix(".name").unwrap_or(key);
        assert!(
            *key == "none" || (!differences.is_empty() && differences.iter().all(|d| d.starts_with(changed))),
            "{key}: {differences:?}"
        );
    }
    let is_changed = |key: &&String| CHANGES.iter().any(|(changed, _, _)| changed == key);
    let leaves = leaves(&base()).unwrap();
    let forgotten: Vec<&String> = leaves.keys().filter(|key| !is_changed(key)).collect();
    assert!(forgotten.is_empty(), "choices of the configuration without a line in this test: {forgotten:?}");
}

#[test]
fn what_is_measured_through_training_is_part_of_the_training() {
    let tracked = |change: Change| {
        let mut config = base();
        config.training.through_training = Some(0.01);
        change(&mut config);
        Identity::of(&config).unwrap()
    };
    let plain = tracked(|_| {});
    let fewer = tracked(|c| c.measure.examples = 50);
    assert_ne!(plain.training, fewer.training, "λ_max is measured on these examples");
    let traced = tracked(|c| ask(c, "trace", 100));
    assert_eq!(plain.training, traced.training, "the trace is measured at the end alone");
    assert_ne!(plain.run, traced.run, "there it is another measurement");
}

#[test]
fn spellings_and_settings_without_effect_change_no_name() {
    let name = |change: Change| {
        let mut config = base();
        change(&mut config);
        Identity::of(&config).unwrap()
    };
    let table = |c: &mut RunConfig| {
        let probes = toml::Table::from_iter([("probes".to_owned(), 100.into())]);
        c.measure.asked.insert("trace".to_owned(), probes.into());
    };
    assert_eq!(name(table), name(|c| ask(c, "trace", 100)), "a table and its main setting");
    assert_eq!(name(|c| ask(c, "trace", true)), name(|c| ask(c, "trace", 100)), "the default and its value");
    assert_eq!(name(|c| c.measure.examples = 5000), name(|c| c.measure.examples = 100), "all there are");
    assert_eq!(
        name(|c| c.training.micro_batch_size = 500),
        name(|c| c.training.micro_batch_size = 100),
        "a micro-batch is within its batch"
    );
    let all = |seed| {
        let mut config = base();
        (config.data.train_examples, config.data.seed) = (None, seed);
        Identity::of(&config).unwrap()
    };
    assert_eq!(all(0), all(1), "no subset is drawn");
}

fn sam(config: &mut RunConfig) -> &mut SamConfig {
    config.training.sam.as_mut().unwrap()
}

fn sgd(config: &mut RunConfig) -> &mut SgdConfig {
    let OptimizerConfig::Sgd(sgd) = &mut config.training.optimizer else { panic!("the optimizer is SGD") };
    sgd
}

fn ask(config: &mut RunConfig, measure: &str, value: impl Into<toml::Value>) {
    config.measure.asked.insert(measure.to_owned(), value.into());
}

#[test]
fn a_configuration_survives_toml() {
    let mut config = base();
    config.measure = MeasureConfig { rtol: 0.1 + 0.2, ..MeasureConfig::default() };
    config.training.learning_rate = 1.0;
    let text = toml::to_string(&config).unwrap();
    assert_eq!(toml::from_str::<RunConfig>(&text).unwrap(), config, "{text}");
}
