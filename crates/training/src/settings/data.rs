//! Which examples, and how they are standardized.

use clap::Args;
use serde::{Deserialize, Serialize};
use sharpness_data::{DatasetName, Standardization};

use crate::range::{Count, Range as _, Seed, one_of, optional, within};

/// Which examples, and how they are standardized.
#[derive(Args, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[command(next_help_heading = "Data")]
#[serde(deny_unknown_fields)]
pub struct DataConfig {
    /// The data set
    #[arg(id = "data.name", long = "dataset", value_name = "NAME", default_value = "digits", hide_default_value = true,
        value_parser = one_of(DatasetName::ALL.map(|name| (name.as_str(), name))))]
    pub name: DatasetName,

    /// Center and scale pixels by position, by channel, or not at all
    #[arg(id = "data.standardize", long, value_name = "HOW", default_value = "pixel",
        value_parser = one_of(Standardization::ALL.map(|choice| (choice.as_str(), choice))))]
    #[serde(default)]
    pub standardize: Standardization,

    /// Train on a class-balanced subset of N examples [default: all]
    #[arg(id = "data.train_examples", long, value_name = "N", value_parser = Count::parse)]
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "optional::<_, Count>")]
    pub train_examples: Option<usize>,

    /// The seed that draws this subset; --seed does not change it
    #[arg(id = "data.seed", long = "data-seed", value_name = "N", default_value_t = 0, value_parser = Seed::parse)]
    #[serde(default, deserialize_with = "within::<_, Seed>")]
    pub seed: u64,
}

impl DataConfig {
    /// The number of examples to train on.
    pub fn trained_examples(&self) -> usize {
        self.train_examples.unwrap_or_else(|| self.name.train_examples())
    }
}
