//! Runs on disk. A process that is killed at any instant loses at most the work since its last checkpoint.
//!
//! | file | subject |
//! | --- | --- |
//! | `layout.rs` | all paths |
//! | `atomic.rs` | files that are replaced whole |
//! | `metrics.rs` | lines that are appended |
//! | `checkpoint.rs` | all that a run needs to go on |
//! | `journal.rs` | what a training writes while it goes on |
//! | `runs.rs` | many runs side by side |
//! | `export.rs`, `parquet_file.rs` | runs as a table |

pub(crate) mod atomic;
mod checkpoint;
mod export;
mod journal;
mod layout;
mod metrics;
mod parquet_file;
mod runs;

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use self::atomic::failed;
pub use self::atomic::replace as write_file;
pub use self::export::RunTable;
pub use self::journal::CheckpointEvery;
pub(crate) use self::journal::Journal;
pub use self::layout::RunLayout;
pub use self::runs::{RunStatus, RunStore};
use crate::config::{Precision, RunConfig};
use crate::training::TrainState;
use crate::{Error, Result};

/// The directory of a run that this process alone may write, until the value is dropped.
#[derive(Debug)]
pub struct RunDir {
    layout: RunLayout,
    id: String,
    precision: Precision,
    /// Holds the lock.
    _lock: File,
}

/// A directory that was opened for a run.
#[derive(Debug)]
pub enum Opened {
    /// The run may be trained, from its start or from its checkpoint.
    Open(RunDir),
    /// The run is done; this is its result.
    Finished(Value),
}

impl RunDir {
    /// Makes `dir` the directory of the run `config`, or goes on with the run in it if `resume`.
    ///
    /// # Errors
    /// - [`Error::RunExists`] if a run is there and `resume` is not set;
    /// - [`Error::OtherConfig`] if the run there is another one;
    /// - [`Error::NotARun`] if other files are there;
    /// - [`Error::RunLocked`] if another process writes the run;
    /// - [`Error::DamagedRun`] if the configuration or the result there cannot be read;
    /// - [`Error::Io`] if the directory cannot be written.
    pub fn open(dir: &Path, config: &RunConfig, resume: bool) -> Result<Opened> {
        let layout = RunLayout::new(dir);
        if resume
            && same_config(&layout, config)?
            && let Some(result) = read_json_file(&layout.result())?
        {
            return Ok(Opened::Finished(result));
        }
        if !resume && layout.config().exists() {
            return Err(Error::RunExists { dir: dir.to_owned() });
        }
        check_content(&layout)?;
        fs::create_dir_all(dir).map_err(failed("create", dir))?;
        let lock = lock(&layout)?;
        let text = toml::to_string(config).map_err(|e| Error::Config {
            key: "the configuration".to_owned(),
            problem: format!("cannot be written as TOML: {e}"),
        })?;
        if !layout.config().exists() {
            atomic::replace(&layout.config(), text.as_bytes())?;
        }
        let (id, precision) = (config.id()?, config.precision);
        Ok(Opened::Open(Self { layout, id, precision, _lock: lock }))
    }

    /// Where the files are.
    pub const fn layout(&self) -> &RunLayout {
        &self.layout
    }

    /// The name of the run.
    pub fn id(&self) -> &str {
        &self.id
    }

    pub(crate) const fn precision(&self) -> Precision {
        self.precision
    }

    /// The state in the last checkpoint, for a network with `dims` = (parameters, running statistics); `None` where there is none.
    pub(crate) fn checkpoint(&self, dims: (usize, usize)) -> Result<Option<TrainState>> {
        checkpoint::read(&self.layout.checkpoint(), &self.id, self.precision, dims)
    }

    /// Replaces the final weights with the bytes of a safetensors file.
    pub(crate) fn write_weights(&self, content: &[u8]) -> Result<()> {
        atomic::replace(&self.layout.weights(), content)
    }

    /// Writes the result, after which the run is done: the last file, so call it when all else is written.
    ///
    /// # Errors
    /// [`Error::Io`] if the disk is full or the directory cannot be written.
    pub fn write_result(&self, result: &impl serde::Serialize) -> Result<()> {
        atomic::replace_json(&self.layout.result(), result)
    }
}

/// Whether a configuration is there, which must be `config`.
fn same_config(layout: &RunLayout, config: &RunConfig) -> Result<bool> {
    if !layout.config().exists() {
        return Ok(false);
    }
    let found = stored_config(layout)?;
    let differences = found.differences(config)?;
    if differences.is_empty() {
        Ok(true)
    } else {
        Err(Error::OtherConfig { dir: layout.dir().to_owned(), differences })
    }
}

/// The configuration of the run in a directory.
///
/// # Errors
/// [`Error::Io`] if it cannot be read; [`Error::DamagedRun`] if it is not the configuration of a run.
pub(crate) fn stored_config(layout: &RunLayout) -> Result<RunConfig> {
    let path = layout.config();
    let text = fs::read_to_string(&path).map_err(failed("read", &path))?;
    toml::from_str(&text).map_err(|e| damaged(path, format!("it is not the configuration of a run ({e})")))
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
    let path = layout.checkpoint();
    let state = checkpoint::read(&path, &config.id()?, config.precision, dims)?;
    state.ok_or_else(|| Error::DamagedRun {
        file: path,
        problem: "it is missing".to_owned(),
        way_out: "restore it, or train the run again",
    })
}

fn read_json_file(path: &Path) -> Result<Option<Value>> {
    let text = match fs::read(path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        text => text.map_err(failed("read", path))?,
    };
    serde_json::from_slice(&text)
        .map(Some)
        .map_err(|e| damaged(path.to_owned(), format!("it is no JSON document ({e})")))
}

fn damaged(file: PathBuf, problem: String) -> Error {
    let way_out = "restore it, or train again in another directory with --out";
    Error::DamagedRun { file, problem, way_out }
}

/// Refuses a directory that has no configuration but other files.
fn check_content(layout: &RunLayout) -> Result<()> {
    let dir = layout.dir();
    if layout.config().exists() || !dir.is_dir() {
        return Ok(());
    }
    for entry in fs::read_dir(dir).map_err(failed("read", dir))? {
        let name = entry.map_err(failed("read", dir))?.file_name().to_string_lossy().into_owned();
        if !RunLayout::may_precede_config(&name) {
            return Err(Error::NotARun { dir: dir.to_owned(), found: name });
        }
    }
    Ok(())
}

fn lock(layout: &RunLayout) -> Result<File> {
    let path = layout.lock();
    let file = File::options().create(true).append(true).open(&path).map_err(failed("create", &path))?;
    for _ in 0..LOCK_TRIES {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            // Somebody may only look whether the run is being written.
            Err(TryLockError::WouldBlock) => std::thread::sleep(LOCK_PAUSE),
            Err(TryLockError::Error(source)) => return Err(failed("lock", &path)(source)),
        }
    }
    Err(Error::RunLocked { dir: layout.dir().to_owned() })
}

/// Whether a process writes the run. Its lock ends with it, however it ends.
fn is_locked(layout: &RunLayout) -> bool {
    let file = File::options().append(true).open(layout.lock());
    file.is_ok_and(|file| matches!(file.try_lock(), Err(TryLockError::WouldBlock)))
}

/// How often and how long a lock that another holds is waited for.
const LOCK_TRIES: usize = 5;
const LOCK_PAUSE: Duration = Duration::from_millis(20);
