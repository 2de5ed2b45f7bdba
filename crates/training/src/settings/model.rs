//! The network.

use clap::Args;
use serde::{Deserialize, Serialize};
use sharpness_network::architectures::{self, Architecture};
use sharpness_network::backend::Activation;

use crate::range::{BelowOne, Count, Range as _, each, one_of, within};

/// A network: the architecture and its options.
#[derive(Args, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[command(next_help_heading = "Network")]
#[serde(deny_unknown_fields)]
pub struct ModelConfig {
    /// The architecture
    #[arg(id = "model.arch", long, value_name = "ARCH", default_value = "mlp", hide_default_value = true,
        value_parser = one_of(Architecture::ALL.map(|arch| (arch.name(), arch))))]
    pub arch: Architecture,

    /// The nonlinearity
    #[arg(id = "model.activation", long, value_name = "NAME", default_value = "relu", 
        value_parser = one_of(Activation::ALL.iter().map(|activation| (activation.name(), *activation))))]
    #[serde(default)]
    pub activation: Activation,

    /// Widths of an MLP's hidden layers
    #[arg(id = "model.hidden", long, value_name = "W,W,...", value_delimiter = ',', default_value = "256,256",
        value_parser = Count::parse)]
    #[serde(default = "published_hidden", deserialize_with = "each::<_, Count>")]
    pub hidden: Vec<usize>,

    /// Dropout probability after each hidden layer of an MLP
    #[arg(id = "model.dropout", long, value_name = "P", allow_negative_numbers = true, default_value_t = 0.0,
        value_parser = BelowOne::parse)]
    #[serde(default, deserialize_with = "within::<_, BelowOne>")]
    pub dropout: f64,

    /// Divide all widths of a convolutional network by this
    #[arg(id = "model.width_divisor", long, value_name = "N", default_value_t = 1, value_parser = Count::parse)]
    #[serde(default = "one", deserialize_with = "within::<_, Count>")]
    pub width_divisor: usize,
}

fn published_hidden() -> Vec<usize> {
    vec![256, 256]
}

const fn one() -> usize {
    1
}

impl ModelConfig {
    /// The options of the architecture.
    pub fn options(&self) -> architectures::ModelConfig {
        let Self { arch, activation, ref hidden, dropout, width_divisor } = *self;
        architectures::ModelConfig { arch, activation, hidden: hidden.clone(), dropout, width_divisor }
    }
}
