//! A run from its configuration to its report: train, measure, write the result down.

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use sharpness_experiments::config::{Precision, RunConfig};
use sharpness_experiments::data::Standardized;
use sharpness_experiments::measures::{Measurement, default_memory_bytes};
use sharpness_experiments::network::Cpu;
use sharpness_experiments::network::backend::Backend;
use sharpness_experiments::training::{Outcome, TrainState, training_bytes};
use sharpness_experiments::{Error, Run, RunOptions, TrainReport, Trained, network, next_weights, train_run};

use crate::exit::Exit;
use crate::interrupt::Interrupt;
use crate::measuring::measure_at;
use crate::output::bytes;
use crate::watch::Watch;

/// A run to make.
pub(crate) struct Job<'a> {
    pub(crate) config: &'a RunConfig,
    pub(crate) data: &'a Standardized,
    pub(crate) options: RunOptions,
    /// For the measurement.
    pub(crate) memory_bytes: usize,
    /// Whether there is a measurement.
    pub(crate) measures: bool,
    pub(crate) interrupt: &'a Interrupt,
}

/// All that came out of a run; the content of its `result.json`, and what `--json` prints.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Report {
    /// The name of the run: a hash of its configuration.
    pub(crate) id: String,
    pub(crate) config: RunConfig,
    pub(crate) training: TrainReport,
    /// Absent where the run diverged or no measurement was asked for.
    pub(crate) measurement: Option<Measurement>,
}

impl Report {
    /// The exit code that says how the run went.
    pub(crate) fn exit(&self) -> Exit {
        let is_found = self.measurement.as_ref().is_none_or(is_converged);
        match self.training.outcome {
            Outcome::Converged if is_found => Exit::Done,
            Outcome::Converged => Exit::NotConverged,
            Outcome::MaxEpochs => Exit::TargetNotReached,
            Outcome::Diverged => Exit::Diverged,
            Outcome::Interrupted => Exit::Interrupted,
        }
    }
}

/// Whether every eigenvalue was found to the asked tolerance.
pub(crate) fn is_converged(measured: &Measurement) -> bool {
    let eigenvalues = [&measured.lambda_max].into_iter().chain(&measured.top).chain(&measured.lambda_min);
    let points = measured.between_iterates.iter().flat_map(|between| &between.points);
    eigenvalues.map(|one| one.converged).chain(points.map(|point| point.converged)).all(|converged| converged)
}

impl Job<'_> {
    /// Makes the run. None if it was interrupted.
    ///
    /// # Errors
    /// The network does not fit the memory, the directory cannot be used, or the measurement fails.
    pub(crate) fn run(self) -> Result<Option<Report>> {
        let method = self.config.convolution.method();
        match self.config.precision {
            Precision::F32 => self.run_on(Cpu::<f32>::new(method)),
            Precision::F64 => self.run_on(Cpu::<f64>::new(method)),
        }
    }

    fn run_on<B: Backend>(&self, backend: B) -> Result<Option<Report>> {
        let network = network(self.config, backend)?;
        check_training_memory(&network, self.config)?;
        let mut watch = Watch::new(self.interrupt, self.config.training.target_accuracy);
        let trained = match train_run(self.config, self.data, &self.options, &mut watch)? {
            Run::Trained(trained) => *trained,
            Run::Finished(result) => {
                let report = serde_json::from_value(result);
                return report
                    .map(Some)
                    .context("the result.json of the run was not written by this version");
            }
        };
        drop(watch);
        let Trained { report: training, state, dir } = trained;
        if training.outcome == Outcome::Interrupted {
            return Ok(None);
        }
        let measurement = match self.measure(&network, &state, training.outcome) {
            Err(error) if matches!(error.downcast_ref(), Some(Error::MeasureStopped)) => return Ok(None),
            measured => measured?,
        };
        let report = Report { id: self.config.id()?, config: self.config.clone(), training, measurement };
        if let Some(dir) = dir {
            dir.write_result(&serde_json::to_value(&report).context("cannot write the result as JSON")?)?;
        }
        Ok(Some(report))
    }

    fn measure<B: Backend>(
        &self,
        network: &sharpness_experiments::network::Network<B>,
        state: &TrainState,
        outcome: Outcome,
    ) -> Result<Option<Measurement>> {
        if !self.measures || outcome == Outcome::Diverged {
            return Ok(None);
        }
        let next = if self.config.measure.between_iterates {
            Some(next_weights(self.config, self.data, state)?)
        } else {
            None
        };
        let job = (self.config, self.data);
        measure_at(network, job, &state.weights, next.as_ref(), self.memory_bytes, self.interrupt).map(Some)
    }
}

/// Refuses a network that cannot be trained in the memory that is available now.
///
/// # Errors
/// One that says how much is missing.
pub(crate) fn check_training_memory<B: Backend>(
    network: &sharpness_experiments::network::Network<B>,
    config: &RunConfig,
) -> Result<()> {
    let (parameters, micro_batch) = (network.parameters().len(), config.training.micro_batch_size);
    let needed = training_bytes(network, micro_batch);
    let available = 2 * default_memory_bytes();
    if needed > available {
        bail!(
            "a network of {parameters} parameters in batches of {micro_batch} needs about {} of memory to train, and {} are \
             available; choose smaller widths (--hidden, --width-divisor) or a smaller --micro-batch-size",
            bytes(needed),
            bytes(available),
        );
    }
    Ok(())
}
