//! Training until a stopping rule.
//!
//! | file | subject |
//! | --- | --- |
//! | `trainer.rs` | the loop over epochs and steps |
//! | `evaluation.rs` | loss and accuracy over a whole set of examples |
//! | `memory.rs` | the memory that it takes |

mod evaluation;
mod memory;
mod trainer;

use serde::{Deserialize, Serialize};
use sharpness_network::backend::Backend;
use sharpness_network::op::{BatchNorm, Dropout, Pass};
use sharpness_network::{Network, Sums, Weights};

use self::evaluation::Evaluation;
pub use self::memory::training_bytes;
pub(crate) use self::memory::{device_bytes, state_bytes};
pub(crate) use self::trainer::Trainer;
use crate::config::RunConfig;
use crate::data::{Part, Standardized};
use crate::measures::{MeasureProgress, TrackedLambdaMax};
use crate::optimizers::{Examples, Images};
use crate::seeds::Purpose;
use crate::store::Damage;

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
    /// The observer asked to stop; the run can go on.
    Interrupted,
}

/// What is known at the end of an epoch; one line of `metrics.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EpochMetrics {
    /// The number of the epoch, from 1.
    pub epoch: u32,
    /// Steps since the start of the run.
    pub steps: u32,
    /// The mean loss of the epoch's batches, each before its step, in training mode.
    pub batch_loss: f64,
    /// The accuracy on them.
    pub batch_accuracy: f64,
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
    /// λ_max at the epoch's end, where it is measured through training.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lambda_max: Option<TrackedLambdaMax>,
}

/// How far a run has come. With the configuration it determines all that follows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Epochs that have ended.
    pub epoch: u32,
    /// Steps made in the epoch that has begun.
    pub step_in_epoch: u32,
    /// Steps since the start of the run.
    pub step: u32,
    /// The sum of the losses of the examples that this epoch's steps saw.
    pub loss_sum: f64,
    /// How many of them were classified correctly.
    pub correct: f64,
    /// How many they are.
    pub seen: u64,
    /// The loss of the last batch whose loss was finite.
    pub last_batch_loss: Option<f64>,
    /// The metrics of the last epoch that ended with finite numbers.
    pub last_epoch: Option<EpochMetrics>,
    /// λ_max so far, where it is measured through training.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lambda_max: Vec<TrackedLambdaMax>,
    /// The time that training has taken, in seconds.
    pub seconds: f64,
    /// How the training ended, once it has.
    pub outcome: Option<Outcome>,
}

/// All that a run needs to go on, on the host. Single-precision numbers are held exactly.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainState {
    /// Parameters and running statistics.
    pub weights: Weights,
    /// The momentum buffer, once a step with momentum has been made.
    pub momentum: Option<Vec<f64>>,
    /// The eigenvector of the last λ_max, where that is measured through training.
    pub eigenvector: Option<Vec<f64>>,
    /// How far the run has come.
    pub progress: Progress,
}

/// What an observer hears of a step.
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

/// Who watches a run: a progress bar, the handler of Ctrl-C, a test.
pub trait Observer {
    /// A step has been made.
    fn on_step(&mut self, step: &StepReport) {
        let _ = step;
    }
    /// An epoch has ended, with finite numbers.
    fn on_epoch(&mut self, metrics: &EpochMetrics) {
        let _ = metrics;
    }
    /// The measurement at the end of the run has come further.
    fn on_measure(&mut self, progress: &MeasureProgress) {
        let _ = progress;
    }
    /// A damaged file of the run was set aside, and what it held is made again.
    fn on_damage(&mut self, damage: &Damage) {
        let _ = damage;
    }
    /// Whether to save and stop; asked after every step, and between the chunks of a measurement.
    fn should_stop(&mut self) -> bool {
        false
    }
}

/// Nobody watches.
impl Observer for () {}

/// The pass of a training step: statistics of the batch, and the dropout masks of the step with the number `step` from 0.
pub(crate) fn training_pass(config: &RunConfig, step: u32) -> Pass {
    let seed = Purpose::Dropout.seed(config.seed);
    let dropout = (config.model.dropout > 0.0).then_some(Dropout { seed, step });
    Pass { batch_norm: BatchNorm::Batch, dropout }
}

/// The mean loss and the accuracy of weights over a part of the data, in evaluation mode.
///
/// # Panics
/// If the weights or the data do not have the sizes of the network.
pub fn evaluate<B: Backend>(
    network: &Network<B>,
    data: &Standardized,
    part: Part,
    weights: &Weights,
) -> Sums {
    let count = data.dataset().split(part).labels().len();
    let numbers: Vec<u32> = (0_u32..).take(count).collect();
    let [parameters, state] = [&weights.parameters, &weights.state].map(|flat| network.upload(flat));
    let examples = PartExamples::new(data, part);
    Evaluation::new(network, count).mean(network, (&parameters, &state), &examples, &numbers)
}

/// The examples of one part of a data set.
#[derive(Clone, Copy, Debug)]
pub struct PartExamples<'a> {
    data: &'a Standardized,
    part: Part,
}

impl<'a> PartExamples<'a> {
    /// The examples of `part`, numbered as in the data set.
    pub const fn new(data: &'a Standardized, part: Part) -> Self {
        Self { data, part }
    }
}

impl Examples for PartExamples<'_> {
    fn images(&self) -> Images<'_> {
        Images::Pixels(self.data.pixels(self.part))
    }

    fn label(&self, number: u32) -> u32 {
        u32::from(self.data.dataset().split(self.part).labels()[number as usize])
    }
}
