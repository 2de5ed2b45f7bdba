//! Stochastic gradient descent as PyTorch defines it (`torch.optim.SGD` without dampening).

use clap::Args;
use serde::{Deserialize, Serialize};
use sharpness_network::backend::{Sgd, Update};

use super::edge_of_stability::EdgeOfStability;
use super::rule::Settings;
use crate::range::{BelowOne, NonNegative, Range as _, within};

/// The settings of SGD.
#[derive(Args, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SgdConfig {
    /// Momentum, as PyTorch defines it
    #[arg(id = "training.optimizer.momentum", long, value_name = "M", allow_negative_numbers = true,
        default_value_t = 0.0, value_parser = BelowOne::parse)]
    #[serde(deserialize_with = "within::<_, BelowOne>")]
    pub momentum: f64,

    /// Use Nesterov's momentum
    #[arg(id = "training.optimizer.nesterov", long, value_name = "BOOL", num_args = 0..=1, require_equals = true,
        default_value_t = false, default_missing_value = "true", action = clap::ArgAction::Set, hide_default_value = true)]
    pub nesterov: bool,

    /// Weight decay: added to the gradient by SGD, decoupled from it (AdamW) by Adam
    #[arg(id = "training.optimizer.weight_decay", long, value_name = "FACTOR", allow_negative_numbers = true,
        default_value_t = 0.0, value_parser = NonNegative::parse)]
    #[serde(deserialize_with = "within::<_, NonNegative>")]
    pub weight_decay: f64,
}

impl Settings for SgdConfig {
    fn state_vectors(&self) -> &'static [&'static str] {
        if self.momentum > 0.0 { &["momentum"] } else { &[] }
    }

    fn update(&self, _: u32, learning_rate: f64) -> Update {
        let Self { momentum, nesterov, weight_decay } = *self;
        Update::Sgd(Sgd { learning_rate, weight_decay, momentum, nesterov })
    }

    fn edge_of_stability(&self) -> Option<EdgeOfStability> {
        Some(EdgeOfStability::new(self.momentum, self.nesterov, self.weight_decay))
    }

    fn validate(&self) -> Result<(), (&'static str, String)> {
        if self.nesterov && self.momentum <= 0.0 {
            let problem = "needs a momentum above 0; set momentum, or turn Nesterov's momentum off";
            return Err(("nesterov", problem.to_owned()));
        }
        Ok(())
    }
}
