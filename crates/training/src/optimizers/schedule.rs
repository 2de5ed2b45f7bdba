//! How the learning rate changes from epoch to epoch.

use clap::{ArgMatches, Args, Command, FromArgMatches};
use serde::{Deserialize, Deserializer, Serialize};

use crate::tagged::{self, Kind, Tagged};

/// The learning rate of each epoch; the table `training.schedule`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "name", rename_all = "lowercase")]
pub enum ScheduleConfig {
    /// The same in every epoch.
    Constant(Constant),
}

/// A factor of the learning rate.
pub trait Schedule {
    /// The factor in the epoch with this number, from 0, of a training of at most `max_epochs`.
    fn factor(&self, epoch: u32, max_epochs: u32) -> f64;
}

impl Tagged for ScheduleConfig {
    const KEY: &'static str = "training.schedule";
    const FLAG: &'static str = "schedule";
    const HELP: &'static str = "How the learning rate changes from epoch to epoch";

    fn kinds() -> Vec<Kind<Self>> {
        vec![Kind::new("constant", Self::Constant)]
    }
}

impl ScheduleConfig {
    /// The schedule that is named.
    pub fn schedule(&self) -> &dyn Schedule {
        match self {
            Self::Constant(constant) => constant,
        }
    }

    /// Whether the learning rate never changes.
    pub const fn is_constant(&self) -> bool {
        matches!(self, Self::Constant(_))
    }
}

/// The same learning rate in every epoch.
#[derive(Args, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Constant {}

impl Schedule for Constant {
    fn factor(&self, _: u32, _: u32) -> f64 {
        1.0
    }
}

impl Default for ScheduleConfig {
    fn default() -> Self {
        Self::Constant(Constant {})
    }
}

impl FromArgMatches for ScheduleConfig {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        tagged::of_flags(matches)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = tagged::of_flags(matches)?;
        Ok(())
    }
}

impl Args for ScheduleConfig {
    fn augment_args(command: Command) -> Command {
        tagged::augment::<Self>(command)
    }

    fn augment_args_for_update(command: Command) -> Command {
        tagged::augment::<Self>(command)
    }
}

impl<'de> Deserialize<'de> for ScheduleConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        tagged::deserialize(deserializer)
    }
}
