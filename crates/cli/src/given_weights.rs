//! Existing weights: their network, the data, and how they are measured.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;
use sharpness_data::{Dataset, DatasetName, Locations, Standardized};
use sharpness_network::architectures::Architecture;
use sharpness_runs::{ConfigFile, Error, RunLayout, run_config};
use sharpness_training::measures::{BetweenIterates, Measure as _};
use sharpness_training::settings::{MeasureConfig, RunConfig};
use sharpness_training::{Budget, Work, check_memory};

use crate::args::{
    ExampleCounts, MachineArgs, Scope, SettingFlags, WeightsArgs, WeightsScope, start_threads,
};
use crate::exit::Usage;
use crate::output::note;
use crate::settings::{asked_examples, check, check_settings, configuration, fit_examples};

/// Weights, their network, and the examples. `S` says which settings have flags.
#[derive(Args, Debug)]
pub(crate) struct GivenWeights<S: Scope = WeightsScope> {
    #[command(flatten)]
    pub(crate) source: WeightsArgs,
    #[command(flatten)]
    pub(crate) on: MeasuredOn<S>,
}

/// The network of existing weights, the examples, and how they are measured.
#[derive(Args, Debug)]
pub(crate) struct MeasuredOn<S: Scope> {
    #[command(flatten)]
    settings: SettingFlags<S>,
    #[command(flatten)]
    examples: ExamplesArg,
    #[command(flatten)]
    machine: MachineArgs,

    /// Look for data sets in this directory first
    #[arg(long, value_name = "DIR", help_heading = "Data")]
    data_dir: Option<PathBuf>,
}

/// Numbers of examples.
#[derive(Args, Debug)]
#[command(next_help_heading = "Measurement")]
struct ExamplesArg {
    /// Number of training examples that the measured loss averages over, or `all`; a list such as 1000,5000,all
    /// compares them [default: 5000, or all if there are fewer]
    #[arg(long, value_name = "N")]
    examples: Option<ExampleCounts>,
}

/// What a measurement needs besides the weights.
pub(crate) struct Prepared {
    pub(crate) config: RunConfig,
    pub(crate) data: Standardized,
    pub(crate) budget: Budget,
}

impl<S: Scope> GivenWeights<S> {
    /// The requested numbers of examples.
    pub(crate) fn counts(&self) -> &[usize] {
        self.on.counts()
    }

    /// As [`MeasuredOn::prepare`].
    ///
    /// # Errors
    /// As there.
    pub(crate) fn prepare(&self) -> Result<Prepared> {
        self.on.prepare(self.source.run.as_deref(), self.source.between_iterates)
    }

    /// Checks that one measurement of the weights themselves is asked for.
    ///
    /// # Errors
    /// A next iterate, for which `reason` says that there is none, or several numbers of examples.
    pub(crate) fn check_single(&self, reason: &str) -> Result<()> {
        if self.source.between_iterates {
            return Err(Usage::new(format!("{reason}; remove --between-iterates")).into());
        }
        self.on.check_single()
    }
}

impl<S: Scope> MeasuredOn<S> {
    /// The requested numbers of examples.
    fn counts(&self) -> &[usize] {
        self.examples.examples.as_ref().map_or(&[], |counts| &counts.0)
    }

    /// Checks that at most one number of examples is given.
    ///
    /// # Errors
    /// Several numbers.
    pub(crate) fn check_single(&self) -> Result<()> {
        if self.counts().len() > 1 {
            return Err(Usage::new("give one number of --examples".to_owned()).into());
        }
        Ok(())
    }

    /// Starts the threads, checks all settings, which are over those of `run`, and loads the data.
    ///
    /// # Errors
    /// Invalid settings, unreadable data or an unreadable run, or too little memory.
    pub(crate) fn prepare(&self, run: Option<&Path>, between_iterates: bool) -> Result<Prepared> {
        start_threads(self.machine.threads)?;
        let file = run.map(file_of).transpose()?;
        let mut config = self.config(file.as_ref(), between_iterates)?;
        check_settings(&config, config.data.name.train_examples(), file.as_ref())?;
        let budget = self.machine.memory.budget().less(config.data.name.bytes());
        check_memory(&config, Work::Measurement { examples: self.counts() }, budget)?;
        let dataset = Dataset::load(config.data.name, &Locations::of_process(self.data_dir.clone()))?;
        check(&config, &dataset, file.as_ref())?;
        let available = config.data.train_examples.unwrap_or(dataset.train().len());
        let is_asked = asked_examples(self.examples.examples.as_ref()).is_some();
        if let Some(text) = fit_examples(&mut config.measure, available, is_asked, None)? {
            note(&text);
        }
        let data = Standardized::new(dataset, config.data.standardize);
        Ok(Prepared { config, data, budget })
    }

    /// The defaults, overlaid with the settings of the run and the flags.
    fn config(&self, file: Option<&ConfigFile>, between_iterates: bool) -> Result<RunConfig> {
        let mut base = base();
        if file.is_none() {
            // It is not known how such weights were trained.
            base.measure.chunk = Some(MeasureConfig::DEFAULT_CHUNK);
        }
        let mut config = configuration(&base, file, &self.settings.table)?;
        if let Some(examples) = self.counts().first() {
            config.measure.examples = (*examples).min(sharpness_training::settings::ALL_EXAMPLES);
        }
        let asked = &mut config.measure.asked;
        asked.remove(BetweenIterates::NAME);
        if between_iterates {
            asked.insert(BetweenIterates::NAME.to_owned(), true.into());
            let of_run = file.map(|file| file.over(&base)).transpose()?;
            if of_run.is_some_and(|of_run| of_run.model != config.model) {
                let message =
                    "--between-iterates takes the next step of the run, so the network must be the run's own";
                return Err(Usage::new(message.to_owned()).into());
            }
        }
        Ok(config)
    }
}

/// The settings of weights of which nothing is known.
fn base() -> RunConfig {
    let mut base = RunConfig::new(DatasetName::Digits, Architecture::Mlp);
    // Nothing is trained, so any number of examples is valid.
    (base.training.batch_size, base.training.micro_batch_size) = (1, 1);
    base
}

/// The configuration of a run.
fn file_of(run: &Path) -> Result<ConfigFile> {
    let layout = RunLayout::new(run);
    let (action, path, source) = ("read", layout.config(), std::io::ErrorKind::NotFound.into());
    Ok(run_config(&layout)?.ok_or(Error::Io { action, path, source })?)
}

/// The settings of a run.
///
/// # Errors
/// An unreadable run.
pub(crate) fn settings_of(run: &Path) -> Result<RunConfig> {
    Ok(file_of(run)?.over(&base())?)
}
