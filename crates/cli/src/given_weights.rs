//! Weights that exist: the network that they are of, the data, and how they are measured.

use anyhow::Result;
use clap::Args;
use sharpness_experiments::config::{ConfigFile, MeasureConfig, RunConfig};
use sharpness_experiments::data::{Dataset, DatasetName, Locations, Standardized};
use sharpness_experiments::measures::Budget;
use sharpness_experiments::network::architectures::Architecture;
use sharpness_experiments::store::{RunLayout, run_config};
use sharpness_experiments::{Error, Work, check_memory};

use crate::args::{ArchArg, DataArgs, EngineArgs, MeasureArgs, ModelArgs, WeightsArgs};
use crate::exit::Usage;
use crate::output::note;
use crate::settings::{check, check_settings, fit_examples};

/// Weights, the network that they are of, and the examples.
#[derive(Args, Debug)]
pub(crate) struct GivenWeights {
    #[command(flatten)]
    arch: ArchArg,
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    pub(crate) source: WeightsArgs,
    #[command(flatten)]
    data: DataArgs,
    #[command(flatten)]
    pub(crate) measure: MeasureArgs,
    #[command(flatten)]
    engine: EngineArgs,
}

/// What a measurement needs beside the weights.
pub(crate) struct Prepared {
    pub(crate) config: RunConfig,
    pub(crate) data: Standardized,
    pub(crate) budget: Budget,
}

impl GivenWeights {
    /// Starts the threads, checks all settings, and loads the data.
    ///
    /// # Errors
    /// Settings that cannot be, data or a run that cannot be read, or too little memory.
    pub(crate) fn prepare(&self) -> Result<Prepared> {
        self.engine.start_threads()?;
        let file = self.file()?;
        let mut config = self.config(file.as_ref())?;
        check_settings(&config, config.data.name.train_examples(), file.as_ref())?;
        let budget = self.engine.memory.budget().less(config.data.name.bytes());
        check_memory(&config, Work::Measurement { examples: self.measure.counts() }, budget)?;
        let dataset = Dataset::load(config.data.name, &Locations::of_process(self.data.data_dir.clone()))?;
        check(&config, &dataset, file.as_ref())?;
        let available = config.data.train_examples.unwrap_or(dataset.train().len());
        let is_asked = self.measure.asked_examples().is_some();
        if let Some(text) = fit_examples(&mut config.measure, available, is_asked, None)? {
            note(&text);
        }
        let data = Standardized::new(dataset, config.data.standardize);
        Ok(Prepared { config, data, budget })
    }

    /// The configuration of the run to measure, if one is named.
    fn file(&self) -> Result<Option<ConfigFile>> {
        let Some(run) = &self.source.run else { return Ok(None) };
        let layout = RunLayout::new(run);
        let (action, path, source) = ("read", layout.config(), std::io::ErrorKind::NotFound.into());
        Ok(Some(run_config(&layout)?.ok_or(Error::Io { action, path, source })?))
    }

    /// Defaults, the run's own settings and the flags in one.
    fn config(&self, file: Option<&ConfigFile>) -> Result<RunConfig> {
        if file.is_none() && self.arch.arch.is_none() {
            let names = Architecture::ALL.map(Architecture::name).join(", ");
            return Err(Usage::new(format!("name the network with --arch; there are {names}")).into());
        }
        if file.is_none() && self.data.dataset.is_none() {
            let names = DatasetName::ALL.map(DatasetName::as_str).join(", ");
            return Err(Usage::new(format!("name the data set with --dataset; there are {names}")).into());
        }
        let arch = self.arch.arch.unwrap_or(Architecture::Mlp);
        let mut config = RunConfig::new(self.data.dataset.unwrap_or(DatasetName::Digits), arch);
        // Nothing is trained, so that any number of examples will do.
        (config.training.batch_size, config.training.micro_batch_size) = (1, 1);
        match file {
            Some(file) => {
                config.data.seed = None;
                config = file.over(&config)?;
                config.measure.between_iterates = self.source.between_iterates;
            }
            // How such weights were trained is not known.
            None => config.measure.chunk = Some(MeasureConfig::DEFAULT_CHUNK),
        }
        let of_run = config.model.clone();
        config.model.arch = self.arch.arch.unwrap_or(config.model.arch);
        config.training.loss = self.source.loss.unwrap_or(config.training.loss);
        self.model.apply(&mut config.model);
        if self.source.between_iterates && config.model != of_run {
            let message = "--between-iterates makes the next step of the run; leave its network as it is";
            return Err(Usage::new(message.to_owned()).into());
        }
        self.data.apply(&mut config.data);
        self.measure.apply(&mut config.measure);
        self.engine.apply(&mut config);
        Ok(config)
    }
}
