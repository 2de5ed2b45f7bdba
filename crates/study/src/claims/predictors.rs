//! What may predict how a network generalizes, and what it is to predict.

use std::collections::BTreeMap;

use serde::Serialize;
use sharpness_training::measures::SharpnessNumber;

use super::cell::{Cell, Observation};
use super::numbers::{Number, TRAIN_ACCURACY, TRIVIAL};
use super::summary::Summary;

/// A hyperparameter that a grid may vary.
pub(super) struct Axis {
    /// Its setting.
    pub(super) key: &'static str,
    /// Its name here.
    pub(super) name: &'static str,
    /// As a predictor: its sign, so that larger predicts worse, and what people call it then.
    predictor: (f64, &'static str),
}

/// Hyperparameters that a grid may vary. Larger learning rates, smaller batches and more regularization predict better.
pub(super) const AXES: [Axis; 6] = [
    Axis { key: "training.learning_rate", name: "learning_rate", predictor: (-1.0, "-η") },
    Axis { key: "training.batch_size", name: "batch_size", predictor: (1.0, "batch size") },
    Axis { key: "training.optimizer.momentum", name: "momentum", predictor: (-1.0, "-momentum") },
    Axis { key: "training.optimizer.weight_decay", name: "weight_decay", predictor: (-1.0, "-weight decay") },
    Axis { key: "training.sam.rho", name: "rho", predictor: (-1.0, "-ρ") },
    Axis { key: "model.dropout", name: "dropout", predictor: (-1.0, "-dropout") },
];

/// What is to be predicted; the larger, the worse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// 1 less the accuracy on the test set.
    TestError,
    /// The test error less the error on the training set, both at the end of the last epoch.
    GeneralizationGap,
}

impl Target {
    /// All targets.
    pub const ALL: [Self; 2] = [Self::TestError, Self::GeneralizationGap];

    /// What people call it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::TestError => "test error",
            Self::GeneralizationGap => "generalization gap",
        }
    }

    fn of_run(self, run: &Observation) -> Option<f64> {
        let value = match self {
            Self::TestError => 1.0 - run.test_accuracy,
            Self::GeneralizationGap => run.numbers.get(&Number::plain(TRAIN_ACCURACY))? - run.test_accuracy,
        };
        Some(value).filter(|value| value.is_finite())
    }

    /// The mean over the runs of a setting.
    pub(super) fn of_cell(self, cell: &Cell) -> Option<f64> {
        match self {
            Self::TestError => cell.mean_accuracy().map(|accuracy| 1.0 - accuracy),
            Self::GeneralizationGap => {
                Summary::of(cell.runs.iter().filter_map(|run| self.of_run(run))).map(|summary| summary.mean)
            }
        }
    }
}

/// A number that may predict how a network generalizes: the larger, the worse.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Predictor {
    /// Its name in JSON: `lambda_max`, `trace.value`, `learning_rate`.
    pub(super) name: String,
    /// What people call it.
    pub(super) label: String,
    /// The settings of its measure, if it has any.
    pub(super) measured_with: Option<String>,
    /// Whether it takes no measurement of curvature.
    pub(super) is_trivial: bool,
    source: Source,
}

#[derive(Clone, Debug, PartialEq)]
enum Source {
    LambdaMax,
    Number(Number),
    Setting(&'static str, f64),
}

/// The predictor and the target of a run or a setting.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Point {
    pub(super) predictor: f64,
    pub(super) target: f64,
}

impl Predictor {
    /// λ_max, every number of sharpness that a measure declares and a cell has, and the trivial predictors.
    pub(super) fn all(cells: &[&Cell]) -> Vec<Self> {
        let mut all = vec![Self::new("lambda_max", "λ_max".to_owned(), false, Source::LambdaMax)];
        let known: BTreeMap<&Number, ()> = cells
            .iter()
            .flat_map(|cell| &cell.runs)
            .flat_map(|run| run.numbers.keys())
            .map(|n| (n, ()))
            .collect();
        for declared in SharpnessNumber::all() {
            let column = declared.name();
            let variants: Vec<&Number> =
                known.keys().copied().filter(|number| number.column == column).collect();
            for number in &variants {
                let mut label = declared.label();
                if variants.len() > 1 && !number.settings.is_empty() {
                    label = format!("{label}, {}", number.settings);
                }
                all.push(Self::new(&column, label, false, Source::Number((*number).clone())));
            }
        }
        for Axis { key, name, predictor: (sign, label) } in &AXES {
            all.push(Self::new(name, (*label).to_owned(), true, Source::Setting(key, *sign)));
        }
        for (column, label) in TRIVIAL {
            all.push(Self::new(column, label.to_owned(), true, Source::Number(Number::plain(column))));
        }
        all
    }

    fn new(name: &str, label: String, is_trivial: bool, source: Source) -> Self {
        let settings =
            if let Source::Number(number) = &source { number.settings.clone() } else { String::new() };
        let measured_with = (!settings.is_empty()).then_some(settings);
        Self { name: name.to_owned(), label, measured_with, is_trivial, source }
    }

    /// This number and the target of a run of a setting; none if one of them is unknown or not finite.
    pub(super) fn of_run(&self, cell: &Cell, run: &Observation, target: Target) -> Option<Point> {
        let predictor = match &self.source {
            Source::LambdaMax => run.lambda_max?,
            Source::Number(number) => *run.numbers.get(number)?,
            Source::Setting(key, sign) => sign * cell.settings.number(key)?,
        };
        let point = Point { predictor, target: target.of_run(run)? };
        Some(point).filter(|point| point.predictor.is_finite())
    }

    /// The means over the runs of a setting: geometric for λ_max.
    pub(super) fn of_cell(&self, cell: &Cell, target: Target) -> Option<Point> {
        let predictor = match &self.source {
            Source::LambdaMax => cell.mean_lambda_max()?,
            Source::Number(number) => {
                Summary::of(cell.runs.iter().filter_map(|run| run.numbers.get(number).copied()))?.mean
            }
            Source::Setting(key, sign) => sign * cell.settings.number(key)?,
        };
        let point = Point { predictor, target: target.of_cell(cell)? };
        Some(point).filter(|point| point.predictor.is_finite())
    }
}

/// Whether a measure of sharpness is known for a setting.
pub(super) fn is_measured(cell: &Cell) -> bool {
    let declared: Vec<String> = SharpnessNumber::all().iter().map(SharpnessNumber::name).collect();
    let is_sharpness = |number: &Number| declared.contains(&number.column);
    cell.mean_lambda_max().is_some() || cell.runs.iter().any(|run| run.numbers.keys().any(is_sharpness))
}

impl Point {
    /// 1 where both order two points alike, -1 where they do not, 0 for a tie.
    pub(super) fn agreement(self, other: Self) -> f64 {
        sign(self.predictor - other.predictor) * sign(self.target - other.target)
    }
}

/// -1, 0 or 1.
pub(super) fn sign(x: f64) -> f64 {
    if x > 0.0 {
        1.0
    } else if x < 0.0 {
        -1.0
    } else {
        0.0
    }
}
