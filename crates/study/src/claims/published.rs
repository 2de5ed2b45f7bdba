//! The paper's own numbers, read off its figures (Kaur, Cohen, Lipton 2022; the axes and bars of its vector drawings, to about 0.1 %).

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Serialize;
use sharpness_network::architectures::Architecture;
use sharpness_network::backend::Activation;

use super::cell::{Cell, Observation};
use super::cells::quarters;
use super::settings::Settings;
use super::summary::Summary;
use crate::{Error, Result};
use sharpness_data::DatasetName;
use sharpness_training::settings::RunConfig;

/// Every point of every figure. Columns: figure, metric, architecture, optimizer, fixed settings, series, x, y, half the error bar,
/// and the number of runs.
const FIGURES: &str = include_str!("published.csv");
/// Training examples of CIFAR-10 and Fashion-MNIST.
const CIFAR10: f64 = 50_000.0;
const FASHION_MNIST: f64 = 60_000.0;
/// Test examples of both.
const TEST: f64 = 10_000.0;

/// The figure with curves, and the ratio of batch size to learning rate of all its runs.
const CURVES: &str = "5";
const RATIO_OF_CURVES: f64 = 20_000.0;
const CURVE_BATCHES: [f64; 3] = [100.0, 200.0, 500.0];
const BATCH_SIZE: &str = "training.batch_size";
/// Below this λ_max of networks with batch norm is that between iterates ("Between iterates" in `recipes/README.md`).
const SMALL_RATE: f64 = 0.05;

/// A line of [`FIGURES`].
type Line = (String, String, String, String, String, String, f64, f64, Option<f64>, Option<usize>);

/// Every line of [`FIGURES`], or what is wrong with it. It is read once: each finding asks for it several times.
static LINES: LazyLock<std::result::Result<Vec<Line>, String>> = LazyLock::new(|| {
    let lines = csv::Reader::from_reader(FIGURES.as_bytes()).into_deserialize();
    lines.collect::<csv::Result<_>>().map_err(|error| error.to_string())
});

fn lines() -> Result<&'static [Line]> {
    LINES.as_deref().map_err(|problem| damaged(problem.clone()))
}

fn damaged(problem: String) -> Error {
    Error::Config { key: "the published figures".to_owned(), problem }
}

/// The meaning of the bars in the paper's figures, which it does not state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Bars {
    /// Standard deviations over runs.
    #[default]
    Deviations,
    /// Standard errors of the means.
    StandardErrors,
}

/// The cells of some figures, as `["1"]` or `["13a", "13b"]`. The curves of Figure 5 are the runs of settings of their own.
///
/// # Errors
/// [`Error::Config`] if the table is damaged.
pub fn published_cells(figures: &[&str], bars: Bars) -> Result<Vec<Cell>> {
    let mut cells: Vec<Cell> = Vec::new();
    for line in lines()? {
        if !figures.contains(&line.0.as_str()) || line.4.contains("x=iteration") {
            continue;
        }
        let cell = empty(line)?.ok_or_else(|| damaged(format!("have no setting in {line:?}")))?;
        let at = cells.iter().position(|other| other.settings == cell.settings).unwrap_or_else(|| {
            cells.push(cell);
            cells.len() - 1
        });
        add(&mut cells[at], line, bars);
    }
    if figures.contains(&CURVES) {
        for batch_size in CURVE_BATCHES {
            let settings = settings("vgg11", batch_size / RATIO_OF_CURVES, batch_size)?;
            let runs =
                published_curves(CURVES, batch_size)?.iter().map(|curve| tracked(curve)).collect::<Vec<_>>();
            match cells.iter_mut().find(|cell| cell.settings == settings) {
                Some(cell) => cell.runs.extend(runs),
                None => cells.push(Cell { runs, ..Cell::new(settings, CIFAR10, TEST) }),
            }
        }
    }
    Ok(cells)
}

/// The curves of λ_max through training of a figure at a batch size, one for each run: steps and values.
///
/// # Errors
/// As [`published_cells`].
pub fn published_curves(figure: &str, batch_size: f64) -> Result<Vec<Vec<(f64, f64)>>> {
    let mut curves: Vec<Vec<(f64, f64)>> = Vec::new();
    for line in lines()? {
        let of_batch = line.5 == format!("bs={batch_size}") && line.4.contains("x=iteration");
        if line.0 != figure || !of_batch {
            continue;
        }
        // The runs are consecutive, so a run starts where the steps restart.
        match curves.last_mut().filter(|curve| curve.last().is_none_or(|last| last.0 < line.6)) {
            Some(curve) => curve.push((line.6, line.7)),
            None => curves.push(vec![(line.6, line.7)]),
        }
    }
    Ok(curves)
}

/// A run with a known curve only: the paper does not say which of its other runs it is.
fn tracked(curve: &[(f64, f64)]) -> Observation {
    Observation {
        seed: None,
        test_accuracy: f64::NAN,
        lambda_max: None,
        quarters: quarters(curve),
        numbers: BTreeMap::new(),
    }
}

/// The settings of a network trained with plain SGD by the paper's protocol.
fn settings(network: &str, learning_rate: f64, batch_size: f64) -> Result<Settings> {
    let (arch, activation) = match network {
        "vgg11" => (Architecture::Vgg11, Activation::Relu),
        "vgg11-gelu" => (Architecture::Vgg11, Activation::Gelu),
        "vgg11-bn" => (Architecture::Vgg11Bn, Activation::Relu),
        "fixup-resnet32" => (Architecture::FixupResnet32, Activation::Relu),
        _ => (Architecture::Mlp, Activation::Relu),
    };
    let data = if arch == Architecture::Mlp { DatasetName::FashionMnist } else { DatasetName::Cifar10 };
    let mut config = RunConfig::new(data, arch);
    config.model.activation = activation;
    config.training.learning_rate = learning_rate;
    let mut settings = Settings::new(&config)?;
    // The paper measures batch-norm networks between iterates where η is small; our recipes' rule says which are.
    let between = arch.has_batch_norm() && learning_rate < SMALL_RATE;
    settings.set("measure.between_iterates", between);
    match batch_size.is_finite() {
        true => settings.set(BATCH_SIZE, batch_size),
        false => settings.remove(BATCH_SIZE),
    }
    Ok(settings)
}

/// The setting of a line.
fn empty((_, metric, architecture, _, fixed, series, x, ..): &Line) -> Result<Option<Cell>> {
    let parts = fixed.split(';').chain(series.split(';')).filter_map(|part| part.split_once('='));
    let parts: Vec<(&str, &str)> = parts.collect();
    let of = |key: &str| parts.iter().find(|(name, _)| *name == key).map(|(_, value)| *value);
    let axis = of("x").filter(|_| !metric.starts_with("scatter")).unwrap_or("");
    let number = |key: &str, axes: &[&str]| {
        if axes.contains(&axis) { Some(*x) } else { of(key).and_then(|value| value.parse().ok()) }
    };
    let Some(learning_rate) = number("lr", &["lr"]) else { return Ok(None) };
    // The scatter plots name the ratio of batch size to learning rate.
    let batch_size = number("bs", &[]).or_else(|| Some((number("alpha", &[])? * learning_rate).round()));
    let network = architecture.replace('_', "-");
    let mut settings = settings(&network, learning_rate, batch_size.unwrap_or(f64::INFINITY))?;
    settings.set("training.sam.rho", number("rho", &["rho"]).unwrap_or(0.0));
    settings.set("model.dropout", number("p", &["dropout_p"]).unwrap_or(0.0));
    let train_examples = if network.starts_with("mlp") { FASHION_MNIST } else { CIFAR10 };
    Ok(Some(Cell::new(settings, train_examples, TEST)))
}

/// Adds the content of a line: a mean, or a run of a scatter plot.
fn add(cell: &mut Cell, (_, metric, .., x, y, bar, runs): &Line, bars: Bars) {
    let deviation = bar.filter(|bar| *bar > 0.0).map(|bar| match bars {
        Bars::Deviations => bar,
        Bars::StandardErrors => bar * (runs.unwrap_or(1) as f64).sqrt(),
    });
    let summary = Summary { mean: *y, deviation, runs: *runs };
    // Some settings are in several figures, and not always with a bar.
    let replace = |known: &mut Option<Summary>| {
        if known.is_none_or(|known| known.deviation.is_none()) {
            *known = Some(summary);
        }
    };
    match metric.as_str() {
        "test_acc" => replace(&mut cell.published.test_accuracy),
        "lambda_max" => replace(&mut cell.published.lambda_max),
        _ => cell.runs.push(Observation {
            seed: None,
            test_accuracy: *y,
            lambda_max: Some(*x),
            quarters: None,
            numbers: BTreeMap::new(),
        }),
    }
}
