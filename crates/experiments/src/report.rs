//! A run from its configuration to its report: train, measure, write the result down.

use std::cell::RefCell;

use serde::{Deserialize, Serialize};
use sharpness_network::backend::Backend;
use sharpness_network::{Cpu, Network, Weights};

use crate::config::{Precision, RunConfig};
use crate::data::Standardized;
use crate::measures::{MeasureProgress, Measurement, between_iterates, default_memory_bytes, measure};
use crate::run::{Run, RunOptions, TrainReport, Trained, network, next_weights, train_run, trained_examples};
use crate::training::{Observer, Outcome, training_bytes};
use crate::{Error, Result};

/// All that came out of a run; the content of its `result.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The name of the run: a hash of its configuration.
    pub id: String,
    /// What the run depends on.
    pub config: RunConfig,
    /// How the training went.
    pub training: TrainReport,
    /// What was measured at its end. Absent where the run diverged or no measurement was asked for.
    pub measurement: Option<Measurement>,
}

/// What became of a run that was to be trained and measured.
#[derive(Clone, Debug)]
pub enum Completion {
    /// It is done now.
    Made(Box<Report>),
    /// It had been done before.
    Known(Box<Report>),
    /// The observer stopped it. If it has a directory, it is saved and can be resumed.
    Stopped,
}

impl Completion {
    /// The report, unless it was stopped.
    pub fn report(self) -> Option<Report> {
        match self {
            Self::Made(report) | Self::Known(report) => Some(*report),
            Self::Stopped => None,
        }
    }
}

/// Trains the network of `config` on `data` and measures it, unless `measures` is unset. A run that is done is not made again.
///
/// The measurement takes `memory_bytes` at most.
///
/// # Errors
/// [`Error::TrainingMemory`] if the network does not fit the memory; those of [`train_run`] and [`measure`].
pub fn complete_run(
    config: &RunConfig,
    data: &Standardized,
    options: &RunOptions,
    (memory_bytes, measures): (usize, bool),
    observer: &mut dyn Observer,
) -> Result<Completion> {
    let method = config.convolution.method();
    let job = Job { config, data, options, memory_bytes, measures };
    match config.precision {
        Precision::F32 => job.run(Cpu::<f32>::new(method), observer),
        Precision::F64 => job.run(Cpu::<f64>::new(method), observer),
    }
}

/// What [`complete_run`] is given.
struct Job<'a> {
    config: &'a RunConfig,
    data: &'a Standardized,
    options: &'a RunOptions,
    memory_bytes: usize,
    measures: bool,
}

impl Job<'_> {
    fn run<B: Backend>(&self, backend: B, observer: &mut dyn Observer) -> Result<Completion> {
        let network = network(self.config, backend)?;
        check_training_memory(&network, self.config)?;
        let Trained { report: training, state, dir } =
            match train_run(self.config, self.data, self.options, observer)? {
                Run::Trained(trained) => *trained,
                Run::Finished(report) => return Ok(Completion::Known(report)),
            };
        if training.outcome == Outcome::Interrupted {
            return Ok(Completion::Stopped);
        }
        let measurement = if self.measures && training.outcome != Outcome::Diverged {
            let next = self.config.measure.between_iterates;
            let next = next.then(|| next_weights(self.config, self.data, &state)).transpose()?;
            match self.measure(&network, &state.weights, next.as_ref(), observer) {
                Err(Error::MeasureStopped) => return Ok(Completion::Stopped),
                measured => Some(measured?),
            }
        } else {
            None
        };
        let report = Report { id: self.config.id()?, config: self.config.clone(), training, measurement };
        if let Some(dir) = dir {
            dir.write_result(&report)?;
        }
        Ok(Completion::Made(Box::new(report)))
    }

    fn measure<B: Backend>(
        &self,
        network: &Network<B>,
        weights: &Weights,
        next: Option<&Weights>,
        observer: &mut dyn Observer,
    ) -> Result<Measurement> {
        let observer = RefCell::new(observer);
        let mut on_progress = |progress: &MeasureProgress| observer.borrow_mut().on_measure(progress);
        let stop = || observer.borrow_mut().should_stop();
        let place = (self.config, self.data);
        measure_run(network, place, (weights, next), self.memory_bytes, &mut on_progress, &stop)
    }
}

/// Measures `network` at `weights` as `config` says, and on the way to the iterate `next` where there is one.
///
/// # Errors
/// Those of [`measure`].
pub fn measure_run<B: Backend>(
    network: &Network<B>,
    (config, data): (&RunConfig, &Standardized),
    (weights, next): (&Weights, Option<&Weights>),
    memory_bytes: usize,
    observer: &mut dyn FnMut(&MeasureProgress),
    stop: &dyn Fn() -> bool,
) -> Result<Measurement> {
    let trained = trained_examples(config, data.dataset())?;
    let (settings, seed) = (&config.measurement(), config.seed);
    let mut measured =
        measure(network, data, &trained, weights, settings, seed, memory_bytes, observer, stop)?;
    if let Some(next) = next {
        let between = between_iterates(
            network,
            data,
            &trained,
            weights,
            next,
            settings,
            seed,
            memory_bytes,
            observer,
            stop,
        )?;
        measured.between_iterates = Some(between);
    }
    Ok(measured)
}

/// Refuses a network that cannot be trained in the memory that is available now.
///
/// # Errors
/// [`Error::TrainingMemory`].
pub fn check_training_memory<B: Backend>(network: &Network<B>, config: &RunConfig) -> Result<()> {
    let (parameters, micro_batch) = (network.parameters().len(), config.training.micro_batch_size);
    let needed_bytes = training_bytes(network, micro_batch);
    let available_bytes = 2 * default_memory_bytes();
    if needed_bytes > available_bytes {
        return Err(Error::TrainingMemory { parameters, micro_batch, needed_bytes, available_bytes });
    }
    Ok(())
}
