//! The results of a run.

use serde::{Deserialize, Serialize};
use sharpness_training::measures::Measurement;
use sharpness_training::settings::RunConfig;
use sharpness_training::{Outcome, Progress, TrackedLambdaMax};

/// All results of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The name of the run: of its training and its measurement.
    pub id: String,
    /// The name of its training, possibly shared with other runs.
    #[serde(default)]
    pub training_id: String,
    /// What the run depends on.
    pub config: RunConfig,
    /// The results of the training.
    pub training: TrainReport,
    /// The measurement at its end. None if the run diverged or was not to be measured.
    pub measurement: Option<Measurement>,
}

/// The numbers of a training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrainReport {
    /// How it ended.
    pub outcome: Outcome,
    /// Completed epochs.
    pub epochs: u32,
    /// Steps taken.
    pub steps: u32,
    /// Accuracy on the training set at the end of the last epoch, from 0 to 1; none before the first has ended.
    pub train_accuracy: Option<f64>,
    /// Mean loss over the training set then.
    pub train_loss: Option<f64>,
    /// Accuracy on the test set then; none if the training ended within an epoch and the test set is larger than the training set.
    pub test_accuracy: Option<f64>,
    /// Mean loss over the test set then.
    pub test_loss: Option<f64>,
    /// The mean loss of the last batch whose loss was finite, before its step.
    pub last_batch_loss: Option<f64>,
    /// The training time in seconds, over all processes, with that of measuring on the way.
    pub seconds: f64,
    /// Parameters of the network.
    pub parameters: usize,
    /// Examples trained on.
    pub train_examples: usize,
    /// Test examples.
    pub test_examples: usize,
    /// λ_max before the first step and at the end of each epoch, if it is measured through training.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lambda_max: Vec<TrackedLambdaMax>,
}

/// Counts that do not change through a training.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counts {
    pub(crate) parameters: usize,
    pub(crate) train_examples: usize,
    pub(crate) test_examples: usize,
}

impl TrainReport {
    pub(crate) fn new(outcome: Outcome, progress: &Progress, counts: Counts) -> Self {
        let epoch = progress.last_epoch.as_ref();
        Self {
            outcome,
            epochs: progress.epoch,
            steps: progress.step,
            train_accuracy: epoch.map(|epoch| epoch.train_accuracy),
            train_loss: epoch.map(|epoch| epoch.train_loss),
            test_accuracy: epoch.and_then(|epoch| epoch.test_accuracy),
            test_loss: epoch.and_then(|epoch| epoch.test_loss),
            last_batch_loss: progress.last_batch_loss,
            seconds: progress.seconds,
            parameters: counts.parameters,
            train_examples: counts.train_examples,
            test_examples: counts.test_examples,
            lambda_max: progress.lambda_max.clone(),
        }
    }

    /// The median number of products of λ_max through training, without the first one, which has no eigenvector to
    /// start from.
    pub fn median_products(&self) -> Option<usize> {
        let mut products: Vec<usize> = self.lambda_max.iter().skip(1).map(|found| found.products).collect();
        products.sort_unstable();
        products.get(products.len() / 2).copied()
    }
}
