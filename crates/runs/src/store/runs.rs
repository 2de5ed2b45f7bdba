//! A store of runs, each training in a directory with its name. Nothing in it depends on the machine, so a store can be
//! copied.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use sharpness_training::Progress;
use sharpness_training::measures::SubsetSize;
use sharpness_training::settings::RunConfig;

use super::config::{read_config, run_config};
use super::holder::Holder;
use super::lease::{Lease, replace_without_lease};
use super::look::holder;
use super::records::{old_report, report, reports};
use crate::atomic::json;
use crate::damage::set_aside;
use crate::identity::Identity;
use crate::json::read_json;
use crate::layout::RunLayout;
use crate::report::Report;
use crate::{Error, Result};

/// Runs in one directory.
#[derive(Clone, Debug)]
pub struct RunStore {
    dir: PathBuf,
    /// The finished runs of older versions, by their current names.
    old: OnceLock<BTreeMap<String, Report>>,
    /// The trainings that measure λ_max on the way, by the name of the training that does not.
    tracked: OnceLock<BTreeMap<String, Vec<String>>>,
}

/// The state of a run of a store.
#[derive(Clone, Debug, PartialEq)]
pub enum RunStatus {
    /// It has not started.
    Missing,
    /// It was interrupted after this many epochs, and can be resumed.
    Started(u32),
    /// A process is working on it.
    Running,
    /// Its configuration cannot be trained or measured, for this reason.
    Failed(String),
    /// One of its files cannot be read, for this reason. A sweep recreates it.
    Damaged(String),
    /// It is done.
    Done(Box<Report>),
}

/// The content of `failure.json`: why each run of a training could not be made. Runs that share a training fail on their own.
type Failures = BTreeMap<String, String>;

impl RunStore {
    /// The store in `dir`, which need not exist yet.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into(), old: OnceLock::new(), tracked: OnceLock::new() }
    }

    /// The store in `dir`, for reading.
    ///
    /// # Errors
    /// [`Error::NoStore`] if `dir` is not a directory: its path may be mistyped.
    pub fn existing(dir: impl Into<PathBuf>) -> Result<Self> {
        let store = Self::new(dir);
        if store.dir.is_dir() { Ok(store) } else { Err(Error::NoStore { dir: store.dir }) }
    }

    /// The directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Where the files of a training are.
    pub fn training(&self, training_id: &str) -> RunLayout {
        RunLayout::new(self.dir.join(training_id))
    }

    /// The names of all directories that hold a run, sorted.
    ///
    /// # Errors
    /// [`Error::Io`] if the directory cannot be read.
    pub fn trainings(&self) -> Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.dir).map_err(Error::io("read", &self.dir))? {
            let name =
                entry.map_err(Error::io("read", &self.dir))?.file_name().to_string_lossy().into_owned();
            if self.training(&name).holds_run() {
                names.push(name);
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    /// The finished runs of older versions, by their current names. They are never changed.
    pub fn old(&self) -> &BTreeMap<String, Report> {
        self.old.get_or_init(|| {
            let names = self.trainings().unwrap_or_default();
            let read = |name: &String| {
                let layout = self.training(name);
                // Unfinished old runs and damage are reported when the run itself is requested.
                let is_old = read_config(&layout).ok()??.is_old;
                let report = if is_old { old_report(&layout).ok()? } else { None };
                report.map(|report| (report.id.clone(), report))
            };
            names.iter().filter_map(read).collect()
        })
    }

    /// As [`Self::read_tracked`], read once.
    pub(super) fn all_tracked(&self) -> &BTreeMap<String, Vec<String>> {
        self.tracked.get_or_init(|| self.read_tracked())
    }

    /// The reports of a finished training, one for each measurement; none if it is unfinished. A file that cannot be read gives an
    /// [`Error::DamagedRun`] or [`Error::Io`] in place of its report and hides no other.
    pub fn reports(&self, training_id: &str) -> Vec<Result<Report>> {
        let layout = self.training(training_id);
        let all = || match read_config(&layout)? {
            Some(stored) if stored.is_old => Ok(old_report(&layout)?.map(Ok).into_iter().collect()),
            _ => reports(&layout),
        };
        all().unwrap_or_else(|error| vec![Err(error)])
    }

    /// The state of the run with these settings.
    pub fn status(&self, config: &RunConfig) -> RunStatus {
        self.read_status(config).unwrap_or_else(|error| damaged(&error))
    }

    fn read_status(&self, config: &RunConfig) -> Result<RunStatus> {
        let identity = Identity::of(config)?;
        let layout = self.training(&identity.training);
        let report = report(&layout, config, true);
        if let Ok(Some(report)) = report {
            return Ok(RunStatus::Done(Box::new(report)));
        }
        if let Some(report) = self.old().get(&identity.run) {
            return Ok(RunStatus::Done(Box::new(report.clone())));
        }
        if holder(&layout).is_some() {
            return Ok(RunStatus::Running);
        }
        report?;
        unfinished(&layout, Some(&identity.run))
    }

    /// The state of a training that has no report.
    pub fn training_status(&self, training_id: &str) -> RunStatus {
        let layout = self.training(training_id);
        if holder(&layout).is_some() {
            return RunStatus::Running;
        }
        unfinished(&layout, None).unwrap_or_else(|error| damaged(&error))
    }

    /// The process that works on a training, if one does and it is known.
    pub fn holder(&self, training_id: &str) -> Option<Holder> {
        holder(&self.training(training_id)).flatten()
    }

    /// Whether a process of any machine is working on a training, or may be: as a process decides that wants to take it.
    ///
    /// # Errors
    /// [`Error::Io`] if the store cannot be written.
    pub(crate) fn is_taken(&self, training_id: &str) -> Result<bool> {
        match Lease::acquire(&self.training(training_id)) {
            Err(Error::RunLocked { .. }) => Ok(true),
            lease => lease.map(|_| false),
        }
    }

    /// λ_max of a training on several numbers of examples, if it was measured.
    ///
    /// # Errors
    /// As [`Self::reports`].
    pub fn subset_sizes(&self, training_id: &str) -> Result<Option<Vec<SubsetSize>>> {
        read_json(&self.training(training_id).subset_sizes())
    }

    /// Writes λ_max of a training on several numbers of examples.
    ///
    /// # Errors
    /// [`Error::Io`] if the store cannot be written.
    pub(crate) fn write_subset_sizes(&self, training_id: &str, sizes: &[SubsetSize]) -> Result<()> {
        if let Err(Error::DamagedRun { file, problem, .. }) = self.subset_sizes(training_id) {
            set_aside(file, problem)?;
        }
        let (layout, path) = (self.training(training_id), self.training(training_id).subset_sizes());
        replace_without_lease(&layout, &path, &json(&path, &sizes)?)
    }

    /// Records why the settings of a run cannot be trained or measured.
    ///
    /// # Errors
    /// [`Error::Io`] if the store cannot be written.
    pub(crate) fn write_failure(&self, identity: &Identity, problem: &str) -> Result<()> {
        let layout = self.training(&identity.training);
        fs::create_dir_all(layout.dir()).map_err(Error::io("create", layout.dir()))?;
        let mut failures = match failures(&layout) {
            Err(Error::DamagedRun { file, problem, .. }) => {
                set_aside(file, problem)?;
                Failures::default()
            }
            failures => failures?,
        };
        failures.insert(identity.run.clone(), problem.to_owned());
        replace_without_lease(&layout, &layout.failure(), &json(&layout.failure(), &failures)?)
    }

    /// Forgets that a run failed.
    ///
    /// # Errors
    /// [`Error::Io`] if the store cannot be written.
    pub(crate) fn forget_failure(&self, identity: &Identity) -> Result<()> {
        let layout = self.training(&identity.training);
        let mut failures = failures(&layout)?;
        failures.remove(&identity.run);
        if !failures.is_empty() {
            return replace_without_lease(&layout, &layout.failure(), &json(&layout.failure(), &failures)?);
        }
        let path = layout.failure();
        match fs::remove_file(&path) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(Error::io("remove", &path)(e)),
            _ => Ok(()),
        }
    }
}

fn failures(layout: &RunLayout) -> Result<Failures> {
    Ok(read_json(&layout.failure())?.unwrap_or_default())
}

/// The state of a run that nobody works on and that has no report; of any run of the training if `run` is unset.
fn unfinished(layout: &RunLayout, run: Option<&str>) -> Result<RunStatus> {
    let mut failures = failures(layout)?.into_iter();
    if let Some((_, problem)) = failures.find(|(failed, _)| run.is_none_or(|run| failed == run)) {
        return Ok(RunStatus::Failed(problem));
    }
    if run_config(layout)?.is_none() {
        return Ok(RunStatus::Missing);
    }
    let progress: Option<Progress> = read_json(&layout.state())?;
    Ok(RunStatus::Started(progress.map_or(0, |progress| progress.epoch)))
}

fn damaged(error: &Error) -> RunStatus {
    RunStatus::Damaged(match error {
        Error::DamagedRun { file, problem, .. } => {
            format!("{} is damaged: {problem}; a sweep recreates it", file.display())
        }
        error => error.to_string(),
    })
}
