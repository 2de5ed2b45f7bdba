//! Flags about the network.

use clap::Args;
use sharpness_experiments::network::architectures::Architecture;
use sharpness_experiments::network::backend::Activation;

use super::{Widths, one_of};

/// The architecture as a flag; `info` has it as an argument of its own.
#[derive(Args, Debug, Default)]
#[command(next_help_heading = "Network")]
pub(crate) struct ArchArg {
    /// The architecture
    #[arg(long, value_name = "ARCH", value_parser = architecture_parser())]
    pub(crate) arch: Option<Architecture>,
}

/// The options of an architecture.
#[derive(Args, Debug, Default)]
#[command(next_help_heading = "Network")]
pub(crate) struct ModelArgs {
    /// The nonlinearity [default: relu]
    #[arg(long, value_name = "NAME", value_parser = activation_parser())]
    pub(crate) activation: Option<Activation>,

    /// Widths of an MLP's hidden layers [default: 256,256]
    #[arg(long, value_name = "W,W,...")]
    pub(crate) hidden: Option<Widths>,

    /// Dropout probability after each hidden layer of an MLP [default: 0]
    #[arg(long, value_name = "P", allow_negative_numbers = true)]
    pub(crate) dropout: Option<f64>,

    /// Divide all widths of a convolutional network by this [default: 1]
    #[arg(long, value_name = "N")]
    pub(crate) width_divisor: Option<usize>,
}

/// Accepts the activations' names.
fn activation_parser() -> impl clap::builder::TypedValueParser<Value = Activation> {
    one_of(Activation::ALL.iter().map(|&kind| (kind.name(), kind)))
}

/// Accepts the architectures' names.
pub(crate) fn architecture_parser() -> impl clap::builder::TypedValueParser<Value = Architecture> {
    one_of(Architecture::ALL.map(|arch| (arch.name(), arch)))
}
