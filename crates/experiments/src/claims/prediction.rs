//! λ_max as a predictor of generalization over a grid of settings: the measures by which such predictors are judged.

use std::collections::BTreeMap;

use serde::Serialize;

use super::statistics::{Mean, estimate, quantile};
use super::{Cell, Samples, published_cells};
use crate::Result;

/// An environment counts if its pairs of runs weigh as much as so many (Dziugaite et al. 2020, section 5).
const EFFECTIVE_PAIRS: f64 = 12.0;

/// How well λ_max predicts the test error over the settings of one network on one data set. A predictor that always ranks
/// settings rightly has τ = Ψ = 1 and a sign-error of 0; a coin has 0, 0 and 0.5.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Prediction {
    /// The network.
    pub network: String,
    /// The data set.
    pub data: String,
    /// Settings, each with the mean over its seeds.
    pub settings: usize,
    /// Kendall's τ of λ_max and test error over all pairs of settings (Jiang et al. 2020, equation 2).
    pub kendall_tau: f64,
    /// Its interval of 95 % by bootstrap over seeds; absent where every setting has one run.
    pub interval: Option<(f64, f64)>,
    /// For each hyperparameter that varies, the mean of τ along it while the others are fixed (Jiang et al. 2020, equation 5).
    pub along: BTreeMap<&'static str, f64>,
    /// The granulated Ψ: the mean of these.
    pub granulated_psi: Option<f64>,
    /// The robust sign-error; absent where no environment is known well enough.
    pub sign_error: Option<SignError>,
    /// Pairs of settings that differ in one hyperparameter.
    pub environments: usize,
}

/// How often λ_max and the test error disagree on which of two settings is better, over environments: pairs of settings that
/// differ in one hyperparameter (Dziugaite et al. 2020, section 4).
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct SignError {
    /// The largest: the error that a robust predictor bounds.
    pub max: f64,
    /// The value that nine tenths of the environments do not exceed.
    pub percentile_90: f64,
    /// The mean.
    pub mean: f64,
    /// Environments whose runs differ by more than the size of the test set explains.
    pub environments: usize,
}

/// A hyperparameter: its name and its value.
type Axis = (&'static str, fn(&Cell) -> f64);

/// Hyperparameters that a grid may vary.
const AXES: [Axis; 4] = [
    ("learning_rate", |cell| cell.learning_rate),
    ("batch_size", |cell| cell.batch_size),
    ("rho", |cell| cell.rho),
    ("dropout", |cell| cell.dropout),
];

impl Prediction {
    /// One for each network and data set with at least three settings.
    pub fn of_cells(cells: &[Cell]) -> Vec<Self> {
        let mut groups: BTreeMap<(&str, &str), Vec<&Cell>> = BTreeMap::new();
        for cell in cells {
            groups.entry((&cell.data, &cell.network)).or_default().push(cell);
        }
        groups.into_values().filter(|cells| cells.len() >= 3).filter_map(|cells| Self::new(&cells)).collect()
    }

    /// Those of the published numbers: of single runs where the paper shows them, else of means.
    ///
    /// # Errors
    /// As [`published_cells`].
    pub fn published() -> Result<Vec<Self>> {
        let figures = ["1", "3", "4", "6", "7", "8", "9", "10", "11", "12", "13a", "13b", "14a", "14b", "15"];
        Ok(Self::of_cells(&published_cells(&figures)?))
    }

    fn new(cells: &[&Cell]) -> Option<Self> {
        let first = cells.first()?;
        let points: Vec<Point> = cells.iter().map(|cell| Point::of(cell)).collect();
        let interval = estimate(cells, |means| tau(&means.iter().map(Point::from).collect::<Vec<_>>()));
        let along: BTreeMap<&str, f64> = (0..AXES.len())
            .filter_map(|axis| Some((AXES[axis].0, tau_along(axis, cells, &points)?)))
            .collect();
        let pairs = neighbours(cells);
        Some(Self {
            network: first.network.clone(),
            data: first.data.clone(),
            settings: cells.len(),
            kendall_tau: tau(&points)?,
            interval: interval.map(|found| (found.lower, found.upper)),
            granulated_psi: (!along.is_empty()).then(|| along.values().sum::<f64>() / along.len() as f64),
            along,
            sign_error: SignError::new(&pairs),
            environments: pairs.len(),
        })
    }
}

/// What is predicted from what, of one setting or run.
#[derive(Clone, Copy, Debug)]
struct Point {
    lambda: f64,
    error: f64,
}

impl Point {
    fn of(cell: &Cell) -> Self {
        let mean = |samples: &Samples| match samples {
            Samples::Runs(values) => values.iter().sum::<f64>() / values.len() as f64,
            Samples::Summary { mean, .. } => *mean,
        };
        Self { lambda: mean(&cell.lambda_max), error: 1.0 - mean(&cell.test_accuracy) }
    }

    /// 1 where both order two points alike, -1 where they do not, 0 for a tie.
    fn agreement(self, other: Self) -> f64 {
        sign(self.lambda - other.lambda) * sign(self.error - other.error)
    }
}

impl From<&Mean<'_>> for Point {
    fn from(mean: &Mean<'_>) -> Self {
        Self { lambda: mean.log_lambda, error: 1.0 - mean.accuracy }
    }
}

fn sign(x: f64) -> f64 {
    if x > 0.0 {
        1.0
    } else if x < 0.0 {
        -1.0
    } else {
        0.0
    }
}

/// Kendall's τ; none of less than two points.
fn tau(points: &[Point]) -> Option<f64> {
    let count = points.len() as f64;
    let pairs = points.iter().enumerate().flat_map(|(i, a)| points[..i].iter().map(move |b| a.agreement(*b)));
    (points.len() > 1).then(|| pairs.sum::<f64>() / (count * (count - 1.0) / 2.0))
}

/// The mean of τ along an axis over all settings of the other ones.
fn tau_along(axis: usize, cells: &[&Cell], points: &[Point]) -> Option<f64> {
    let others = |cell: &Cell| -> Vec<u64> {
        let numbers = AXES.iter().enumerate().filter(|(other, _)| *other != axis);
        numbers.map(|(_, (_, number))| number(cell).to_bits()).collect()
    };
    let mut groups: BTreeMap<Vec<u64>, Vec<Point>> = BTreeMap::new();
    for (cell, point) in cells.iter().zip(points) {
        groups.entry(others(cell)).or_default().push(*point);
    }
    let taus: Vec<f64> = groups.values().filter_map(|points| tau(points)).collect();
    (!taus.is_empty()).then(|| taus.iter().sum::<f64>() / taus.len() as f64)
}

/// Pairs of cells that differ in one hyperparameter.
fn neighbours<'a>(cells: &[&'a Cell]) -> Vec<(&'a Cell, &'a Cell)> {
    let differ = |a: &Cell, b: &Cell| {
        AXES.iter().filter(|(_, number)| number(a).total_cmp(&number(b)).is_ne()).count()
    };
    let pairs = cells.iter().enumerate().flat_map(|(i, a)| cells[..i].iter().map(move |b| (*a, *b)));
    pairs.filter(|(a, b)| differ(a, b) == 1).collect()
}

impl SignError {
    fn new(pairs: &[(&Cell, &Cell)]) -> Option<Self> {
        let mut errors: Vec<f64> = pairs.iter().filter_map(|(a, b)| environment(a, b)).collect();
        errors.sort_by(f64::total_cmp);
        Some(Self {
            max: *errors.last()?,
            percentile_90: quantile(&errors, 0.9)?,
            mean: errors.iter().sum::<f64>() / errors.len() as f64,
            environments: errors.len(),
        })
    }
}

/// The weighted sign-error over all pairs of runs of two settings, if enough of them differ for certain.
fn environment(a: &Cell, b: &Cell) -> Option<f64> {
    let (a_runs, b_runs) = (runs(a), runs(b));
    let test_examples = a.test_examples.min(b.test_examples);
    let (mut weights, mut squares, mut sum) = (0.0, 0.0, 0.0);
    for (x, y) in a_runs.iter().flat_map(|x| b_runs.iter().map(move |y| (*x, *y))) {
        let weight = weight(x.error - y.error, test_examples);
        weights += weight;
        squares += weight * weight;
        sum += weight * (1.0 - x.agreement(y)) / 2.0;
    }
    (weights > 0.0 && weights * weights / squares >= EFFECTIVE_PAIRS).then(|| sum / weights)
}

/// The runs of a cell; none where their mean alone is known.
fn runs(cell: &Cell) -> Vec<Point> {
    match (&cell.lambda_max, &cell.test_accuracy) {
        (Samples::Runs(lambdas), Samples::Runs(accuracies)) => {
            let both = lambdas.iter().zip(accuracies);
            both.map(|(lambda, accuracy)| Point { lambda: *lambda, error: 1.0 - accuracy }).collect()
        }
        _ => Vec::new(),
    }
}

/// How certain it is that two errors on `count` test examples differ (Hoeffding's inequality for both), beyond one half.
fn weight(difference: f64, count: f64) -> f64 {
    let certain = 1.0 - 2.0 * (-2.0 * count * (difference / 2.0).powi(2)).exp();
    (certain.max(0.0).powi(2) - 0.5).max(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(learning_rate: f64, batch_size: f64, lambda: &[f64], accuracy: &[f64]) -> Cell {
        Cell {
            network: "mlp".to_owned(),
            data: "digits".to_owned(),
            learning_rate,
            edge: None,
            batch_size,
            train_examples: 1000.0,
            test_examples: 10_000.0,
            rho: 0.0,
            dropout: 0.0,
            test_accuracy: Samples::Runs(accuracy.to_vec()),
            lambda_max: Samples::Runs(lambda.to_vec()),
            lambda_max_in_training: Samples::Runs(Vec::new()),
        }
    }

    #[test]
    fn tau_counts_pairs() {
        let point = |lambda, error| Point { lambda, error };
        let points = [point(1.0, 0.1), point(2.0, 0.2), point(3.0, 0.15)];
        // Two of three pairs agree.
        let found = tau(&points).unwrap();
        assert!((found - 1.0 / 3.0).abs() < 1e-12, "τ = (2 - 1) / 3, not {found}");
        assert_eq!(tau(&points[..1]), None, "one point has no pair");
    }

    #[test]
    fn psi_sees_what_tau_hides() {
        // Along η, λ_max and the error agree; over batch sizes they are opposed so strongly that τ is negative.
        let cells = [
            cell(0.1, 10.0, &[10.0], &[0.9]),
            cell(0.2, 10.0, &[9.0], &[0.91]),
            cell(0.1, 100.0, &[2.0], &[0.7]),
            cell(0.2, 100.0, &[1.0], &[0.71]),
        ];
        let all: Vec<&Cell> = cells.iter().collect();
        let found = Prediction::new(&all).unwrap();
        assert!((found.kendall_tau + 1.0 / 3.0).abs() < 1e-12, "2 pairs agree, 4 do not: {found:?}");
        let expected = BTreeMap::from([("learning_rate", 1.0), ("batch_size", -1.0)]);
        assert_eq!(found.along, expected, "each axis by itself");
        assert_eq!(found.granulated_psi, Some(0.0), "their mean");
        assert_eq!((found.environments, found.sign_error), (4, None), "one run each is too little");
    }

    #[test]
    fn environments_need_runs_that_differ_for_certain() {
        let (flat, sharp) = ([1.0, 1.1, 1.2, 1.3], [5.0, 5.1, 5.2, 5.3]);
        let (good, bad) = ([0.90, 0.901, 0.902, 0.903], [0.80, 0.801, 0.802, 0.803]);
        let right = environment(&cell(0.1, 1.0, &flat, &good), &cell(0.2, 1.0, &sharp, &bad)).unwrap();
        let wrong = environment(&cell(0.1, 1.0, &sharp, &good), &cell(0.2, 1.0, &flat, &bad)).unwrap();
        assert!(right < 1e-12 && (wrong - 1.0).abs() < 1e-12, "never and always wrong: {right}, {wrong}");
        let same = environment(&cell(0.1, 1.0, &flat, &good), &cell(0.2, 1.0, &sharp, &good));
        assert_eq!(same, None, "differences below what 10,000 test examples resolve do not count");
        // The smallest difference that weighs anything: 2 exp(-n Δ²/2) = 1 - 1/√2.
        assert!(weight(0.0197, 10_000.0) > 0.0 && weight(0.0196, 10_000.0) <= 0.0, "at 0.01960");
    }
}
