//! The edge of stability against the optimizers themselves.

use sharpness_data::DatasetName;
use sharpness_kernels::Cpu;
use sharpness_network::architectures::Architecture;
use sharpness_network::backend::{Loss, Shape};
use sharpness_network::op::Pass;
use sharpness_network::ops::{Flatten, Linear};
use sharpness_network::{Examples, Images, Model, Network, Weights};
use sharpness_training::optimizers::{BnStats, EdgeOfStability, OptimizerConfig, SamConfig, SgdConfig};
use sharpness_training::settings::{RunConfig, TrainingConfig};
use sharpness_training::{Moment, Optimizer};

/// The settings that move the edge: momentum, whether it is Nesterov's, weight decay.
type Settings = (f64, bool, f64);
const SETTINGS: [Settings; 8] = [
    (0.0, false, 0.0),
    (0.5, false, 0.0),
    (0.9, false, 0.0),
    (0.5, true, 0.0),
    (0.9, true, 0.0),
    (0.0, false, 0.3),
    (0.9, false, 0.3),
    (0.9, true, 0.3),
];

fn training((momentum, nesterov, weight_decay): Settings) -> TrainingConfig {
    let base = RunConfig::new(DatasetName::Digits, Architecture::Mlp).training;
    let optimizer = OptimizerConfig::Sgd(SgdConfig { momentum, nesterov, weight_decay });
    TrainingConfig { optimizer, ..base }
}

fn edge(settings: Settings) -> EdgeOfStability {
    training(settings).edge_of_stability().unwrap()
}

/// One example with one pixel, 2.
#[derive(Debug)]
struct One;

impl Examples for One {
    fn images(&self) -> Images<'_> {
        Images::Numbers(&[2.0])
    }

    fn label(&self, _: u32) -> u32 {
        0
    }
}

/// The curvature of `(2 w + b - 1)² / 2` in the one direction in which it is curved.
const CURVATURE: f64 = 5.0;

/// The length of the last of many steps on that loss, from PyTorch's default weights.
fn last_step(config: &TrainingConfig) -> f64 {
    let mut model = Model::default();
    let image = model.input("image", Shape::new(1, 1, 1));
    let flat = model.push("flatten", Flatten, &[image]).unwrap();
    let output = model.push("linear", Linear::torch_default(1, 1), &[flat]).unwrap();
    model.output(output);
    let network = Network::compile(&model, Cpu::<f64>::default(), Loss::SquaredError);
    let mut optimizer = Optimizer::new(&network, config, &Weights::initial(&network, 1), &[]);
    let mut length = f64::INFINITY;
    for step in 0..2000 {
        let before = optimizer.weights().parameters;
        let moment = Moment { step, learning_rate: config.learning_rate, pass: Pass::EVALUATION };
        optimizer.step(&One, &[0], &moment);
        let after = optimizer.weights().parameters;
        length = after.iter().zip(&before).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        if length.is_nan() || length > 1e6 {
            return f64::INFINITY;
        }
    }
    length
}

#[test]
fn descent_on_a_quadratic_converges_below_the_edge_and_diverges_above() {
    for settings in SETTINGS {
        let critical = edge(settings).learning_rate(CURVATURE);
        let relative = edge(settings).at(critical) / CURVATURE;
        assert!((relative - 1.0).abs() < 1e-14, "{settings:?}: one is the inverse of the other");
        let at = |factor: f64| {
            last_step(&TrainingConfig {
                learning_rate: factor * critical,
                batch_size: 1,
                ..training(settings)
            })
        };
        let (below, above) = (at(0.99), at(1.01));
        assert!(below < 1e-6, "{settings:?}: 1 % below the edge, the last step is {below:e}");
        assert!(above > 1e6, "{settings:?}: 1 % above the edge, the last step is {above:e}");
    }
}

#[test]
fn the_edge_is_written_with_its_numbers() {
    let formulas = SETTINGS.map(|settings| edge(settings).formula());
    let expected = [
        "2/η",
        "(2 + 2β)/η with β = 0.5",
        "(2 + 2β)/η with β = 0.9",
        "(2 + 2β)/(η (1 + 2β)) with β = 0.5",
        "(2 + 2β)/(η (1 + 2β)) with β = 0.9",
        "2/η - 0.3",
        "(2 + 2β)/η - 0.3 with β = 0.9",
        "(2 + 2β)/(η (1 + 2β)) - 0.3 with β = 0.9",
    ];
    assert_eq!(formulas, expected);
    let mut sam = training((0.0, false, 0.0));
    sam.sam = Some(SamConfig { rho: 0.1, adaptive: false, m: None, bn_stats: BnStats::First });
    assert_eq!(sam.edge_of_stability(), None, "the edge of SAM is another one");
}
