//! Adam with decoupled weight decay, as `torch.optim.AdamW` defines it (Kingma and Ba 2015; Loshchilov and Hutter 2019). Without
//! weight decay it is `torch.optim.Adam`.

use clap::Args;
use serde::{Deserialize, Serialize};
use sharpness_network::backend::{Adam, Update};

use super::edge_of_stability::EdgeOfStability;
use super::rule::{Preconditioner, Settings};
use crate::range::{BelowOne, NonNegative, Positive, Range as _, within};

/// The settings of Adam.
#[derive(Args, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AdamConfig {
    /// Decay rate of Adam's mean of gradients
    #[arg(id = "training.optimizer.beta1", long, value_name = "BETA", allow_negative_numbers = true,
        default_value_t = 0.9, value_parser = BelowOne::parse)]
    #[serde(deserialize_with = "within::<_, BelowOne>")]
    pub beta1: f64,

    /// Decay rate of Adam's mean of squared gradients
    #[arg(id = "training.optimizer.beta2", long, value_name = "BETA", allow_negative_numbers = true,
        default_value_t = 0.999, value_parser = BelowOne::parse)]
    #[serde(deserialize_with = "within::<_, BelowOne>")]
    pub beta2: f64,

    /// Term that Adam adds to the denominator
    #[arg(id = "training.optimizer.epsilon", long, value_name = "EPS", allow_negative_numbers = true,
        default_value = "1e-8", value_parser = Positive::parse)]
    #[serde(deserialize_with = "within::<_, Positive>")]
    pub epsilon: f64,

    /// Weight decay: added to the gradient by SGD, decoupled from it (AdamW) by Adam
    #[arg(id = "training.optimizer.weight_decay", long, value_name = "FACTOR", allow_negative_numbers = true,
        default_value_t = 0.0, value_parser = NonNegative::parse)]
    #[serde(deserialize_with = "within::<_, NonNegative>")]
    pub weight_decay: f64,
}

impl Default for AdamConfig {
    fn default() -> Self {
        Self { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 0.0 }
    }
}

impl Settings for AdamConfig {
    fn state_vectors(&self) -> &'static [&'static str] {
        &["exp_avg", "exp_avg_sq"]
    }

    fn update(&self, step: u32, learning_rate: f64) -> Update {
        let Self { beta1, beta2, epsilon, weight_decay } = *self;
        Update::Adam(Adam { learning_rate, weight_decay, betas: [beta1, beta2], epsilon, step: step + 1 })
    }

    /// `P = (1 - β₁^t) (√(v / (1 - β₂^t)) + ε)` and `(2 + 2 β₁) / ((1 - β₁) η)` (Cohen et al. 2022, section 3).
    fn preconditioner(&self, state: &[Vec<f64>], step: u32, learning_rate: f64) -> Option<Preconditioner> {
        let Self { beta1, beta2, epsilon, .. } = *self;
        let moments = state.get(1).filter(|_| step > 0)?;
        let [first, second] = [beta1, beta2].map(|beta| 1.0 - beta.powf(f64::from(step)));
        let diagonal = moments.iter().map(|v| first * ((v / second).sqrt() + epsilon)).collect();
        let edge_of_stability = (2.0 + 2.0 * beta1) / ((1.0 - beta1) * learning_rate);
        Some(Preconditioner { diagonal, edge_of_stability })
    }

    // The edge of the preconditioned Hessian is known (Cohen et al. 2022), that of the Hessian is not.
    fn edge_of_stability(&self) -> Option<EdgeOfStability> {
        None
    }
}
