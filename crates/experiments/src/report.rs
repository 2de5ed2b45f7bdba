//! A run from its configuration to its report: train, measure, write the result down.

use std::cell::RefCell;

use serde::{Deserialize, Serialize};
use sharpness_kernels::Cpu;
use sharpness_network::backend::Backend;
use sharpness_network::{Network, Weights};

use crate::config::{MeasureConfig, Precision, RunConfig};
use crate::data::Standardized;
use crate::measures::{
    Budget, MeasureProgress, Measurement, Tracker, between_iterates, least_bytes, measure, weights_bytes,
};
use crate::run::{Run, RunOptions, TrainReport, Trained, network, next_weights, train_run, trained_examples};
use crate::training::{Observer, Outcome, device_bytes, state_bytes, training_bytes};
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
/// # Errors
/// [`Error::Memory`] if the run does not fit its budget; those of [`train_run`] and [`measure`].
pub fn complete_run(
    config: &RunConfig,
    data: &Standardized,
    options: &RunOptions,
    measures: bool,
    observer: &mut dyn Observer,
) -> Result<Completion> {
    let method = config.convolution;
    let job = Job { config, data, options, measures };
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
    measures: bool,
}

impl Job<'_> {
    fn run<B: Backend>(&self, backend: B, observer: &mut dyn Observer) -> Result<Completion> {
        let network = network(self.config, backend)?;
        let work = Work::Run { is_kept: self.options.out.is_some(), is_measured: self.measures };
        self.options.budget.left(work.least_bytes(&network, self.config))?;
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
        let (place, budget) = ((self.config, self.data), self.options.budget);
        let budget = budget.less(beside_weights(network, self.config));
        let mut measured = measure_run(network, place, (weights, next), budget, &mut on_progress, &stop)?;
        // The training before may have taken more, and so may tracking.
        let training = training_bytes(network, self.config, self.options.out.is_some());
        let before = self.options.budget.total(training).max(self.tracking_bytes(network)?);
        let predicted = &mut measured.memory.predicted_bytes;
        *predicted = (*predicted).max(before);
        Ok(measured)
    }

    /// The peak of the process that was predicted for tracking λ_max through the training; 0 if it was not tracked.
    fn tracking_bytes<B: Backend>(&self, network: &Network<B>) -> Result<usize> {
        let Self { config, data, .. } = *self;
        let trained = trained_examples(config, data.dataset())?;
        let budget = self.options.budget.less(device_bytes(network, config));
        let tracker = Tracker::new(config, network, data, &trained, None, budget)?;
        Ok(tracker.map_or(0, |tracker| tracker.memory().predicted_bytes))
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
    budget: Budget,
    observer: &mut dyn FnMut(&MeasureProgress),
    stop: &dyn Fn() -> bool,
) -> Result<Measurement> {
    let trained = trained_examples(config, data.dataset())?;
    let (settings, seed) = (&config.measurement(), config.seed);
    let beside = if next.is_some() { weights_bytes(network) } else { 0 };
    let mut measured =
        measure(network, data, &trained, weights, settings, seed, budget.less(beside), observer, stop)?;
    if let Some(next) = next {
        let between =
            between_iterates(network, data, &trained, weights, next, settings, seed, budget, observer, stop)?;
        measured.between_iterates = Some(between);
    }
    Ok(measured)
}

/// Work whose memory is looked at before it begins.
#[derive(Clone, Copy, Debug)]
pub enum Work<'a> {
    /// A run.
    Run {
        /// Whether it has a directory.
        is_kept: bool,
        /// Whether it is measured at its end.
        is_measured: bool,
    },
    /// A measurement of given weights.
    Measurement {
        /// Further numbers of examples that λ_max is measured on.
        examples: &'a [usize],
    },
}

impl Work<'_> {
    /// The least memory that it needs besides the data set, in bytes.
    fn least_bytes<B: Backend>(self, network: &Network<B>, config: &RunConfig) -> usize {
        let available = config.data.train_examples.unwrap_or(config.data.name.train_examples());
        let settings = config.measurement();
        let measuring = least_bytes(network, &settings, available);
        match self {
            Self::Run { is_kept, is_measured } => {
                let tracking = Tracker::least_bytes(config, network, available)
                    .saturating_add(device_bytes(network, config));
                let measuring = measuring.saturating_add(beside_weights(network, config));
                let measuring = if is_measured { measuring } else { 0 };
                training_bytes(network, config, is_kept).max(tracking).max(measuring)
            }
            Self::Measurement { examples } => {
                let least = |&examples: &usize| {
                    least_bytes(network, &MeasureConfig { examples, ..settings.clone() }, available)
                };
                // The next iterate is that of a training.
                let next = if settings.between_iterates { training_bytes(network, config, false) } else { 0 };
                examples.iter().map(least).fold(measuring.max(next), usize::max)
            }
        }
    }
}

/// Bytes of the state of a run without its weights.
fn beside_weights<B: Backend>(network: &Network<B>, config: &RunConfig) -> usize {
    state_bytes(network, config).saturating_sub(weights_bytes(network))
}

/// Refuses work that does not fit `budget`, of which the data set is taken already.
///
/// # Errors
/// [`Error::Memory`] with the smallest bound that suffices; [`Error::Network`] if the network cannot be built.
pub fn check_memory(config: &RunConfig, work: Work<'_>, budget: Budget) -> Result<()> {
    let method = config.convolution;
    let least = match config.precision {
        Precision::F32 => work.least_bytes(&network(config, Cpu::<f32>::new(method))?, config),
        Precision::F64 => work.least_bytes(&network(config, Cpu::<f64>::new(method))?, config),
    };
    budget.left(least).map(drop)
}
