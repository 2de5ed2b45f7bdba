//! Flags about training.

use clap::Args;
use sharpness_experiments::config::{BnStats, LossName};

use super::one_of;

/// How a network is trained.
#[derive(Args, Debug, Default)]
#[command(next_help_heading = "Training")]
pub(crate) struct TrainingArgs {
    /// Step size [default: 0.05]
    #[arg(long, value_name = "ETA", allow_negative_numbers = true)]
    pub(crate) lr: Option<f64>,

    /// Examples of one step [default: 100]
    #[arg(long, value_name = "B")]
    pub(crate) batch_size: Option<usize>,

    /// Examples whose gradient is computed at once; also the batch of batch norm [default: the batch, at most 1000]
    #[arg(long, value_name = "B")]
    pub(crate) micro_batch_size: Option<usize>,

    /// Momentum, as PyTorch defines it [default: 0]
    #[arg(long, value_name = "M", allow_negative_numbers = true)]
    pub(crate) momentum: Option<f64>,

    /// Use Nesterov's momentum
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(crate) nesterov: Option<bool>,

    /// Factor of the weights that is added to the gradient [default: 0]
    #[arg(long, value_name = "FACTOR", allow_negative_numbers = true)]
    pub(crate) weight_decay: Option<f64>,

    /// Train with sharpness-aware minimization (SAM) of this radius
    #[arg(long, value_name = "RHO", allow_negative_numbers = true)]
    pub(crate) sam_rho: Option<f64>,

    /// Scale SAM's perturbation by the weights (ASAM)
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(crate) asam: Option<bool>,

    /// Examples that share a perturbation of SAM [default: the batch]
    #[arg(long, value_name = "M")]
    pub(crate) sam_m: Option<usize>,

    /// Which of SAM's passes move batch norm's running statistics [default: first]
    #[arg(long, value_name = "WHICH",
        value_parser = one_of([("first", BnStats::First), ("both", BnStats::Both)]))]
    pub(crate) bn_stats: Option<BnStats>,

    /// The loss of an example [default: cross-entropy]
    #[arg(long, value_name = "NAME", value_parser = loss_parser())]
    pub(crate) loss: Option<LossName>,

    /// Stop at the first epoch end with this train accuracy, dropout off [default: 0.99]
    #[arg(long, value_name = "A", allow_negative_numbers = true)]
    pub(crate) target_accuracy: Option<f64>,

    /// Stop after this many epochs in any case [default: 1000]
    #[arg(long, value_name = "N")]
    pub(crate) max_epochs: Option<u32>,
}

/// Accepts the losses' names.
pub(crate) fn loss_parser() -> impl clap::builder::TypedValueParser<Value = LossName> {
    one_of([("cross-entropy", LossName::CrossEntropy), ("squared-error", LossName::SquaredError)])
}
