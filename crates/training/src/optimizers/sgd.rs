//! Stochastic gradient descent as PyTorch defines it (`torch.optim.SGD` without dampening).

use clap::Args;
use serde::{Deserialize, Serialize};
use sharpness_network::backend::{Backend, Sgd as Update, View, ViewMut};

use super::edge_of_stability::EdgeOfStability;
use super::rule::{Rule, Settings, state_buffers};
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

    /// Factor of the weights that is added to the gradient
    #[arg(id = "training.optimizer.weight_decay", long, value_name = "FACTOR", allow_negative_numbers = true,
        default_value_t = 0.0, value_parser = NonNegative::parse)]
    #[serde(deserialize_with = "within::<_, NonNegative>")]
    pub weight_decay: f64,
}

impl SgdConfig {
    pub(super) fn rule<B: Backend>(&self, backend: &B, dim: usize, state: &[Vec<f64>]) -> Sgd<B> {
        Sgd { config: self.clone(), momentum: state_buffers(backend, dim, self, state).pop(), dim }
    }
}

impl Settings for SgdConfig {
    fn state_vectors(&self) -> &'static [&'static str] {
        if self.momentum > 0.0 { &["momentum"] } else { &[] }
    }

    fn edge_of_stability(&self) -> Option<EdgeOfStability> {
        Some(EdgeOfStability::new(self.momentum, self.nesterov, self.weight_decay))
    }

    fn validate(&self) -> Result<(), (&'static str, String)> {
        if self.nesterov && self.momentum <= 0.0 {
            let problem = "needs a momentum above 0; set momentum, or leave Nesterov's momentum off";
            return Err(("nesterov", problem.to_owned()));
        }
        Ok(())
    }
}

/// The rule of the update, as [`Backend::sgd`] follows it, and the buffer of momentum.
#[derive(Debug)]
pub(super) struct Sgd<B: Backend> {
    config: SgdConfig,
    momentum: Option<B::Buffer>,
    dim: usize,
}

impl<B: Backend> Rule<B> for Sgd<B> {
    fn state(&self) -> Vec<&B::Buffer> {
        self.momentum.iter().collect()
    }

    fn update(
        &mut self,
        backend: &B,
        (_, learning_rate): (u32, f64),
        gradient: View<'_, B::Buffer>,
        parameters: ViewMut<'_, B::Buffer>,
    ) {
        let SgdConfig { momentum, nesterov, weight_decay } = self.config;
        let update = Update { learning_rate, weight_decay, momentum, nesterov };
        let buffer = self.momentum.as_mut().map(|buffer| ViewMut::new(buffer, 0, self.dim));
        backend.sgd(&update, gradient, buffer, parameters);
    }
}
