//! The progress of a training or a measurement, and what is known after a step, an epoch and a training.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sharpness_curvature::Progress as SolverProgress;
use sharpness_network::Weights;

/// The memory that a measurement was predicted to take before it began, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Memory {
    /// The peak of the whole process: the two below, the weights, the data set and the program. A solve of more than 12
    /// products takes another vector for each, within the given bound.
    pub predicted_bytes: usize,
    /// Linearizations and the buffers of products.
    pub operator_bytes: usize,
    /// The solver's vectors.
    pub solver_bytes: usize,
}

/// What a measurement is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// The loss and its gradient.
    Gradient,
    /// The largest eigenvalues.
    LambdaMax,
    /// Another measure, by its name. The residual of an estimate is its standard error.
    Measure(&'static str),
}

/// The progress of a measurement.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MeasureProgress {
    /// What it is doing.
    pub phase: Phase,
    /// Hessian-vector products of this phase so far.
    pub products: usize,
    /// The current estimate of the eigenvalue; NaN before the first one.
    pub value: f64,
    /// The current residual, as estimated; NaN before the first one.
    pub residual: f64,
    /// Between iterates: which point this is, counted from 1, and how many there are.
    pub point: Option<(usize, usize)>,
    /// The predicted memory of the measurement.
    pub memory: Memory,
}

impl MeasureProgress {
    /// The progress of a solve for λ_max at one point.
    pub(crate) fn lambda_max(solver: &SolverProgress, memory: Memory) -> Self {
        let &SolverProgress { products, value, residual, .. } = solver;
        Self { phase: Phase::LambdaMax, products, value, residual, point: None, memory }
    }
}

/// λ_max after a step of the training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrackedLambdaMax {
    /// Steps since the start of the run.
    pub step: u32,
    /// The largest eigenvalue, as [`Eigenvalue::value`](crate::measures::Eigenvalue::value).
    pub value: f64,
    /// Its residual.
    pub residual: f64,
    /// Hessian-vector products that it took.
    pub products: usize,
    /// Whether the residual reached the requested tolerance, and the bound `bound_rtol` or 0.1, whichever is smaller.
    pub converged: bool,
    /// The mean loss of the measured examples; unknown in older runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loss: Option<f64>,
    /// The norm of the gradient on the measured examples; unknown in older runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gradient_norm: Option<f64>,
    /// `|uᵀ v|` of the eigenvector and the one measured before; none for the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overlap: Option<f64>,
    /// The outcomes of the measures of `training.through_measures`, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub outcomes: BTreeMap<String, serde_json::Value>,
}

/// How a training ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// The target accuracy was reached.
    Converged,
    /// The last allowed epoch ended below the target accuracy.
    MaxEpochs,
    /// A loss was not finite.
    Diverged,
    /// The observer asked to stop; the run can be resumed.
    Interrupted,
}

/// What is known at the end of an epoch; one line of `metrics.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EpochMetrics {
    /// The number of the epoch, from 1.
    pub epoch: u32,
    /// Steps since the start of the run.
    pub steps: u32,
    /// The mean loss of the epoch's batches, each before its step, in training mode; none in an imported run whose table left it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch_loss: Option<f64>,
    /// The accuracy on them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch_accuracy: Option<f64>,
    /// The mean loss over the training set at the epoch's end, in evaluation mode.
    pub train_loss: f64,
    /// The accuracy on the training set, from 0 to 1.
    pub train_accuracy: f64,
    /// The mean loss over the test set; in the last epoch, and in every one if the test set is no larger than the training set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test_loss: Option<f64>,
    /// The accuracy on the test set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test_accuracy: Option<f64>,
    /// λ_max at the epoch's end, if it is measured through training.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lambda_max: Option<TrackedLambdaMax>,
}

/// The progress of a run. With the configuration, it determines everything that follows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Epochs that have ended.
    pub epoch: u32,
    /// Steps taken in the current epoch.
    pub step_in_epoch: u32,
    /// Steps since the start of the run.
    pub step: u32,
    /// The sum of the losses over the examples of this epoch's steps.
    pub loss_sum: f64,
    /// How many of them were classified correctly.
    pub correct: f64,
    /// The number of these examples.
    pub seen: u64,
    /// The loss of the last batch whose loss was finite.
    pub last_batch_loss: Option<f64>,
    /// The metrics of the last epoch that ended with finite numbers.
    pub last_epoch: Option<EpochMetrics>,
    /// λ_max so far, if it is measured through training.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lambda_max: Vec<TrackedLambdaMax>,
    /// The training time in seconds.
    pub seconds: f64,
    /// How the training ended, once it has.
    pub outcome: Option<Outcome>,
}

/// Everything that is needed to resume a run, on the host. Single-precision numbers are exact.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainState {
    /// Parameters and running statistics.
    pub weights: Weights,
    /// The optimizer's state vectors, in the order of their names; none before the first step.
    pub optimizer: Vec<Vec<f64>>,
    /// The eigenvector of the last λ_max, if it is measured through training.
    pub eigenvector: Option<Vec<f64>>,
    /// The progress of the run.
    pub progress: Progress,
}

/// A step, as reported to an observer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepReport {
    /// The number of the epoch, from 1.
    pub epoch: u32,
    /// The number of the step in it, from 1.
    pub step_in_epoch: u32,
    /// Steps of an epoch.
    pub steps_per_epoch: u32,
    /// Steps since the start of the run.
    pub step: u32,
    /// The mean loss of the step's batch before the step.
    pub loss: f64,
}
