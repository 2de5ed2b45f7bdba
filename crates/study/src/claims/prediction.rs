//! Measures of sharpness as predictors of generalization over a grid of settings, judged by the usual statistics of such predictors.

use std::collections::BTreeMap;
use std::rc::Rc;

use serde::Serialize;

use super::cell::Cell;
use super::conditional_information::{ConditionalInformation, Levels};
use super::groups::{Group, groups};
use super::judge::ALPHA;
use super::kendall::{interval_over_settings, tau};
use super::predictors::{AXES, Axis, Point, Predictor, Target, is_measured};
use super::published::{Bars, published_cells};
use super::sign_error::{SignError, environment};
use super::statistics::{Estimate, FEWEST_SEEDS};
use crate::Result;

/// The fewest settings for a τ.
const FEWEST_SETTINGS: usize = 3;

/// How well a number predicts how networks generalize, over settings that differ only in hyperparameters. A predictor that always
/// ranks settings correctly has τ = Ψ = 1 and a sign-error of 0; a coin has 0, 0 and 0.5.
///
/// If at least three seeds are common to all settings, τ and Ψ are computed within each seed and are means over seeds. Otherwise they
/// are those of the means of the settings, geometric for λ_max.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Prediction {
    /// The network.
    pub network: String,
    /// The data set, and in what else these runs differ from the defaults.
    pub data: String,
    /// The predictor: `lambda_max`, a number of a measure such as `trace.value`, a hyperparameter or another trivial one.
    pub predictor: String,
    /// What people call it; a minus means that larger predicts better.
    pub label: String,
    /// The settings of its measure, if it has any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub measured_with: Option<String>,
    /// Whether it takes no measurement of curvature.
    pub is_trivial: bool,
    /// What it predicts.
    pub target: Target,
    /// Settings with both numbers.
    pub settings: usize,
    /// Seeds that all settings share, if τ was computed within each.
    pub seeds: Option<usize>,
    /// Kendall's τ of predictor and target over all pairs of settings (Jiang et al. 2020, equation 2).
    pub kendall_tau: Option<f64>,
    /// Why there is no τ.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub no_tau: Option<NoTau>,
    /// The 95 % interval of τ, clipped to [-1, 1].
    pub interval: Option<(f64, f64)>,
    /// What the interval is over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval_over: Option<Over>,
    /// For each hyperparameter that varies, the mean of τ along it while the others are fixed (Jiang et al. 2020, equation 5).
    pub along: BTreeMap<&'static str, f64>,
    /// The granulated Ψ: the mean of these.
    pub granulated_psi: Option<f64>,
    /// What it tells that the hyperparameters do not.
    pub conditional_information: Option<ConditionalInformation>,
    /// The robust sign-error; none if no environment is certain enough.
    pub sign_error: Option<SignError>,
    /// Pairs of settings that differ in one hyperparameter.
    pub environments: usize,
}

/// Why a predictor has no τ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NoTau {
    /// It is in fewer than three settings.
    FewSettings,
    /// It is the same in all settings, within each seed.
    Constant,
    /// The target is.
    ConstantTarget,
}

/// What an interval of τ is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Over {
    /// Seeds, by Student's t: for these settings.
    Seeds,
    /// Settings (Samara and Randles 1988): for settings of which these are a sample.
    Settings,
}

impl Prediction {
    /// One for each predictor and target of each group of settings that differ in hyperparameters alone, the highest τ of a group
    /// and target first.
    pub fn of_cells(cells: &[Cell]) -> Vec<Self> {
        let mut networks: BTreeMap<String, Vec<&Cell>> = BTreeMap::new();
        for cell in cells.iter().filter(|cell| cell.mean_accuracy().is_some() && is_measured(cell)) {
            networks.entry(network(cell)).or_default().push(cell);
        }
        let axes = AXES.map(|axis| axis.key.to_owned());
        let mut all = Vec::new();
        for (network, cells) in &networks {
            let found = groups(cells, &axes);
            for group in found.iter().filter(|group| group.cells.len() >= FEWEST_SETTINGS) {
                all.extend(Self::of_group(network, group));
            }
        }
        all
    }

    /// Those of the published numbers: of single runs if the paper shows them, otherwise of means.
    ///
    /// # Errors
    /// As [`published_cells`].
    pub fn published() -> Result<Vec<Self>> {
        let figures = ["1", "3", "4", "6", "7", "8", "9", "10", "11", "12", "13a", "13b", "14a", "14b", "15"];
        Ok(Self::of_cells(&published_cells(&figures, Bars::Deviations)?))
    }

    /// The predictions that have a τ, by network and data, then by target.
    pub fn by_group(predictions: &[Self]) -> Vec<Vec<&Self>> {
        let with_tau: Vec<&Self> = predictions.iter().filter(|found| found.kendall_tau.is_some()).collect();
        with_tau.chunk_by(|a, b| (&a.network, &a.data) == (&b.network, &b.data)).map(<[_]>::to_vec).collect()
    }

    fn of_group(network: &str, group: &Group<'_>) -> Vec<Self> {
        // Most predictors are known for the same settings.
        let mut grids: BTreeMap<Vec<usize>, Rc<Grid<'_>>> = BTreeMap::new();
        let mut all = Vec::new();
        for target in Target::ALL {
            let mut found = Vec::new();
            for predictor in Predictor::all(&group.cells) {
                let known = |place: &usize| predictor.of_cell(group.cells[*place], target).is_some();
                let places: Vec<usize> = (0..group.cells.len()).filter(known).collect();
                if places.is_empty() {
                    continue;
                }
                let cells = || places.iter().map(|place| group.cells[*place]).collect();
                let grid = grids.entry(places.clone()).or_insert_with(|| Rc::new(Grid::new(cells())));
                found.push(Self::new((network, &group.name), grid, (&predictor, target)));
            }
            let key = |found: &Self| found.kendall_tau.unwrap_or(f64::NEG_INFINITY);
            found.sort_by(|a, b| key(b).total_cmp(&key(a)));
            all.extend(found);
        }
        all
    }

    fn new(
        (network, data): (&str, &str),
        grid: &Grid<'_>,
        (predictor, target): (&Predictor, Target),
    ) -> Self {
        let (views, seeds) = grid.views(predictor, target);
        let no_tau = no_tau(&views);
        let taus: Vec<f64> =
            views.iter().filter(|_| no_tau.is_none()).filter_map(|points| tau(points)).collect();
        let kendall_tau = (!taus.is_empty()).then(|| mean(&taus));
        let along = if no_tau.is_none() { grid.along(&views) } else { BTreeMap::new() };
        let runs = grid.runs(predictor, target);
        let interval = match seeds {
            Some(_) => Estimate::of_seeds(taus).and_then(|taus| taus.interval(ALPHA)),
            None => {
                views.first().filter(|_| no_tau.is_none()).and_then(|points| interval_over_settings(points))
            }
        };
        let over = if seeds.is_some() { Over::Seeds } else { Over::Settings };
        let known = kendall_tau.is_some();
        Self {
            network: network.to_owned(),
            data: data.to_owned(),
            predictor: predictor.name.clone(),
            label: predictor.label.clone(),
            measured_with: predictor.measured_with.clone(),
            is_trivial: predictor.is_trivial,
            target,
            settings: grid.cells.len(),
            seeds,
            kendall_tau,
            no_tau,
            interval: interval.map(|(lower, upper)| (lower.max(-1.0), upper.min(1.0))),
            interval_over: interval.map(|_| over),
            granulated_psi: (!along.is_empty()).then(|| along.values().sum::<f64>() / along.len() as f64),
            along,
            conditional_information: ConditionalInformation::new(&runs, &grid.levels).filter(|_| known),
            sign_error: grid.sign_error(predictor, target).filter(|_| known),
            environments: grid.neighbours.len(),
        }
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

fn no_tau(views: &[Vec<Point>]) -> Option<NoTau> {
    let is_constant = |number: fn(&Point) -> f64| {
        views
            .iter()
            .all(|points| points.windows(2).all(|pair| number(&pair[0]).total_cmp(&number(&pair[1])).is_eq()))
    };
    if views.iter().all(|points| points.len() < FEWEST_SETTINGS) {
        Some(NoTau::FewSettings)
    } else if is_constant(|point| point.predictor) {
        Some(NoTau::Constant)
    } else {
        is_constant(|point| point.target).then_some(NoTau::ConstantTarget)
    }
}

/// Settings, and how they differ.
struct Grid<'a> {
    cells: Vec<&'a Cell>,
    /// For each hyperparameter, the places of settings that agree in everything else.
    lines: [Vec<Vec<usize>>; AXES.len()],
    /// The values of hyperparameters that vary.
    levels: Vec<Levels>,
    /// Pairs of settings that differ in one hyperparameter, with it.
    neighbours: Vec<(usize, usize, &'static Axis)>,
}

impl<'a> Grid<'a> {
    fn new(cells: Vec<&'a Cell>) -> Self {
        let lines = AXES.each_ref().map(|axis| {
            let mut lines: BTreeMap<String, Vec<usize>> = BTreeMap::new();
            for (place, cell) in cells.iter().enumerate() {
                lines.entry(cell.settings.without(|key| key == axis.key).key()).or_default().push(place);
            }
            lines.into_values().collect()
        });
        let levels: Vec<Levels> = AXES.iter().filter_map(|axis| levels(&cells, axis)).collect();
        let neighbours = neighbours(&levels, cells.len());
        Self { cells, lines, levels, neighbours }
    }

    /// The points of all cells within each seed that they share, and the number of these seeds; or those of the means of the cells.
    fn views(&self, predictor: &Predictor, target: Target) -> (Vec<Vec<Point>>, Option<usize>) {
        let of_seed = |seed: u64| -> Option<Vec<Point>> {
            let run = |cell: &&Cell| {
                predictor.of_run(cell, cell.runs.iter().find(|run| run.seed == Some(seed))?, target)
            };
            self.cells.iter().map(run).collect()
        };
        let seeds = self.cells.first().into_iter().flat_map(|cell| &cell.runs).filter_map(|run| run.seed);
        let views: Vec<Vec<Point>> = seeds.filter_map(of_seed).collect();
        if views.len() >= FEWEST_SEEDS {
            let seeds = views.len();
            return (views, Some(seeds));
        }
        (vec![self.cells.iter().filter_map(|cell| predictor.of_cell(cell, target)).collect()], None)
    }

    /// For each hyperparameter that varies, the mean over seeds of the mean of τ along it.
    fn along(&self, views: &[Vec<Point>]) -> BTreeMap<&'static str, f64> {
        let of_view = |lines: &[Vec<usize>], points: &[Point]| {
            let line =
                |places: &Vec<usize>| tau(&places.iter().map(|place| points[*place]).collect::<Vec<_>>());
            let taus: Vec<f64> = lines.iter().filter_map(line).collect();
            (!taus.is_empty()).then(|| mean(&taus))
        };
        let of_axis = |(axis, lines): (&Axis, &Vec<Vec<usize>>)| {
            let taus: Vec<f64> = views.iter().filter_map(|points| of_view(lines, points)).collect();
            (!taus.is_empty()).then(|| (axis.name, mean(&taus)))
        };
        AXES.iter().zip(&self.lines).filter_map(of_axis).collect()
    }

    /// All runs with the places of their settings; the means of settings without runs.
    fn runs(&self, predictor: &Predictor, target: Target) -> Vec<(usize, Point)> {
        let of_cell = |(place, cell): (usize, &&'a Cell)| {
            let mut points = runs(cell, predictor, target);
            if cell.runs.is_empty() {
                points.extend(predictor.of_cell(cell, target));
            }
            points.into_iter().map(move |point| (place, point)).collect::<Vec<_>>()
        };
        self.cells.iter().enumerate().flat_map(of_cell).collect()
    }

    fn sign_error(&self, predictor: &Predictor, target: Target) -> Option<SignError> {
        let points: Vec<Vec<Point>> = self.cells.iter().map(|cell| runs(cell, predictor, target)).collect();
        let error = |(i, j, axis): &(usize, usize, &Axis)| {
            let test_examples = self.cells[*i].test_examples.min(self.cells[*j].test_examples);
            let error = environment(&points[*i], &points[*j], test_examples)?;
            Some((error, self.environment_name((*i, *j), axis)))
        };
        SignError::new(self.neighbours.iter().filter_map(error).collect())
    }

    /// Such as `dropout 0 or 0.1, at batch_size=100`.
    fn environment_name(&self, (i, j): (usize, usize), axis: &Axis) -> String {
        let [one, other] = [j, i].map(|place| self.cells[place].settings.text(axis.key));
        let is_other = |other: &&Axis| {
            other.key != axis.key && self.levels.iter().any(|levels| levels.name == other.name)
        };
        let at = AXES.iter().filter(is_other);
        let at: Vec<String> =
            at.map(|axis| format!("{}={}", axis.name, self.cells[i].settings.text(axis.key))).collect();
        let at = if at.is_empty() { String::new() } else { format!(", at {}", at.join(", ")) };
        format!("{} {one} or {other}{at}", axis.name)
    }
}

/// The points of a cell's runs; none if their mean alone is known.
fn runs(cell: &Cell, predictor: &Predictor, target: Target) -> Vec<Point> {
    cell.runs.iter().filter_map(|run| predictor.of_run(cell, run, target)).collect()
}

/// The values of a hyperparameter; none if it is the same in all cells.
fn levels(cells: &[&Cell], axis: &Axis) -> Option<Levels> {
    let mut values = Vec::new();
    let of_cell: Vec<usize> = cells
        .iter()
        .map(|cell| {
            let value = cell.settings.get(axis.key);
            values.iter().position(|known| *known == value).unwrap_or_else(|| {
                values.push(value);
                values.len() - 1
            })
        })
        .collect();
    (values.len() > 1).then_some(Levels { name: axis.name, of_cell })
}

/// Pairs of cells that differ in one hyperparameter.
fn neighbours(levels: &[Levels], cells: usize) -> Vec<(usize, usize, &'static Axis)> {
    let mut pairs = Vec::new();
    for (i, j) in (0..cells).flat_map(|i| (0..i).map(move |j| (i, j))) {
        let mut differing = levels.iter().filter(|levels| levels.of_cell[i] != levels.of_cell[j]);
        if let (Some(one), None) = (differing.next(), differing.next()) {
            pairs.extend(AXES.iter().find(|axis| axis.name == one.name).map(|axis| (i, j, axis)));
        }
    }
    pairs
}
