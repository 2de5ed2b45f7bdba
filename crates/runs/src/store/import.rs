//! Runs from exported tables.

use crate::identity::Identity;
use crate::provenance::{Provenance, Start};
use crate::report::Report;
use crate::{Error, Result};

use super::run_dir::{Existing, Opened, RunDir};
use super::runs::RunStore;

impl RunStore {
    /// Adds a finished run from elsewhere with the process that made it, if it is known. The run has no weights and no epochs: another
    /// measurement trains it again. Returns false, and changes nothing, if the run is here or its training has begun here.
    ///
    /// # Errors
    /// [`Error::Table`] if its name is not that of its settings, as in tables of schema 1; as [`RunDir::open`].
    pub fn import(&self, report: &Report, last: Option<&Start>) -> Result<bool> {
        let identity = Identity::of(&report.config)?;
        if (&identity.run, &identity.training) != (&report.id, &report.training_id) {
            let (id, own) = (&report.id, &identity.run);
            return Err(Error::Table(format!(
                "run {id} cannot be imported: its settings are those of {own}"
            )));
        }
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
            run.write_training(&report.training)?;
        }
        if let Some(measurement) = &report.measurement {
            run.write_measurement(measurement)?;
        }
        Ok(true)
    }
}
