//! The edge of stability against the optimizers themselves, and everywhere it is used.

use std::path::Path;

use sharpness_experiments::claims::{Cell, Run};
use sharpness_experiments::config::{BnStats, RunConfig, SamConfig, TrainingConfig};
use sharpness_experiments::data::DatasetName;
use sharpness_experiments::figures::Figure;
use sharpness_experiments::optimizers::{EdgeOfStability, Examples, Images, Optimizer};
use sharpness_experiments::store::RunStore;
use sharpness_experiments::sweep::Plan;
use sharpness_experiments::{Report, RunOptions, complete_run};
use sharpness_network::backend::{Loss, Shape};
use sharpness_network::architectures::Architecture;
use sharpness_network::op::Pass;
use sharpness_network::ops::{Flatten, Linear};
use sharpness_network::{Cpu, Graph, Network, Weights};

use crate::training_runs::digits;

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
    TrainingConfig { momentum, nesterov, weight_decay, ..base }
}

fn edge(settings: Settings) -> EdgeOfStability {
    EdgeOfStability::of(&training(settings)).unwrap()
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
    let mut graph = Graph::new(Shape::new(1, 1, 1));
    let flat = graph.push("flatten", Flatten, &[graph.input()]).unwrap();
    graph.push("linear", Linear::torch_default(1, 1), &[flat]).unwrap();
    let network = Network::new(Cpu::<f64>::default(), graph, Loss::SquaredError);
    let mut optimizer = Optimizer::new(&network, config, &Weights::initial(&network, 1), None);
    let mut length = f64::INFINITY;
    for _ in 0..2000 {
        let before = optimizer.weights().parameters;
        optimizer.step(&One, &[0], &Pass::EVALUATION);
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
    assert_eq!(EdgeOfStability::of(&sam), None, "the edge of SAM is another one");
}

/// A run that ends after one epoch.
fn report(settings: Settings) -> Report {
    let mut config = RunConfig::new(DatasetName::Digits, Architecture::Mlp);
    config.model.hidden = vec![4];
    config.training = TrainingConfig { target_accuracy: 1e-3, ..training(settings) };
    config.measure.examples = 20;
    complete_run(&config, digits(), &RunOptions::default(), true, &mut ()).unwrap().report().unwrap()
}

#[test]
fn runs_with_and_without_momentum_are_not_one_setting() {
    let settings = [SETTINGS[0], SETTINGS[2], SETTINGS[4], SETTINGS[7]];
    let cells = Cell::of_runs(&Run::of_reports(&settings.map(report)).unwrap(), false).kept;
    assert_eq!(cells.len(), 4, "{cells:#?}");
    for settings in settings {
        let expected = edge(settings).at(training(settings).learning_rate);
        let is_it = |cell: &&Cell| cell.edge().is_some_and(|edge| (edge - expected).abs() < 1e-12 * expected);
        assert_eq!(cells.iter().filter(is_it).count(), 1, "{settings:?}: the edge at {expected}");
    }
}

#[test]
fn a_figure_draws_one_edge_for_each_optimizer_and_names_it() {
    let figure = |kind: &str, more: &str| {
        let recipe = format!(
            "[figure]\nkind = \"{kind}\"\nedge_of_stability = true\n\
             [fixed]\narch = \"mlp\"\ndata.name = \"digits\"\n{more}\n\
             [[block]]\nname = \"small\"\ngrid = {{ learning_rate = [0.01, 0.1] }}\n\
             published = {{ figure = \"1\", batch_size = 5000 }}\n"
        );
        let plan = Plan::parse(Path::new("recipe.toml"), &recipe).unwrap();
        Figure::new(&plan, &RunStore::new("nowhere")).unwrap()
    };
    let plain = figure("lines", "");
    assert_eq!(plain.edges, [edge(SETTINGS[0])], "plain SGD");
    let momentum = figure("lines", "momentum = 0.9");
    assert_eq!(momentum.edges, [edge(SETTINGS[2])], "momentum");
    let caption = momentum.caption();
    assert!(caption.contains("the edge of stability, (2 + 2β)/η with β = 0.9"), "{caption}");
    let (plain, momentum) = (plain.svg(), momentum.svg());
    assert!(plain.contains("2/η") && momentum.contains("(2 + 2β)/η with β = 0.9"), "legends");
    let dashes = |svg: &str| svg.matches("<polyline").count() + svg.matches("<line").count();
    let none = figure("scatter", "momentum = 0.9");
    assert!(
        none.edges.is_empty() && !none.caption().contains("edge"),
        "a scatter plot has no learning rates"
    );
    let sam = figure("lines", "rho = 0.1");
    assert!(sam.edges.is_empty() && !sam.caption().contains("edge"), "SAM has another edge");
    assert!(dashes(&sam.svg()) < dashes(&plain), "nor is it drawn");
    let curves = figure("curves", "nesterov = true\nmomentum = 0.9");
    assert_eq!(curves.edges, [edge(SETTINGS[4])], "curves have that of their runs");

    let both = "[figure]\nkind = \"lines\"\nedge_of_stability = true\n\
                [fixed]\narch = \"mlp\"\ndata.name = \"digits\"\n[grid]\nlearning_rate = [0.01, 0.1]\n\
                [[block]]\nname = \"plain\"\n[[block]]\nname = \"momentum\"\nfixed = { momentum = 0.9 }\n";
    let both = Plan::parse(Path::new("recipe.toml"), both).unwrap();
    let both = Figure::new(&both, &RunStore::new("nowhere")).unwrap();
    assert_eq!(both.edges, [edge(SETTINGS[0]), edge(SETTINGS[2])], "one for each");
    assert!(both.caption().contains("2/η; (2 + 2β)/η with β = 0.9"), "{}", both.caption());
}
