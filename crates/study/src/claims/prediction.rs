//! λ_max as a predictor of generalization over a grid of settings, judged by the usual measures of such predictors.

use std::collections::BTreeMap;

use serde::Serialize;

use super::cell::{Cell, Observation};
use super::groups::groups;
use super::judge::ALPHA;
use super::published::{Bars, published_cells};
use super::statistics::{Estimate, FEWEST_SEEDS};
use crate::Result;

/// The least total weight of the pairs of runs of an environment (Dziugaite et al. 2020, section 5).
const EFFECTIVE_PAIRS: f64 = 12.0;

/// How well λ_max predicts the test error over settings that differ only in hyperparameters. A predictor that always
/// ranks settings correctly has τ = Ψ = 1 and a sign-error of 0; a coin has 0, 0 and 0.5.
///
/// If at least three seeds are common to all settings, τ and Ψ are computed within each seed and are means over seeds. Otherwise they
/// are those of the means of the settings, geometric for λ_max, and have no interval.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Prediction {
    /// The network.
    pub network: String,
    /// The data set, and in what else these runs differ from the defaults.
    pub data: String,
    /// Settings.
    pub settings: usize,
    /// Seeds that all settings share, if τ was computed within each.
    pub seeds: Option<usize>,
    /// Kendall's τ of λ_max and test error over all pairs of settings (Jiang et al. 2020, equation 2).
    pub kendall_tau: f64,
    /// Its 95 % interval by Student's t over seeds, clipped to [-1, 1].
    pub interval: Option<(f64, f64)>,
    /// For each hyperparameter that varies, the mean of τ along it while the others are fixed (Jiang et al. 2020, equation 5).
    pub along: BTreeMap<&'static str, f64>,
    /// The granulated Ψ: the mean of these.
    pub granulated_psi: Option<f64>,
    /// The robust sign-error; none if no environment is certain enough.
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
    /// The 90th percentile over the environments.
    pub percentile_90: f64,
    /// The mean.
    pub mean: f64,
    /// Environments whose runs differ by more than the size of the test set explains.
    pub environments: usize,
}

/// Hyperparameters that a grid may vary, and their names here.
const AXES: [(&str, &str); 6] = [
    ("training.learning_rate", "learning_rate"),
    ("training.batch_size", "batch_size"),
    ("training.optimizer.momentum", "momentum"),
    ("training.optimizer.weight_decay", "weight_decay"),
    ("training.sam.rho", "rho"),
    ("model.dropout", "dropout"),
];

impl Prediction {
    /// One for each group of at least three settings that differ in hyperparameters alone.
    pub fn of_cells(cells: &[Cell]) -> Vec<Self> {
        let mut networks: BTreeMap<String, Vec<&Cell>> = BTreeMap::new();
        for cell in cells.iter().filter(|cell| Point::of(cell).is_some()) {
            networks.entry(network(cell)).or_default().push(cell);
        }
        let axes = AXES.map(|(key, _)| key.to_owned());
        let of_network = |(network, cells): (&String, &Vec<&Cell>)| {
            let found = groups(cells, &axes).into_iter().filter(|group| group.cells.len() >= 3);
            found.filter_map(|group| Self::new(network, &group.name, &group.cells)).collect::<Vec<_>>()
        };
        networks.iter().flat_map(of_network).collect()
    }

    /// Those of the published numbers: of single runs if the paper shows them, otherwise of means.
    ///
    /// # Errors
    /// As [`published_cells`].
    pub fn published() -> Result<Vec<Self>> {
        let figures = ["1", "3", "4", "6", "7", "8", "9", "10", "11", "12", "13a", "13b", "14a", "14b", "15"];
        Ok(Self::of_cells(&published_cells(&figures, Bars::Deviations)?))
    }

    fn new(network: &str, data: &str, cells: &[&Cell]) -> Option<Self> {
        let (views, seeds) = views(cells)?;
        let taus: Vec<f64> = views.iter().map(|points| tau(points)).collect::<Option<_>>()?;
        let along: BTreeMap<&str, f64> = (0..AXES.len())
            .filter_map(|axis| {
                let taus: Vec<f64> =
                    views.iter().filter_map(|points| tau_along(axis, cells, points)).collect();
                (!taus.is_empty()).then(|| (AXES[axis].1, mean(&taus)))
            })
            .collect();
        let pairs = neighbours(cells);
        let kendall_tau = mean(&taus);
        let interval = seeds.and_then(|_| Estimate::of_seeds(taus)?.interval(ALPHA));
        Some(Self {
            network: network.to_owned(),
            data: data.to_owned(),
            settings: cells.len(),
            seeds,
            kendall_tau,
            interval: interval.map(|(lower, upper)| (lower.max(-1.0), upper.min(1.0))),
            granulated_psi: (!along.is_empty()).then(|| along.values().sum::<f64>() / along.len() as f64),
            along,
            sign_error: SignError::new(&pairs),
            environments: pairs.len(),
        })
    }
}

/// The architecture, and its nonlinearity if that is not a ReLU.
fn network(cell: &Cell) -> String {
    let [arch, activation] = ["model.arch", "model.activation"].map(|key| cell.settings.text(key));
    if ["relu", "unset"].contains(&activation.as_str()) { arch } else { format!("{arch}-{activation}") }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// The points of all cells within each seed that they share, and the number of these seeds; or those of the means of the cells.
fn views(cells: &[&Cell]) -> Option<(Vec<Vec<Point>>, Option<usize>)> {
    let of_seed = |seed: u64| -> Option<Vec<Point>> {
        let run = |cell: &&Cell| Point::of_run(cell.runs.iter().find(|run| run.seed == Some(seed))?);
        cells.iter().map(run).collect()
    };
    let seeds = cells.first()?.runs.iter().filter_map(|run| run.seed);
    let views: Vec<Vec<Point>> = seeds.filter_map(of_seed).collect();
    if views.len() >= FEWEST_SEEDS {
        let seeds = views.len();
        return Some((views, Some(seeds)));
    }
    Some((vec![cells.iter().map(|cell| Point::of(cell)).collect::<Option<_>>()?], None))
}

/// The predictor and the predicted value of a setting or run.
#[derive(Clone, Copy, Debug)]
struct Point {
    lambda: f64,
    error: f64,
}

impl Point {
    fn of(cell: &Cell) -> Option<Self> {
        Some(Self { lambda: cell.mean_lambda_max()?, error: 1.0 - cell.mean_accuracy()? })
    }

    fn of_run(run: &Observation) -> Option<Self> {
        let error = Some(1.0 - run.test_accuracy).filter(|error| error.is_finite());
        Some(Self { lambda: run.lambda_max?, error: error? })
    }

    /// 1 where both order two points alike, -1 where they do not, 0 for a tie.
    fn agreement(self, other: Self) -> f64 {
        sign(self.lambda - other.lambda) * sign(self.error - other.error)
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
    let mut groups: BTreeMap<String, Vec<Point>> = BTreeMap::new();
    for (cell, point) in cells.iter().zip(points) {
        let others = cell.settings.without(|key| key == AXES[axis].0);
        groups.entry(others.key()).or_default().push(*point);
    }
    let taus: Vec<f64> = groups.values().filter_map(|points| tau(points)).collect();
    (!taus.is_empty()).then(|| mean(&taus))
}

/// Pairs of cells that differ in one hyperparameter.
fn neighbours<'a>(cells: &[&'a Cell]) -> Vec<(&'a Cell, &'a Cell)> {
    let differ = |a: &Cell, b: &Cell| {
        AXES.iter().filter(|(key, _)| a.settings.get(key) != b.settings.get(key)).count()
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

/// The runs of a cell; none if their mean alone is known.
fn runs(cell: &Cell) -> Vec<Point> {
    cell.runs.iter().filter_map(Point::of_run).collect()
}

/// The value below which a share of the sorted values lies, by linear interpolation.
fn quantile(sorted: &[f64], share: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    let place = share * last as f64;
    let (low, high) = (sorted.get(floor(place))?, sorted.get(floor(place.ceil()))?);
    Some(low + (high - low) * place.fract())
}

#[expect(clippy::cast_possible_truncation, reason = "an index of a sorted list")]
fn floor(place: f64) -> usize {
    place.max(0.0) as usize
}

/// How certain it is that two errors on `count` test examples differ (Hoeffding's inequality for both), beyond one half.
fn weight(difference: f64, count: f64) -> f64 {
    let certain = 1.0 - 2.0 * (-2.0 * count * (difference / 2.0).powi(2)).exp();
    (certain.max(0.0).powi(2) - 0.5).max(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::claims::Settings;

    fn cell(learning_rate: f64, batch_size: f64, lambda: &[f64], accuracy: &[f64]) -> Cell {
        let mut settings = Settings::default();
        settings.set("training.learning_rate", learning_rate);
        settings.set("training.batch_size", batch_size);
        let mut cell = Cell::new(settings, 1000.0, 10_000.0);
        let run = |(seed, (lambda, accuracy)): (u64, (&f64, &f64))| Observation {
            seed: Some(seed),
            test_accuracy: *accuracy,
            lambda_max: Some(*lambda),
            quarters: None,
        };
        cell.runs = (0..).zip(lambda.iter().zip(accuracy)).map(run).collect();
        cell
    }

    #[test]
    fn tau_is_the_mean_over_seeds_and_lies_in_its_interval() {
        // λ_max and the error rank three settings alike with seeds 0 and 1, and in 1 of 3 pairs with seed 2.
        let cells = [
            cell(0.1, 1.0, &[1.0, 1.0, 1.0], &[0.9, 0.9, 0.7]),
            cell(0.2, 1.0, &[2.0, 2.0, 2.0], &[0.8, 0.8, 0.9]),
            cell(0.3, 1.0, &[3.0, 3.0, 3.0], &[0.7, 0.7, 0.8]),
        ];
        let found = Prediction::new("mlp", "digits", &cells.iter().collect::<Vec<_>>()).unwrap();
        let tau = (1.0 + 1.0 - 1.0 / 3.0) / 3.0;
        assert!((found.kendall_tau - tau).abs() < 1e-12 && found.seeds == Some(3), "{found:?}");
        // t(2) s/√3 = 4.302653 · 0.769800 / 1.732051 is more than 1 - τ.
        let (lower, upper) = found.interval.unwrap();
        assert!((upper - 1.0).abs() < 1e-12 && (lower - (tau - 1.912_290)).abs() > 0.0, "cut at 1");
        assert!((lower + 1.0).abs() < 1e-12 || lower < tau, "[{lower}, {upper}] holds {tau}");
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
        let found = Prediction::new("mlp", "digits", &all).unwrap();
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
