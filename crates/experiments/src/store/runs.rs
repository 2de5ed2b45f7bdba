//! Many runs side by side, each in the directory that has its name. Nothing in it depends on the machine: a store may be copied.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::atomic::{self, failed};
use super::{RunLayout, is_locked, read_json, run_config, set_aside};
use crate::config::identity::{is_old_id, lettered_id, old_id};
use crate::measures::SubsetSize;
use crate::training::Progress;
use crate::{Error, Report, Result};

/// Runs in one directory.
#[derive(Clone, Debug)]
pub struct RunStore {
    dir: PathBuf,
}

/// How far a run of a store is.
#[derive(Clone, Debug, PartialEq)]
pub enum RunStatus {
    /// It has not begun.
    Missing,
    /// It was interrupted after this many epochs, and can be resumed.
    Started(u32),
    /// A process is working on it.
    Running,
    /// Its configuration cannot be trained or measured, for this reason.
    Failed(String),
    /// A file of it cannot be read, for this reason. A sweep makes it again.
    Damaged(String),
    /// It is done.
    Done(Box<Report>),
}

/// The content of `failure.json`.
#[derive(Serialize, Deserialize)]
struct Failure {
    problem: String,
}

impl RunStore {
    /// The store in `dir`, which need not exist yet.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into() }
    }

    /// The store in `dir`, for reading.
    ///
    /// # Errors
    /// [`Error::NoStore`] if `dir` is not a directory: its path may be mistyped.
    pub fn existing(dir: impl Into<PathBuf>) -> Result<Self> {
        let dir = dir.into();
        if dir.is_dir() { Ok(Self { dir }) } else { Err(Error::NoStore { dir }) }
    }

    /// The directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Where the files of a run are. An old store may have it under the name without its letter.
    pub fn run(&self, id: &str) -> RunLayout {
        let (dir, old) = (self.dir.join(id), self.dir.join(old_id(id)));
        RunLayout::new(if !dir.exists() && old.is_dir() { old } else { dir })
    }

    /// The names of all runs, sorted. A run that is there under its old and its new name, as in a store that was put together
    /// from two, has the new one.
    ///
    /// # Errors
    /// [`Error::Io`] if the directory cannot be read.
    pub fn ids(&self) -> Result<Vec<String>> {
        let mut ids = Vec::new();
        for entry in fs::read_dir(&self.dir).map_err(failed("read", &self.dir))? {
            let name = entry.map_err(failed("read", &self.dir))?.file_name().to_string_lossy().into_owned();
            let layout = self.run(&name);
            if layout.holds_run() {
                ids.push(name);
            }
        }
        let all: BTreeSet<String> = ids.iter().cloned().collect();
        ids.retain(|id| !is_old_id(id) || !all.contains(&lettered_id(id)));
        ids.sort_unstable();
        Ok(ids)
    }

    /// How far a run is.
    pub fn status(&self, id: &str) -> RunStatus {
        self.read_status(id).unwrap_or_else(|error| match error {
            Error::DamagedRun { file, problem, .. } => RunStatus::Damaged(format!(
                "{} is damaged: {problem}; a sweep makes it again",
                file.display()
            )),
            error => RunStatus::Damaged(error.to_string()),
        })
    }

    fn read_status(&self, id: &str) -> Result<RunStatus> {
        let layout = self.run(id);
        let report = self.report(id);
        if let Ok(Some(report)) = report {
            return Ok(RunStatus::Done(Box::new(report)));
        }
        if is_locked(&layout) {
            return Ok(RunStatus::Running);
        }
        report?;
        if let Some(Failure { problem }) = read_json(&layout.failure())? {
            return Ok(RunStatus::Failed(problem));
        }
        if run_config(&layout)?.is_none() {
            return Ok(RunStatus::Missing);
        }
        let progress: Option<Progress> = read_json(&layout.state())?;
        Ok(RunStatus::Started(progress.map_or(0, |progress| progress.epoch)))
    }

    /// The report of a run that is done.
    ///
    /// # Errors
    /// [`Error::DamagedRun`] or [`Error::Io`] if it cannot be read.
    pub fn report(&self, id: &str) -> Result<Option<Report>> {
        read_json(&self.run(id).result())
    }

    /// λ_max of a run on several numbers of examples, where it was measured.
    ///
    /// # Errors
    /// As [`Self::report`].
    pub fn subset_sizes(&self, id: &str) -> Result<Option<Vec<SubsetSize>>> {
        read_json(&self.run(id).subset_sizes())
    }

    /// Writes down λ_max of a run on several numbers of examples.
    ///
    /// # Errors
    /// [`Error::Io`] if the store cannot be written.
    pub(crate) fn write_subset_sizes(&self, id: &str, sizes: &[SubsetSize]) -> Result<()> {
        if let Err(Error::DamagedRun { file, problem, .. }) = self.subset_sizes(id) {
            set_aside(file, problem)?;
        }
        atomic::replace_json(&self.run(id).subset_sizes(), &sizes)
    }

    /// Writes down why the configuration of a run cannot be trained or measured.
    ///
    /// # Errors
    /// [`Error::Io`] if the store cannot be written.
    pub(crate) fn write_failure(&self, id: &str, problem: &str) -> Result<()> {
        let layout = self.run(id);
        fs::create_dir_all(layout.dir()).map_err(failed("create", layout.dir()))?;
        atomic::replace_json(&layout.failure(), &Failure { problem: problem.to_owned() })
    }

    /// Forgets that a run failed.
    ///
    /// # Errors
    /// [`Error::Io`] if the store cannot be written.
    pub(crate) fn forget_failure(&self, id: &str) -> Result<()> {
        let path = self.run(id).failure();
        match fs::remove_file(&path) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(failed("remove", &path)(e)),
            _ => Ok(()),
        }
    }
}
