//! Flags about examples.

use std::path::PathBuf;

use clap::Args;
use sharpness_experiments::data::{DatasetName, Standardization};

use super::one_of;

/// Which examples, and where they lie.
#[derive(Args, Debug, Default)]
#[command(next_help_heading = "Data")]
pub(crate) struct DataArgs {
    /// The data set
    #[arg(long, value_name = "NAME", value_parser = dataset_parser())]
    pub(crate) dataset: Option<DatasetName>,

    /// Center and scale pixels by position, by channel, or not at all [default: pixel]
    #[arg(long, value_name = "HOW",
        value_parser = one_of(Standardization::ALL.map(|choice| (choice.as_str(), choice))))]
    pub(crate) standardize: Option<Standardization>,

    /// Train on a class-balanced subset of N examples [default: all]
    #[arg(long, value_name = "N")]
    pub(crate) train_examples: Option<usize>,

    /// The seed that draws this subset; --seed does not change it [default: 0]
    #[arg(long, value_name = "N")]
    pub(crate) data_seed: Option<u64>,

    /// Look for data sets in this directory first
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
}

/// Accepts the data sets' names.
pub(crate) fn dataset_parser() -> impl clap::builder::TypedValueParser<Value = DatasetName> {
    one_of(DatasetName::ALL.map(|name| (name.as_str(), name)))
}
