//! How a network is trained.

use std::sync::LazyLock;

use clap::Args;
use serde::{Deserialize, Serialize};
use sharpness_network::backend::Loss;

use super::cadence::Cadence;
use super::defaults::defaults;
use crate::optimizers::{EdgeOfStability, OptimizerConfig, SamConfig, ScheduleConfig};
use crate::range::{Count, Epochs, Fraction, Positive, Range as _, Tolerance, one_of, optional, within};

/// An optimizer, its schedule, and when to stop.
#[derive(Args, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[command(next_help_heading = "Training")]
#[serde(deny_unknown_fields, default)]
pub struct TrainingConfig {
    /// The loss of an example
    #[arg(id = "training.loss", long, value_name = "NAME", default_value = "cross-entropy", value_parser = one_of([
        ("cross-entropy", Loss::SoftmaxCrossEntropy), ("squared-error", Loss::SquaredError)]))]
    pub loss: Loss,

    /// Step size
    #[arg(id = "training.learning_rate", long = "lr", value_name = "ETA", allow_negative_numbers = true,
        default_value_t = 0.05, value_parser = Positive::parse)]
    #[serde(deserialize_with = "within::<_, Positive>")]
    pub learning_rate: f64,

    /// Examples of one step; the last batch of an epoch may be smaller
    #[arg(id = "training.batch_size", long, value_name = "B", default_value_t = 100, value_parser = Count::parse)]
    #[serde(deserialize_with = "within::<_, Count>")]
    pub batch_size: usize,

    /// Examples whose gradient is computed at once, at most the batch; also the batch of batch norm
    #[arg(id = "training.micro_batch_size", long, value_name = "B", default_value_t = 1000, value_parser = Count::parse)]
    #[serde(deserialize_with = "within::<_, Count>")]
    pub micro_batch_size: usize,

    /// The update from a gradient.
    #[command(flatten)]
    pub optimizer: OptimizerConfig,

    /// How the learning rate changes through training.
    #[command(flatten)]
    pub schedule: ScheduleConfig,

    /// Steps over which the learning rate rises linearly to that of the schedule
    #[arg(id = "training.warmup_steps", long, value_name = "N", default_value_t = 0)]
    pub warmup_steps: u32,

    /// Sharpness-aware minimization; if unset, the gradient is taken at the weights themselves.
    #[command(flatten)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sam: Option<SamConfig>,

    /// Stop at the first epoch end with this train accuracy, dropout off
    #[arg(id = "training.target_accuracy", long, value_name = "A", allow_negative_numbers = true,
        default_value_t = 0.99, value_parser = Fraction::parse)]
    #[serde(deserialize_with = "within::<_, Fraction>")]
    pub target_accuracy: f64,

    /// Stop after this many epochs, even below the target accuracy
    #[arg(id = "training.max_epochs", long, value_name = "N", default_value_t = 1000, value_parser = Epochs::parse)]
    #[serde(deserialize_with = "within::<_, Epochs>")]
    pub max_epochs: u32,

    /// Also measure λ_max through training, to this relative residual: before the first step, and then as --through-every says. Each
    /// time takes 5 to 15 products on --examples: on a tenth of the training set as long as one to three epochs
    #[arg(id = "training.through_training", long, value_name = "TOL", allow_negative_numbers = true,
        value_parser = Tolerance::parse)]
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "optional::<_, Tolerance>")]
    pub through_training: Option<f64>,

    /// How often λ_max is measured through training, such as `2 epochs` or `50 steps` [default: 1 epoch]
    #[arg(id = "training.through_every", long, value_name = "EVERY")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub through_every: Option<Cadence>,

    /// Also compute these measures each time, by name, such as batch_sharpness,trace; unless their settings are given, with few probes
    #[arg(id = "training.through_measures", long, value_name = "NAME,...", value_delimiter = ',')]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub through_measures: Vec<String>,
}

impl Default for TrainingConfig {
    fn default() -> Self {
        static DEFAULTS: LazyLock<TrainingConfig> = LazyLock::new(defaults);
        DEFAULTS.clone()
    }
}

impl TrainingConfig {
    /// The number of examples in a full micro-batch, whose statistics batch norm uses in training. Micro-batches cross
    /// neither batches nor the groups of SAM.
    pub fn micro_batch(&self) -> usize {
        let group = self.sam.as_ref().and_then(|sam| sam.m).unwrap_or(self.batch_size);
        self.micro_batch_size.min(group)
    }

    /// The learning rate of the step `step` in the epoch `epoch`, both counted from 0.
    pub fn learning_rate_at(&self, epoch: u32, step: u32) -> f64 {
        let factor = self.schedule.schedule().factor(epoch, self.max_epochs);
        let warmup =
            if step < self.warmup_steps { f64::from(step + 1) / f64::from(self.warmup_steps) } else { 1.0 };
        self.learning_rate * factor * warmup
    }

    /// The edge of stability; none for SAM, whose edge also depends on the gradient (Long and Bartlett 2024), and for
    /// learning rates that change.
    pub fn edge_of_stability(&self) -> Option<EdgeOfStability> {
        let is_plain = self.sam.is_none() && self.schedule.is_constant() && self.warmup_steps == 0;
        is_plain.then(|| self.optimizer.settings().edge_of_stability()).flatten()
    }

    /// The number of steps of an epoch over `examples` examples.
    pub fn steps_per_epoch(&self, examples: usize) -> u32 {
        u32::try_from(examples.div_ceil(self.batch_size.max(1))).unwrap_or(u32::MAX)
    }
}
