//! Runs that differ in their seeds alone.

use std::collections::{BTreeMap, BTreeSet};

use sharpness_network::models::{Model, Nonlinearity};

use crate::config::{MeasureConfig, RunConfig, TrainingConfig};
use crate::optimizers::EdgeOfStability;
use crate::training::Outcome;
use crate::{Report, Result};

/// The results of one setting.
#[derive(Clone, Debug, PartialEq)]
pub struct Cell {
    /// The network: its architecture, and its nonlinearity where that is not a ReLU.
    pub network: String,
    /// The data set, and in what else the runs differ from the paper's: examples trained on, widths, momentum and weight decay.
    pub data: String,
    /// The step size η.
    pub learning_rate: f64,
    /// The edge of stability of the optimizer; none for SAM.
    pub edge: Option<EdgeOfStability>,
    /// The batch size; infinite where it is only known to be large.
    pub batch_size: f64,
    /// Examples trained on.
    pub train_examples: f64,
    /// Test examples.
    pub test_examples: f64,
    /// The radius of SAM; 0 is plain SGD.
    pub rho: f64,
    /// The dropout probability.
    pub dropout: f64,
    /// Accuracies on the test set.
    pub test_accuracy: Samples,
    /// Largest eigenvalues of the Hessian.
    pub lambda_max: Samples,
    /// The geometric mean of λ_max over the later half of the training, of runs that measured it.
    pub lambda_max_in_training: Samples,
}

/// What is known of a number over seeds.
#[derive(Clone, Debug, PartialEq)]
pub enum Samples {
    /// One value for each run.
    Runs(Vec<f64>),
    /// The mean over a number of runs, and half the length of its error bar, which is taken as the standard deviation over runs.
    Summary {
        /// The mean.
        mean: f64,
        /// The standard deviation, where it is known.
        deviation: Option<f64>,
        /// The number of runs.
        runs: usize,
    },
}

impl Samples {
    /// Adds a run to those that are known one by one.
    pub(super) fn push(&mut self, value: f64) {
        if let Self::Runs(values) = self {
            values.push(value);
        }
    }

    /// The number of runs.
    pub fn count(&self) -> usize {
        match self {
            Self::Runs(values) => values.len(),
            Self::Summary { runs, .. } => *runs,
        }
    }
}

/// The geometric mean of a curve of λ_max over the later half of its steps; none of a curve that is nowhere positive.
pub(super) fn late_mean(curve: &[(f64, f64)]) -> Option<f64> {
    let middle = curve.last()?.0 / 2.0;
    let late = curve.iter().filter(|(step, value)| *step >= middle && *value > 0.0);
    let logs: Vec<f64> = late.map(|(_, value)| value.ln()).collect();
    (!logs.is_empty()).then(|| (logs.iter().sum::<f64>() / logs.len() as f64).exp())
}

/// Settings that set cells apart, in a form that can be compared.
type Key = (String, String, [u64; 5]);

impl Cell {
    /// The cells of runs that reached their target. Runs that differ in their measurement alone are one training, and count once: with
    /// the λ_max of the first of them.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) if a configuration holds a number that is not finite.
    pub fn of_runs(reports: &[Report]) -> Result<Vec<Self>> {
        let mut cells: BTreeMap<Key, Self> = BTreeMap::new();
        let (mut counted, mut tracked) = (BTreeSet::new(), BTreeSet::new());
        for report in reports {
            let (Some(accuracy), Some(measured)) = (report.training.test_accuracy, &report.measurement)
            else {
                continue;
            };
            if report.training.outcome != Outcome::Converged {
                continue;
            }
            let between = measured.between_iterates.as_ref().map(|between| between.maximum);
            let lambda_max = between.unwrap_or(measured.lambda_max.value);
            let cell = Self::empty(report);
            let numbers = [cell.learning_rate, cell.batch_size, cell.train_examples, cell.rho, cell.dropout];
            let key = (cell.network.clone(), cell.data.clone(), numbers.map(f64::to_bits));
            let cell = cells.entry(key).or_insert(cell);
            let training =
                RunConfig { measure: MeasureConfig::new(), ..report.config.clone() }.canonical_json()?;
            if counted.insert(training.clone()) {
                cell.test_accuracy.push(accuracy);
                cell.lambda_max.push(lambda_max);
            }
            let curve = report.training.lambda_max.iter();
            let curve: Vec<(f64, f64)> = curve.map(|found| (f64::from(found.step), found.value)).collect();
            if let Some(mean) = late_mean(&curve).filter(|_| tracked.insert(training)) {
                cell.lambda_max_in_training.push(mean);
            }
        }
        Ok(cells.into_values().collect())
    }

    /// The cell of a run, without it.
    fn empty(report: &Report) -> Self {
        let config = &report.config;
        let activation = match config.model.activation {
            Nonlinearity::Relu => "",
            Nonlinearity::Gelu => "-gelu",
            Nonlinearity::Tanh => "-tanh",
        };
        let examples = config.data.train_examples;
        let examples = examples.map_or_else(String::new, |examples| format!(", {examples} examples"));
        let published = Model::new(config.model.arch);
        let (hidden, divisor) = (&config.model.hidden, config.model.width_divisor);
        let mut widths = String::new();
        if divisor != published.width_divisor {
            widths = format!(", widths / {divisor}");
        }
        if *hidden != published.hidden {
            widths = format!("{widths}, hidden {hidden:?}");
        }
        let TrainingConfig { momentum, nesterov, weight_decay, .. } = config.training;
        let mut optimizer = String::new();
        if momentum > 0.0 {
            optimizer = format!(", {}momentum {momentum}", if nesterov { "Nesterov " } else { "" });
        }
        if weight_decay > 0.0 {
            optimizer = format!("{optimizer}, weight decay {weight_decay}");
        }
        Self {
            network: format!("{}{activation}", config.model.arch.name()),
            data: format!("{}{examples}{widths}{optimizer}", config.data.name),
            learning_rate: config.training.learning_rate,
            edge: EdgeOfStability::of(&config.training),
            batch_size: config.training.batch_size as f64,
            train_examples: report.training.train_examples as f64,
            test_examples: report.training.test_examples as f64,
            rho: config.training.sam.as_ref().map_or(0.0, |sam| sam.rho),
            dropout: config.model.dropout,
            test_accuracy: Samples::Runs(Vec::new()),
            lambda_max: Samples::Runs(Vec::new()),
            lambda_max_in_training: Samples::Runs(Vec::new()),
        }
    }
}
