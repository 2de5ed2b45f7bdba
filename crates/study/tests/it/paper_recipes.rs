//! The recipes of the paper's figures against its published points and its protocol.

use std::collections::BTreeSet;

use sharpness_network::backend::Activation;
use sharpness_runs::{PaperFigure, Scale};
use sharpness_study::claims::{Bars, Cell, published_cells};
use sharpness_training::optimizers::BnStats;
use sharpness_training::settings::RunConfig;

/// Figure 9's points belong to batches of a size that the paper does not state.
const UNSTATED: &str = "unstated";
/// With batch norm, λ_max is searched between iterates at learning rates below this: recipes/README.md.
const LARGE_RATE: f64 = 0.05;
/// The points of Figures 5 and 9 as the published data name them.
const PUBLISHED: &str = include_str!("../../src/claims/published.csv");

/// A setting in words.
fn setting(network: &str, rate: f64, batch: &str, rho: f64, dropout: f64) -> String {
    format!("{network}, η = {rate}, batch {batch}, ρ = {rho}, p = {dropout}")
}

/// The settings of a figure's recipe.
fn planned(number: u8) -> BTreeSet<String> {
    let plan = PaperFigure::new(number, Scale::Paper).unwrap().plan().unwrap();
    let of = |config: &RunConfig| {
        let activation = if config.model.activation == Activation::Gelu { "-gelu" } else { "" };
        let network = format!("{}{activation}", config.model.arch.name());
        let batch = if number == 9 { UNSTATED.to_owned() } else { config.training.batch_size.to_string() };
        let rho = config.training.sam.as_ref().map_or(0.0, |sam| sam.rho);
        setting(&network, config.training.learning_rate, &batch, rho, config.model.dropout)
    };
    plan.runs.iter().map(|run| of(&run.config)).collect()
}

/// The settings of a figure's published points.
fn published(number: u8) -> BTreeSet<String> {
    let figures: &[&str] = match number {
        // It shows the points of Figure 1 as a scatter plot.
        2 => &["1"],
        13 => &["13a", "13b"],
        14 => &["14a", "14b"],
        5 => return published_curves(),
        _ => &[&number.to_string()],
    };
    let cells = published_cells(figures, Bars::Deviations).unwrap();
    let of = |cell: &Cell| {
        let number = |key: &str| cell.settings.number(key);
        let batch =
            number("training.batch_size").map_or_else(|| UNSTATED.to_owned(), |batch| batch.to_string());
        let activation = if cell.settings.text("model.activation") == "gelu" { "-gelu" } else { "" };
        let network = format!("{}{activation}", cell.settings.text("model.arch"));
        let [rate, rho, dropout] =
            ["training.learning_rate", "training.sam.rho", "model.dropout"].map(|key| number(key).unwrap());
        setting(&network, rate, &batch, rho, dropout)
    };
    cells.iter().map(of).collect()
}

/// The settings of Figure 5, in lines such as `5,lambda_max,vgg11,sgd,alpha=20000;lr=0.005;x=iteration,bs=100,…`.
fn published_curves() -> BTreeSet<String> {
    let lines = PUBLISHED.lines().filter(|line| line.starts_with("5,"));
    let settings = lines.map(|line| {
        let cells: Vec<&str> = line.split(',').collect();
        let rate = cells[4].split(';').find_map(|part| part.strip_prefix("lr=")).unwrap();
        let batch = cells[5].strip_prefix("bs=").unwrap();
        setting(cells[2], rate.parse().unwrap(), batch, 0.0, 0.0)
    });
    settings.collect()
}

#[test]
fn each_published_point_has_its_setting_and_no_setting_lacks_a_point() {
    let mut wrong = Vec::new();
    for number in 1..=15 {
        let (planned, published) = (planned(number), published(number));
        let lacks = published.difference(&planned).map(|point| format!("figure {number} lacks {point}"));
        wrong.extend(lacks);
        let extra =
            planned.difference(&published).map(|run| format!("figure {number} has no point for {run}"));
        wrong.extend(extra);
    }
    assert!(wrong.is_empty(), "recipes/paper/ differs from the published figures:\n{}", wrong.join("\n"));
}

#[test]
fn one_rule_says_where_lambda_max_is_searched_between_iterates() {
    let mut wrong = Vec::new();
    for figure in Scale::ALL.into_iter().flat_map(PaperFigure::all) {
        for run in figure.plan().unwrap().runs {
            let config = &run.config;
            let searched = config.measure.asked.contains_key("between_iterates");
            let rate = config.training.learning_rate;
            if searched != (config.model.arch.has_batch_norm() && rate < LARGE_RATE) {
                wrong.push(format!("{}, {}: η = {rate}, {searched}", figure.file().display(), run.block));
            }
        }
    }
    assert!(wrong.is_empty(), "searched only with batch norm below η = {LARGE_RATE}:\n{}", wrong.join("\n"));
}

#[test]
fn sam_moves_the_statistics_of_batch_norm_in_both_passes() {
    for scale in Scale::ALL {
        let runs = PaperFigure::new(14, scale).unwrap().plan().unwrap().runs;
        let sam = runs.iter().filter_map(|run| run.config.training.sam.as_ref());
        let stats: Vec<BnStats> = sam.map(|sam| sam.bn_stats).collect();
        assert!(!stats.is_empty(), "figure 14 has runs with SAM at {} scale", scale.name());
        assert!(stats.iter().all(|stats| *stats == BnStats::Both), "{} scale: {stats:?}", scale.name());
    }
}

#[test]
fn figure_9_has_large_batches() {
    let batch = |number, scale| {
        let runs = PaperFigure::new(number, scale).unwrap().plan().unwrap().runs;
        let sizes: BTreeSet<usize> = runs.iter().map(|run| run.config.training.batch_size).collect();
        assert_eq!(sizes.len(), 1, "figure {number} has one batch size at {} scale", scale.name());
        sizes.into_iter().next().unwrap()
    };
    assert_eq!(batch(9, Scale::Paper), 5000, "the size that λ_max points to");
    for scale in Scale::ALL {
        assert!(batch(9, scale) >= 2 * batch(8, scale), "larger than figure 8's at {} scale", scale.name());
    }
}
