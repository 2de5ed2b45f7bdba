//! How the learning rate changes from epoch to epoch.

use clap::{ArgMatches, Args, Command, FromArgMatches};
use serde::{Deserialize, Deserializer, Serialize};

use crate::range::{BelowOne, Count, Fraction, Range as _, within};
use crate::tagged::{self, Kind, Tagged};

/// The learning rate of each epoch; the table `training.schedule`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "name", rename_all = "lowercase")]
pub enum ScheduleConfig {
    /// The same in every epoch.
    Constant(Constant),
    /// Multiplied by a factor every few epochs.
    Step(Step),
    /// Half a period of the cosine over all epochs.
    Cosine(Cosine),
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
        vec![
            Kind::new("constant", Self::Constant),
            Kind::new("step", Self::Step),
            Kind::new("cosine", Self::Cosine),
        ]
    }
}

impl ScheduleConfig {
    /// The schedule that is named.
    pub fn schedule(&self) -> &dyn Schedule {
        match self {
            Self::Constant(constant) => constant,
            Self::Step(step) => step,
            Self::Cosine(cosine) => cosine,
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

/// The learning rate multiplied by a factor every few epochs, as `torch.optim.lr_scheduler.StepLR`.
#[derive(Args, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Step {
    /// Epochs between two drops of the step schedule
    #[arg(id = "training.schedule.step_epochs", long, value_name = "N", default_value_t = 30,
        value_parser = Count::parse)]
    #[serde(deserialize_with = "within::<_, Count>")]
    pub step_epochs: usize,

    /// Factor of the learning rate at each drop of the step schedule
    #[arg(id = "training.schedule.gamma", long, value_name = "FACTOR", allow_negative_numbers = true,
        default_value_t = 0.1, value_parser = Fraction::parse)]
    #[serde(deserialize_with = "within::<_, Fraction>")]
    pub gamma: f64,
}

impl Default for Step {
    fn default() -> Self {
        Self { step_epochs: 30, gamma: 0.1 }
    }
}

impl Schedule for Step {
    fn factor(&self, epoch: u32, _: u32) -> f64 {
        let drops = epoch as usize / self.step_epochs;
        self.gamma.powf(drops as f64)
    }
}

/// The learning rate along half a period of the cosine, as `torch.optim.lr_scheduler.CosineAnnealingLR` with `T_max`
/// equal to `max_epochs` (Loshchilov and Hutter 2017, without restarts).
#[derive(Args, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Cosine {
    /// Fraction of the learning rate at which the cosine schedule ends, after --max-epochs
    #[arg(id = "training.schedule.final_factor", long, value_name = "FRACTION", allow_negative_numbers = true,
        default_value_t = 0.0, value_parser = BelowOne::parse)]
    #[serde(deserialize_with = "within::<_, BelowOne>")]
    pub final_factor: f64,
}

impl Schedule for Cosine {
    fn factor(&self, epoch: u32, max_epochs: u32) -> f64 {
        let angle = std::f64::consts::PI * f64::from(epoch) / f64::from(max_epochs);
        self.final_factor + (1.0 - self.final_factor) * (1.0 + angle.cos()) / 2.0
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
