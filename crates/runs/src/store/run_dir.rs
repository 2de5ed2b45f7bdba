//! The directory of a run. A process that is killed at any instant loses at most the work since its last checkpoint.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use sharpness_training::measures::Measurement;
use sharpness_training::settings::RunConfig;
use sharpness_training::{Outcome, TrainState};

use super::checkpoint::{self, Key};
use super::config::{config_text, same_training};
use super::lease::Lease;
use super::records::{MeasurementRecord, TrainingRecord, measurement_of, report, training_of};
use crate::atomic;
use crate::damage::{Damage, set_aside};
use crate::identity::Identity;
use crate::layout::RunLayout;
use crate::migrate::SCHEMA;
use crate::provenance::{Provenance, Start};
use crate::report::{Report, TrainReport};
use crate::{Error, Result};

/// The directory of a run that this process alone may write, until the value is dropped.
#[derive(Debug)]
pub struct RunDir {
    layout: RunLayout,
    config: RunConfig,
    identity: Identity,
    lease: Lease,
    damage: Vec<Damage>,
}

/// A directory that was opened for a run.
#[derive(Debug)]
pub enum Opened {
    /// The run may be trained, from its start or from its checkpoint, or measured.
    Open(Box<RunDir>),
    /// The run is done.
    Finished(Box<Report>),
}

/// What to do with an existing run in the directory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Existing {
    /// Refuse it.
    #[default]
    Refuse,
    /// Resume it. A damaged result is measured again; other damage is an error.
    Resume,
    /// Resume it, set damaged files aside and recompute their content. For a directory whose name identifies the run.
    Repair,
}

impl RunDir {
    /// Creates the directory `dir` of the run `config`, or opens the run in it as `existing` says. A run that is to be
    /// measured is done when its measurement is, any other one when its training is.
    ///
    /// Its lease is taken before anything in it is checked or written, so that only one of several processes executes the
    /// run.
    ///
    /// # Errors
    /// - [`Error::RunLocked`] if another process is executing a run there;
    /// - [`Error::RunExists`] if it holds a run and `existing` is [`Existing::Refuse`];
    /// - [`Error::OtherConfig`] if it holds another training, [`Error::OldRun`] if an older version started it;
    /// - [`Error::NotARun`] if it holds other files;
    /// - [`Error::DamagedRun`] if the configuration there cannot be read, unless it is to be repaired;
    /// - [`Error::Io`] if the directory cannot be written.
    pub fn open(dir: &Path, config: &RunConfig, existing: Existing, is_measured: bool) -> Result<Opened> {
        let layout = RunLayout::new(dir);
        if existing != Existing::Repair {
            check_content(&layout)?;
        }
        // A run that is done does not change any more, so it can be read without a lock: also where nothing can be written.
        if existing != Existing::Refuse
            && let Ok(true) = same_training(&layout, config)
            && let Ok(Some(report)) = report(&layout, config, is_measured)
        {
            return Ok(Opened::Finished(Box::new(report)));
        }
        fs::create_dir_all(dir).map_err(Error::io("create", dir))?;
        let (lease, identity) = (Lease::acquire(&layout)?, Identity::of(config)?);
        let mut run = Self { layout, config: config.clone(), identity, lease, damage: Vec::new() };
        run.settle_config(existing)?;
        run.set_aside_if_damaged(run.training().map(drop))?;
        if is_measured {
            run.set_aside_if_damaged(run.measurement().map(drop))?;
        }
        if let Some(report) = report(&run.layout, config, is_measured)? {
            return Ok(Opened::Finished(Box::new(report)));
        }
        run.append_provenance()?;
        Ok(Opened::Open(Box::new(run)))
    }

    /// Appends this process to the provenance. A file that cannot be read is set aside: a run must not fail for it.
    fn append_provenance(&self) -> Result<()> {
        let path = self.layout.provenance();
        let mut provenance = match Provenance::read(&path) {
            Err(Error::DamagedRun { file, problem, .. }) => {
                self.set_aside(file, problem)?;
                Provenance::default()
            }
            read => read?,
        };
        provenance.starts.push(Start::now());
        self.replace_json(&path, &provenance)
    }

    /// Sets aside the result that could not be read.
    fn set_aside_if_damaged(&mut self, read: Result<()>) -> Result<()> {
        match read {
            Err(Error::DamagedRun { file, problem, .. }) => {
                self.damage.push(self.set_aside(file, problem)?);
                Ok(())
            }
            read => read,
        }
    }

    /// Writes the configuration of a run that has none; otherwise checks that it may be resumed.
    fn settle_config(&mut self, existing: Existing) -> Result<()> {
        let path = self.layout.config();
        if existing == Existing::Refuse && path.exists() {
            return Err(Error::RunExists { dir: self.layout.dir().to_owned() });
        }
        let is_there = match same_training(&self.layout, &self.config) {
            Err(Error::DamagedRun { file, problem, .. }) if existing == Existing::Repair => {
                self.damage.push(self.set_aside(file, problem)?);
                false
            }
            // The name identifies the run, and a truncated file can still be a valid configuration.
            Err(error @ Error::OtherConfig { .. }) if existing == Existing::Repair => {
                self.damage.push(self.set_aside(path.clone(), error.to_string())?);
                false
            }
            is_there => is_there?,
        };
        if is_there {
            return Ok(());
        }
        self.replace(&path, config_text(&self.config)?.as_bytes()).map(drop)
    }

    /// The files that were damaged when the directory was opened.
    pub fn damage(&self) -> &[Damage] {
        &self.damage
    }

    /// Sets the checkpoint, the metrics and the result aside, one of which (`file`) is damaged, so that the training
    /// restarts.
    pub(crate) fn set_training_aside(&self, file: PathBuf, problem: String) -> Result<Damage> {
        let (metrics, checkpoint) = (self.layout.metrics(), self.layout.checkpoint());
        self.set_aside(self.layout.result(), String::new())?;
        // The checkpoint last: while it exists, missing metrics count as damage.
        if file == checkpoint {
            self.set_aside(metrics, String::new())?;
            self.set_aside(file, problem)
        } else {
            let damage = self.set_aside(file, problem)?;
            self.set_aside(checkpoint, String::new())?;
            Ok(damage)
        }
    }

    /// Renames a damaged file, if it exists and the lease is held.
    fn set_aside(&self, file: PathBuf, problem: String) -> Result<Damage> {
        self.renew()?;
        set_aside(file, problem)
    }

    /// Renews the lease. Call it directly before a write that is none of those below.
    ///
    /// # Errors
    /// [`Error::LeaseLost`] if another process took over; [`Error::RunReplaced`] if the directory was deleted, and possibly
    /// recreated by another process; [`Error::Io`] if the file system does not answer.
    pub(crate) fn renew(&self) -> Result<()> {
        self.lease.renew()
    }

    /// Whether the lease is known to be lost.
    pub(crate) fn is_lost(&self) -> bool {
        self.lease.is_lost()
    }

    /// Replaces a file of the run, and returns the new one, open for writing at its end.
    ///
    /// # Errors
    /// As [`Self::renew`]; [`Error::Io`] if the disk is full or the directory cannot be written. The old content is then kept.
    pub(crate) fn replace(&self, path: &Path, content: &[u8]) -> Result<File> {
        self.lease.replace(path, content)
    }

    /// Replaces a file of the run with `value` as JSON for people.
    ///
    /// # Errors
    /// As [`Self::replace`].
    pub(crate) fn replace_json(&self, path: &Path, value: &impl serde::Serialize) -> Result<()> {
        self.replace(path, &atomic::json(path, value)?).map(drop)
    }

    /// The paths of the files.
    pub const fn layout(&self) -> &RunLayout {
        &self.layout
    }

    /// The names of the run.
    pub const fn identity(&self) -> &Identity {
        &self.identity
    }

    /// What the checkpoint must match.
    pub(crate) fn checkpoint_key(&self) -> Key<'_> {
        checkpoint_key(&self.config, &self.identity)
    }

    /// The state in the last checkpoint, for a network with `dims` = (parameters, running statistics); `None` if there is none.
    pub(crate) fn checkpoint(&self, dims: (usize, usize)) -> Result<Option<TrainState>> {
        checkpoint::read(&self.layout.checkpoint(), &self.checkpoint_key(), dims)
    }

    /// The training, if it has ended.
    pub(crate) fn training(&self) -> Result<Option<TrainReport>> {
        training_of(&self.layout, &self.config)
    }

    /// The measurement, if it was made.
    pub(crate) fn measurement(&self) -> Result<Option<Measurement>> {
        measurement_of(&self.layout, &self.config)
    }

    /// The state at the end of a training with this `outcome`.
    ///
    /// # Errors
    /// [`Error::DamagedRun`] if the checkpoint is missing, cannot be read, or is not of the end.
    pub(crate) fn final_state(&self, dims: (usize, usize), outcome: Outcome) -> Result<TrainState> {
        let state = stored_state(&self.layout, &self.config, dims)?;
        if state.progress.outcome == Some(outcome) {
            return Ok(state);
        }
        let problem = format!(
            "it is not of the end of the training, of which {} tells",
            self.layout.result().display()
        );
        Err(Error::damaged(self.layout.checkpoint(), problem))
    }

    /// Replaces the final weights with the bytes of a safetensors file.
    pub(crate) fn write_weights(&self, content: &[u8]) -> Result<()> {
        self.replace(&self.layout.weights(), content).map(drop)
    }

    /// Writes the result of the training, which is then done.
    ///
    /// # Errors
    /// As [`Self::replace`].
    pub(crate) fn write_training(&self, training: &TrainReport) -> Result<()> {
        let (id, config) = (self.identity.training.clone(), self.config.clone());
        let record = TrainingRecord { schema: SCHEMA, id, config, training: training.clone() };
        self.replace_json(&self.layout.result(), &record)
    }

    /// Writes a measurement. The run is then done.
    ///
    /// # Errors
    /// As [`Self::write_training`].
    pub(crate) fn write_measurement(&self, measurement: &Measurement) -> Result<()> {
        self.renew()?;
        let folder = self.layout.measurements();
        fs::create_dir_all(&folder).map_err(Error::io("create", &folder))?;
        let Identity { training: training_id, run: id } = self.identity.clone();
        let (config, measurement) = (self.config.clone(), measurement.clone());
        let record = MeasurementRecord { schema: SCHEMA, training_id, config, measurement, id: id.clone() };
        self.replace_json(&self.layout.measurement(&id), &record)
    }
}

/// What the checkpoint of a run must match.
pub(crate) fn checkpoint_key<'i>(config: &RunConfig, identity: &'i Identity) -> Key<'i> {
    let optimizer = config.training.optimizer.settings().state_vectors();
    Key { training: &identity.training, precision: config.precision, optimizer }
}

/// The state in the last checkpoint of the run `config` in a directory, for a network with `dims` = (parameters, running
/// statistics). Another process may be writing the run.
///
/// # Errors
/// [`Error::DamagedRun`] if there is no checkpoint or it cannot be read.
pub(crate) fn stored_state(
    layout: &RunLayout,
    config: &RunConfig,
    dims: (usize, usize),
) -> Result<TrainState> {
    let (path, identity) = (layout.checkpoint(), Identity::of(config)?);
    let state = checkpoint::read(&path, &checkpoint_key(config, &identity), dims)?;
    state.ok_or_else(|| Error::DamagedRun {
        file: path,
        problem: "it is missing".to_owned(),
        way_out: "restore it, or train the run again",
    })
}

/// Refuses a directory that has no configuration but other files. Needs no lock: of a run that another process is making, the
/// configuration is there before any other file.
fn check_content(layout: &RunLayout) -> Result<()> {
    let dir = layout.dir();
    let entries = match fs::read_dir(dir) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(Error::io("read", dir))?,
    };
    for entry in entries {
        let name = entry.map_err(Error::io("read", dir))?.file_name().to_string_lossy().into_owned();
        if !RunLayout::may_precede_config(&name) && !layout.config().exists() {
            return Err(Error::NotARun { dir: dir.to_owned(), found: name });
        }
    }
    Ok(())
}
