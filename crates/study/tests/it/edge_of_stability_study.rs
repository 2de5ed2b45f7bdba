//! The edge of stability in everything that is concluded from runs.

use std::path::Path;

use sharpness_data::{Dataset, DatasetName, Locations, Standardization, Standardized};
use sharpness_network::architectures::Architecture;
use sharpness_runs::{Plan, Report, RunOptions, RunStore, complete_run};
use sharpness_study::claims::{Cell, Run};
use sharpness_study::figures::Figure;
use sharpness_training::optimizers::{EdgeOfStability, OptimizerConfig, SgdConfig};
use sharpness_training::settings::{RunConfig, TrainingConfig};

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

/// A run that ends after one epoch.
fn report(settings: Settings) -> Report {
    let mut config = RunConfig::new(DatasetName::Digits, Architecture::Mlp);
    config.model.hidden = vec![4];
    config.training = TrainingConfig { target_accuracy: 1e-3, ..training(settings) };
    config.measure.examples = 20;
    let digits = Dataset::load(DatasetName::Digits, &Locations::default()).unwrap();
    let digits = Standardized::new(digits, Standardization::Pixel);
    complete_run(&config, &digits, &RunOptions::default(), true, &mut ()).unwrap().report().unwrap()
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
