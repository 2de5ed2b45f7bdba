//! The paper's own numbers, read off its figures (Kaur, Cohen, Lipton 2022; the axes and bars of its vector drawings, to about 0.1 %).

use super::cells::late_mean;
use super::{Cell, Samples};
use crate::optimizers::EdgeOfStability;
use crate::{Error, Result};

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

/// A line of [`FIGURES`].
type Line = (String, String, String, String, String, String, f64, f64, Option<f64>, Option<usize>);

/// The cells of some figures, as `["1"]` or `["13a", "13b"]`. The curves of Figure 5 make no cells of their own, but are of the settings of
/// Figure 4, whose cells take them if both are asked for.
///
/// # Errors
/// [`Error::Config`] if the table is damaged.
pub fn published_cells(figures: &[&str]) -> Result<Vec<Cell>> {
    let damaged = |problem: String| Error::Config { key: "the published figures".to_owned(), problem };
    let mut cells: Vec<Cell> = Vec::new();
    for line in csv::Reader::from_reader(FIGURES.as_bytes()).deserialize::<Line>() {
        let line = line.map_err(|error| damaged(error.to_string()))?;
        if !figures.contains(&line.0.as_str()) || line.4.contains("x=iteration") {
            continue;
        }
        let cell = empty(&line).ok_or_else(|| damaged(format!("have no setting in {line:?}")))?;
        let at = cells.iter().position(|other| same_setting(other, &cell)).unwrap_or_else(|| {
            cells.push(cell);
            cells.len() - 1
        });
        add(&mut cells[at], &line);
    }
    if figures.contains(&CURVES) {
        for cell in &mut cells {
            let curves = published_curves(CURVES, cell.batch_size)?;
            let is_of_curves = (cell.batch_size / cell.learning_rate - RATIO_OF_CURVES).abs() < 1.0;
            let means = curves.iter().filter(|_| is_of_curves).filter_map(|curve| late_mean(curve));
            means.for_each(|mean| cell.lambda_max_in_training.push(mean));
        }
    }
    Ok(cells)
}

/// The curves of λ_max through training of a figure at a batch size, one for each run: steps and values.
///
/// # Errors
/// As [`published_cells`].
pub fn published_curves(figure: &str, batch_size: f64) -> Result<Vec<Vec<(f64, f64)>>> {
    let damaged = |problem: String| Error::Config { key: "the published figures".to_owned(), problem };
    let mut curves: Vec<Vec<(f64, f64)>> = Vec::new();
    for line in csv::Reader::from_reader(FIGURES.as_bytes()).deserialize::<Line>() {
        let line = line.map_err(|error| damaged(error.to_string()))?;
        let of_batch = line.5 == format!("bs={batch_size}") && line.4.contains("x=iteration");
        if line.0 != figure || !of_batch {
            continue;
        }
        // The runs follow each other, so that a run begins where the steps do again.
        match curves.last_mut().filter(|curve| curve.last().is_none_or(|last| last.0 < line.6)) {
            Some(curve) => curve.push((line.6, line.7)),
            None => curves.push(vec![(line.6, line.7)]),
        }
    }
    Ok(curves)
}

/// The setting of a line.
fn empty((_, metric, architecture, _, fixed, series, x, ..): &Line) -> Option<Cell> {
    let settings = fixed.split(';').chain(series.split(';')).filter_map(|part| part.split_once('='));
    let settings: Vec<(&str, &str)> = settings.collect();
    let of = |key: &str| settings.iter().find(|(name, _)| *name == key).map(|(_, value)| *value);
    let axis = of("x").filter(|_| !metric.starts_with("scatter")).unwrap_or("");
    let number = |key: &str, axes: &[&str]| {
        if axes.contains(&axis) { Some(*x) } else { of(key).and_then(|value| value.parse().ok()) }
    };
    let mlp = architecture.starts_with("mlp");
    let rho = number("rho", &["rho"]).unwrap_or(0.0);
    Some(Cell {
        network: if mlp { "mlp".to_owned() } else { architecture.replace('_', "-") },
        data: if mlp { "fashion-mnist".to_owned() } else { "cifar10".to_owned() },
        learning_rate: number("lr", &["lr"])?,
        // The paper trains without momentum and weight decay.
        edge: (rho <= 0.0).then(EdgeOfStability::default),
        batch_size: number("bs", &[]).unwrap_or(f64::INFINITY),
        train_examples: if mlp { FASHION_MNIST } else { CIFAR10 },
        test_examples: TEST,
        rho,
        dropout: number("p", &["dropout_p"]).unwrap_or(0.0),
        test_accuracy: Samples::Runs(Vec::new()),
        lambda_max: Samples::Runs(Vec::new()),
        lambda_max_in_training: Samples::Runs(Vec::new()),
    })
}

fn same_setting(a: &Cell, b: &Cell) -> bool {
    let numbers =
        |cell: &Cell| [cell.learning_rate, cell.batch_size, cell.rho, cell.dropout].map(f64::to_bits);
    a.network == b.network && numbers(a) == numbers(b)
}

/// Adds what a line says: a mean, or a run of a scatter plot.
fn add(cell: &mut Cell, (_, metric, .., x, y, bar, runs): &Line) {
    let summary =
        Samples::Summary { mean: *y, deviation: bar.filter(|bar| *bar > 0.0), runs: runs.unwrap_or(1) };
    // Some settings are in several figures, not everywhere with a bar.
    let replace = |samples: &mut Samples| {
        if !matches!(samples, Samples::Summary { deviation: Some(_), .. }) {
            *samples = summary.clone();
        }
    };
    match metric.as_str() {
        "test_acc" => replace(&mut cell.test_accuracy),
        "lambda_max" => replace(&mut cell.lambda_max),
        _ => {
            cell.lambda_max.push(*x);
            cell.test_accuracy.push(*y);
        }
    }
}
