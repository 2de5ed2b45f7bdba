//! The optimizers that a run can name.

use clap::{ArgMatches, Args, Command, FromArgMatches};
use serde::{Deserialize, Deserializer, Serialize};

use super::adam::AdamConfig;
use super::rule::Settings;
use super::sgd::SgdConfig;
use crate::tagged::{self, Kind, Tagged};

/// The update from a gradient; the table `training.optimizer`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "name", rename_all = "lowercase")]
pub enum OptimizerConfig {
    /// Stochastic gradient descent.
    Sgd(SgdConfig),
    /// Adam, with the weight decay of AdamW.
    Adam(AdamConfig),
}

impl Tagged for OptimizerConfig {
    const KEY: &'static str = "training.optimizer";
    const FLAG: &'static str = "optimizer";
    const HELP: &'static str = "The update from a gradient";

    fn kinds() -> Vec<Kind<Self>> {
        vec![Kind::new("sgd", Self::Sgd), Kind::new("adam", Self::Adam)]
    }
}

impl OptimizerConfig {
    /// The settings of the optimizer that is named.
    pub fn settings(&self) -> &dyn Settings {
        match self {
            Self::Sgd(sgd) => sgd,
            Self::Adam(adam) => adam,
        }
    }
}

impl Default for OptimizerConfig {
    /// Plain SGD.
    fn default() -> Self {
        Self::Sgd(SgdConfig::default())
    }
}

impl FromArgMatches for OptimizerConfig {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        tagged::of_flags(matches)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = tagged::of_flags(matches)?;
        Ok(())
    }
}

impl Args for OptimizerConfig {
    fn augment_args(command: Command) -> Command {
        tagged::augment::<Self>(command)
    }

    fn augment_args_for_update(command: Command) -> Command {
        tagged::augment::<Self>(command)
    }
}

impl<'de> Deserialize<'de> for OptimizerConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        tagged::deserialize(deserializer)
    }
}
