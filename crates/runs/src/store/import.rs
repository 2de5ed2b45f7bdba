//! Runs from exported tables.

use sharpness_training::EpochMetrics;

use crate::identity::Identity;
use crate::provenance::{Provenance, Start};
use crate::report::Report;
use crate::{Error, Result};

use super::metrics;
use super::run_dir::{Existing, Opened, RunDir};
use super::runs::RunStore;

impl RunStore {
    /// Adds a finished run from elsewhere with the process that made it and its epochs, if they are known. The run has no weights: another
    /// measurement trains it again. Returns false, and changes nothing, if the run is here or its training has begun here.
    ///
    /// # Errors
    /// [`Error::Table`] if its name is not that of its settings, as in tables of schema 1, or the epochs are not all of its own; as
    /// [`RunDir::open`].
    pub fn import(&self, report: &Report, last: Option<&Start>, epochs: &[EpochMetrics]) -> Result<bool> {
        let identity = Identity::of(&report.config)?;
        if (&identity.run, &identity.training) != (&report.id, &report.training_id) {
            let (id, own) = (&report.id, &identity.run);
            return Err(Error::Table(format!(
                "run {id} cannot be imported: its settings are those of {own}"
            )));
        }
        let epochs = epochs_of(report, epochs)?;
        let layout = self.training(&report.training_id);
        if layout.checkpoint().exists() && !layout.result().exists() {
            // What this store has begun is worth more.
            return Ok(false);
        }
        let is_measured = report.measurement.is_some();
        let opened = RunDir::open(layout.dir(), &report.config, Existing::Resume, is_measured)?;
        let Opened::Open(run) = opened else { return Ok(false) };
        // A training that was made here keeps its history.
        if run.training()?.is_none() {
            if let Some(last) = last {
                run.replace_json(&layout.provenance(), &Provenance { starts: vec![last.clone()] })?;
            }
            if !epochs.is_empty() {
                run.replace(&layout.metrics(), &metrics::lines(&layout.metrics(), &epochs)?)?;
            }
            run.write_training(&report.training)?;
        }
        if let Some(measurement) = &report.measurement {
            run.write_measurement(measurement)?;
        }
        Ok(true)
    }
}

/// The epochs of a run, with the λ_max that its report has of their ends.
fn epochs_of(report: &Report, epochs: &[EpochMetrics]) -> Result<Vec<EpochMetrics>> {
    let training = &report.training;
    let numbered = epochs.iter().zip(1..).all(|(metrics, number)| metrics.epoch == number);
    let is_whole = numbered
        && epochs.len() == training.epochs as usize
        && epochs.last().is_none_or(|last| last.steps == training.steps);
    if !epochs.is_empty() && !is_whole {
        return Err(Error::Table(format!(
            "the epochs of {} cannot be imported: the table should have 1 to {} in order, the last after {} steps, \
             as `sharpness runs export --epochs` writes them",
            report.training_id, training.epochs, training.steps
        )));
    }
    let with_lambda_max = |metrics: &EpochMetrics| EpochMetrics {
        lambda_max: training.lambda_max.iter().find(|found| found.step == metrics.steps).cloned(),
        ..metrics.clone()
    };
    Ok(epochs.iter().map(with_lambda_max).collect())
}
