//! The families of networks and their options.

use serde::{Deserialize, Serialize};

use crate::backend::Activation;

/// A family of networks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "each name is the architecture's own")]
pub enum Architecture {
    Vgg11,
    Vgg11Bn,
    FixupResnet20,
    FixupResnet32,
    FixupResnet44,
    FixupResnet56,
    Mlp,
    Cnn,
    CnnBn,
}

/// The architecture and its options.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelConfig {
    /// The family.
    pub arch: Architecture,
    /// The nonlinearity.
    pub activation: Activation,
    /// Widths of the hidden layers of an MLP.
    pub hidden: Vec<usize>,
    /// The dropout probability after each hidden layer of an MLP.
    pub dropout: f64,
    /// All widths of a convolutional network are divided by this; 1 is the published network.
    pub width_divisor: usize,
}

impl ModelConfig {
    /// A published width, divided.
    pub(super) fn width(&self, published: usize) -> usize {
        (published / self.width_divisor).max(1)
    }
}
