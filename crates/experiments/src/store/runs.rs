//! Many runs side by side, each in the directory that has its name. Nothing in it depends on the machine: a store may be copied.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::atomic::{self, failed};
use super::{RunLayout, damaged, is_locked, read_json_file};
use crate::measures::SubsetSize;
use crate::training::Progress;
use crate::{Report, Result};

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
    /// It was interrupted after this many epochs, and can go on.
    Started(u32),
    /// A process is working on it.
    Running,
    /// It could not be made, for this reason.
    Failed(String),
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

    /// The directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Where the files of a run are.
    pub fn run(&self, id: &str) -> RunLayout {
        RunLayout::new(self.dir.join(id))
    }

    /// The names of all runs, sorted.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io) if the directory cannot be read. One that does not exist has no runs.
    pub fn ids(&self) -> Result<Vec<String>> {
        let entries = match fs::read_dir(&self.dir) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(failed("read", &self.dir))?,
        };
        let mut ids = Vec::new();
        for entry in entries {
            let name = entry.map_err(failed("read", &self.dir))?.file_name().to_string_lossy().into_owned();
            let layout = self.run(&name);
            if layout.config().is_file() || layout.failure().is_file() {
                ids.push(name);
            }
        }
        ids.sort_unstable();
        Ok(ids)
    }

    /// How far a run is.
    ///
    /// # Errors
    /// [`Error::DamagedRun`](crate::Error::DamagedRun) or [`Error::Io`](crate::Error::Io) if its files cannot be read.
    pub fn status(&self, id: &str) -> Result<RunStatus> {
        let layout = self.run(id);
        if let Some(report) = self.report(id)? {
            return Ok(RunStatus::Done(Box::new(report)));
        }
        if is_locked(&layout) {
            return Ok(RunStatus::Running);
        }
        if let Some(Failure { problem }) = read_json(&layout.failure())? {
            return Ok(RunStatus::Failed(problem));
        }
        if !layout.config().is_file() {
            return Ok(RunStatus::Missing);
        }
        let progress: Option<Progress> = read_json(&layout.state())?;
        Ok(RunStatus::Started(progress.map_or(0, |progress| progress.epoch)))
    }

    /// The report of a run that is done.
    ///
    /// # Errors
    /// As [`Self::status`].
    pub fn report(&self, id: &str) -> Result<Option<Report>> {
        let path = self.run(id).result();
        let Some(result) = read_json_file(&path)? else { return Ok(None) };
        let report = serde_json::from_value(result);
        report.map(Some).map_err(|error| damaged(path, format!("it is no report of this version ({error})")))
    }

    /// λ_max of a run on several numbers of examples, where it was measured.
    ///
    /// # Errors
    /// As [`Self::status`].
    pub fn subset_sizes(&self, id: &str) -> Result<Option<Vec<SubsetSize>>> {
        read_json(&self.run(id).subset_sizes())
    }

    /// Writes down λ_max of a run on several numbers of examples.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io) if the store cannot be written.
    pub(crate) fn write_subset_sizes(&self, id: &str, sizes: &[SubsetSize]) -> Result<()> {
        atomic::replace_json(&self.run(id).subset_sizes(), &sizes)
    }

    /// Writes down why a run could not be made.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io) if the store cannot be written.
    pub(crate) fn write_failure(&self, id: &str, problem: &str) -> Result<()> {
        let layout = self.run(id);
        fs::create_dir_all(layout.dir()).map_err(failed("create", layout.dir()))?;
        atomic::replace_json(&layout.failure(), &Failure { problem: problem.to_owned() })
    }

    /// Forgets that a run could not be made.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io) if the store cannot be written.
    pub(crate) fn forget_failure(&self, id: &str) -> Result<()> {
        let path = self.run(id).failure();
        match fs::remove_file(&path) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(failed("remove", &path)(e)),
            _ => Ok(()),
        }
    }
}

fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    let Some(value) = read_json_file(path)? else { return Ok(None) };
    let content = serde_json::from_value(value);
    content.map(Some).map_err(|error| damaged(path.to_owned(), error.to_string()))
}
