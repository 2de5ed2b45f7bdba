//! Flags about existing weights.

use std::path::PathBuf;

use clap::Args;
use sharpness_network::{Match, Rename};

use super::names::one_of;

/// Where the weights come from, and how their file is read.
#[derive(Args, Debug)]
#[command(next_help_heading = "Weights")]
pub(crate) struct WeightsArgs {
    /// A safetensors file with PyTorch's names; prefixes such as `module.` do not matter
    #[arg(long, value_name = "FILE", required_unless_present = "run")]
    pub(crate) weights: Option<PathBuf>,

    /// The directory of a run: its weights, network, data and settings
    #[arg(long, value_name = "DIR")]
    pub(crate) run: Option<PathBuf>,

    /// Also search λ_max at eight points between the last iterate of the run and the next one, which is computed
    /// exactly as in its training; the run may be finished or stopped
    #[arg(id = "at_iterates", long = "between-iterates", requires = "run", conflicts_with = "weights")]
    pub(crate) between_iterates: bool,

    /// Pair tensors with layers by name or, if names differ, by shape and the numbers in their names [default: name]
    #[arg(long, value_name = "HOW",
        value_parser = one_of([("name", Match::Name), ("order", Match::Order)]))]
    pub(crate) r#match: Option<Match>,

    /// Pair a tensor or module of the file with one of the network, such as net.0=fc1; repeatable
    #[arg(long, value_name = "FILE_NAME=NETWORK_NAME")]
    pub(crate) rename: Vec<Rename>,

    /// A text file with one such pair per line; lines that start with # are comments
    #[arg(long, value_name = "FILE")]
    pub(crate) rename_file: Option<PathBuf>,
}
