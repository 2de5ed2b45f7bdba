//! Flags of settings: the ones of [`flags::command`] that a command has.

use std::marker::PhantomData;

use clap::{ArgMatches, Args, Command, FromArgMatches};
use sharpness_training::flags;
use toml::Table;

/// Which settings a command has flags for.
pub(crate) trait Scope {
    /// Whether it has one for the setting with this key.
    fn has(key: &str) -> bool;
}

/// All settings of a run.
#[derive(Debug)]
pub(crate) struct RunScope;

impl Scope for RunScope {
    fn has(_: &str) -> bool {
        true
    }
}

/// The settings of existing weights: of their training, only the loss matters.
#[derive(Debug)]
pub(crate) struct WeightsScope;

impl Scope for WeightsScope {
    fn has(key: &str) -> bool {
        let has_own = ["measure.examples", "measure.between_iterates"].contains(&key);
        (!key.starts_with("training.") && !has_own) || key == "training.loss"
    }
}

/// The settings of the loss around existing weights: no measures but the eigenvectors, whose number follows from the dimensions.
#[derive(Debug)]
pub(crate) struct AroundScope;

impl Scope for AroundScope {
    fn has(key: &str) -> bool {
        let of_solver = ["measure.rtol", "measure.bound_rtol", "measure.max_products"];
        BetweenScope::has(key) || of_solver.contains(&key)
    }
}

/// The settings of the loss between existing weights: no measures at all.
#[derive(Debug)]
pub(crate) struct BetweenScope;

impl Scope for BetweenScope {
    fn has(key: &str) -> bool {
        let of_loss = ["measure.subset", "measure.bn", "measure.chunk"];
        WeightsScope::has(key) && (!key.starts_with("measure.") || of_loss.contains(&key))
    }
}

/// The options of a network.
#[derive(Debug)]
pub(crate) struct ModelScope;

impl Scope for ModelScope {
    fn has(key: &str) -> bool {
        key.starts_with("model.") && key != "model.arch"
    }
}

/// The settings given as flags, as a table that overlays those of a file.
#[derive(Debug)]
pub(crate) struct SettingFlags<S> {
    /// The settings.
    pub(crate) table: Table,
    scope: PhantomData<S>,
}

impl<S> SettingFlags<S> {
    /// Whether a flag was given for the setting with this key.
    pub(crate) fn has(&self, key: &str) -> bool {
        flags::lookup(&self.table, key).is_some()
    }
}

impl<S> FromArgMatches for SettingFlags<S> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        Ok(Self { table: flags::given(matches)?, scope: PhantomData })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        self.table = flags::given(matches)?;
        Ok(())
    }
}

impl<S: Scope> Args for SettingFlags<S> {
    fn augment_args(command: Command) -> Command {
        let all = flags::command();
        let own = all.get_arguments().filter(|arg| S::has(arg.get_id().as_str()));
        own.fold(command, |command, arg| command.arg(arg.clone()))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}
