//! Runs on disk. A process that is killed at any instant loses at most the work since its last checkpoint.
//!
//! | file | subject |
//! | --- | --- |
//! | `layout.rs` | all paths |
//! | `atomic.rs` | files that are replaced whole, and locks |
//! | `metrics.rs` | lines that are appended |
//! | `checkpoint.rs` | all that a run needs to be resumed |
//! | `journal.rs` | what a training writes on its way |
//! | `runs.rs` | many runs side by side |
//! | `export.rs`, `parquet_file.rs`, `table_file.rs` | runs as a table, written and read |

pub(crate) mod atomic;
mod checkpoint;
mod export;
mod journal;
mod layout;
mod metrics;
mod parquet_file;
mod runs;
mod table_file;

use std::fmt;
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use self::atomic::failed;
pub use self::atomic::replace as write_file;
pub use self::export::{ColumnType, RunTable};
pub use self::journal::CheckpointEvery;
pub(crate) use self::journal::Journal;
pub use self::layout::RunLayout;
pub use self::runs::{RunStatus, RunStore};
use crate::config::file::line_of;
use crate::config::{ConfigFile, Precision, RunConfig};
use crate::network::files;
use crate::training::TrainState;
use crate::{Error, Report, Result};

/// The directory of a run that this process alone may write, until the value is dropped.
#[derive(Debug)]
pub struct RunDir {
    layout: RunLayout,
    id: String,
    precision: Precision,
    lock: File,
    damage: Vec<Damage>,
}

/// A directory that was opened for a run.
#[derive(Debug)]
pub enum Opened {
    /// The run may be trained, from its start or from its checkpoint.
    Open(RunDir),
    /// The run is done.
    Finished(Box<Report>),
}

/// What to do with a run that is in the directory already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Existing {
    /// Refuse it.
    #[default]
    Refuse,
    /// Resume it. A damaged result is measured again; other damage is an error.
    Resume,
    /// Resume it, set damaged files aside and make again what they held. For a directory whose name says which run it holds.
    Repair,
}

/// A damaged file that was set aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// Where it was.
    pub file: PathBuf,
    /// What is wrong with it.
    pub problem: String,
    /// Where it is kept, unless it was missing.
    pub kept: Option<PathBuf>,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, problem, kept } = self;
        let kept =
            kept.as_ref().map_or_else(String::new, |kept| format!("it is kept as {} and ", kept.display()));
        write!(f, "{} was damaged: {problem}; {kept}made again", file.display())
    }
}

impl RunDir {
    /// Makes `dir` the directory of the run `config`, or opens the run in it as `existing` says.
    ///
    /// The directory is locked before anything in it is judged or written, so that of several processes one makes the run.
    ///
    /// # Errors
    /// - [`Error::RunLocked`] if another process is making a run there;
    /// - [`Error::RunExists`] if a run is there and `existing` is [`Existing::Refuse`];
    /// - [`Error::OtherConfig`] if the run there is another one;
    /// - [`Error::NotARun`] if other files are there;
    /// - [`Error::DamagedRun`] if the configuration there cannot be read, unless it is to be repaired;
    /// - [`Error::Io`] if the directory cannot be written.
    pub fn open(dir: &Path, config: &RunConfig, existing: Existing) -> Result<Opened> {
        let layout = RunLayout::new(dir);
        if existing != Existing::Repair {
            check_content(&layout)?;
        }
        // A run that is done does not change any more, so it can be read without a lock: also where nothing can be written.
        if existing != Existing::Refuse
            && let Ok(Some(report)) = finished(&layout, config)
        {
            return Ok(Opened::Finished(Box::new(report)));
        }
        fs::create_dir_all(dir).map_err(failed("create", dir))?;
        let (lock, id, precision) = (lock(&layout)?, config.id()?, config.precision);
        let mut run = Self { layout, id, precision, lock, damage: Vec::new() };
        run.settle_config(config, existing)?;
        match finished(&run.layout, config) {
            Ok(Some(report)) => return Ok(Opened::Finished(Box::new(report))),
            Ok(None) => {}
            Err(Error::DamagedRun { file, problem, .. }) => {
                run.damage.push(set_aside(file, problem)?);
            }
            Err(error) => return Err(error),
        }
        Ok(Opened::Open(run))
    }

    /// Writes the configuration of a run that has none; otherwise checks that it may be resumed.
    fn settle_config(&mut self, config: &RunConfig, existing: Existing) -> Result<()> {
        let path = self.layout.config();
        if existing == Existing::Refuse && path.exists() {
            return Err(Error::RunExists { dir: self.layout.dir().to_owned() });
        }
        let is_there = match same_config(&self.layout, config) {
            Err(Error::DamagedRun { file, problem, .. }) if existing == Existing::Repair => {
                self.damage.push(set_aside(file, problem)?);
                false
            }
            // Its name says that this is the run, and a file that was cut can be a configuration still.
            Err(error @ Error::OtherConfig { .. }) if existing == Existing::Repair => {
                self.damage.push(set_aside(path.clone(), error.to_string())?);
                false
            }
            is_there => is_there?,
        };
        if is_there {
            return Ok(());
        }
        let text = toml::to_string(config).map_err(|e| Error::Config {
            key: "the configuration".to_owned(),
            problem: format!("cannot be written as TOML: {e}"),
        })?;
        atomic::replace(&path, text.as_bytes())
    }

    /// What was damaged when the directory was opened.
    pub fn damage(&self) -> &[Damage] {
        &self.damage
    }

    /// Moves the checkpoint and the metrics out of the way, of which `file` is damaged, so that the training starts over.
    pub(crate) fn set_training_aside(&self, file: PathBuf, problem: String) -> Result<Damage> {
        // The checkpoint last: while it is there, metrics that are missing are damage too.
        let (metrics, checkpoint) = (self.layout.metrics(), self.layout.checkpoint());
        if file == checkpoint {
            set_aside(metrics, String::new())?;
            set_aside(file, problem)
        } else {
            let damage = set_aside(file, problem)?;
            set_aside(checkpoint, String::new())?;
            Ok(damage)
        }
    }

    /// Refuses to write where the lock is not held any more.
    ///
    /// # Errors
    /// [`Error::RunReplaced`] if the directory was deleted, and perhaps made again by another process.
    pub(crate) fn check_lock(&self) -> Result<()> {
        if atomic::is_at(&self.lock, &self.layout.lock())? {
            return Ok(());
        }
        Err(Error::RunReplaced { dir: self.layout.dir().to_owned() })
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
        self.check_lock()?;
        atomic::replace(&self.layout.weights(), content)
    }

    /// Writes the result, after which the run is done: the last file, so call it when all else is written.
    ///
    /// # Errors
    /// [`Error::Io`] if the disk is full or the directory cannot be written; [`Error::RunReplaced`].
    pub fn write_result(&self, result: &Report) -> Result<()> {
        self.check_lock()?;
        atomic::replace_json(&self.layout.result(), result)
    }
}

/// The file with the configuration of a run; `None` if there is none.
///
/// # Errors
/// [`Error::DamagedRun`] if it is not the whole configuration of a run; [`Error::Io`] if it cannot be read.
pub fn run_config(layout: &RunLayout) -> Result<Option<ConfigFile>> {
    read_config(layout)?.map(|(text, _)| ConfigFile::parse(&layout.config(), text)).transpose()
}

/// The configuration of the run in a directory.
///
/// # Errors
/// [`Error::Io`] if it cannot be read; [`Error::DamagedRun`] if it is missing or not the configuration of a run.
pub(crate) fn stored_config(layout: &RunLayout) -> Result<RunConfig> {
    let missing = || damaged(layout.config(), "it is missing".to_owned());
    read_config(layout)?.map(|(_, config)| config).ok_or_else(missing)
}

/// The text and the content of the configuration of a run.
fn read_config(layout: &RunLayout) -> Result<Option<(String, RunConfig)>> {
    let path = layout.config();
    let damaged = |problem: String| damaged(path.clone(), problem);
    // Looked at first: another process that makes the run writes the configuration before anything else.
    let is_begun = layout.checkpoint().exists() || layout.result().exists();
    let bytes = match read_file(&path)? {
        Some(bytes) => bytes,
        None if is_begun => return Err(damaged("it is missing".to_owned())),
        None => return Ok(None),
    };
    let text = String::from_utf8(bytes).map_err(|_| damaged("it is not text in UTF-8".to_owned()))?;
    if text.trim().is_empty() {
        return Err(damaged("it is empty".to_owned()));
    }
    match toml::from_str(&text) {
        Ok(config) => Ok(Some((text, config))),
        Err(error) => {
            let line = error.span().map_or(1, |span| line_of(&text, &span));
            Err(damaged(format!("line {line} is not that of a run's configuration ({})", error.message())))
        }
    }
}

/// Whether a configuration is there, which must be `config`.
fn same_config(layout: &RunLayout, config: &RunConfig) -> Result<bool> {
    let Some((_, found)) = read_config(layout)? else { return Ok(false) };
    let differences = found.differences(config)?;
    if differences.is_empty() {
        Ok(true)
    } else {
        Err(Error::OtherConfig { dir: layout.dir().to_owned(), differences })
    }
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

/// The report of the run `config`, if that is there and done.
fn finished(layout: &RunLayout, config: &RunConfig) -> Result<Option<Report>> {
    if !same_config(layout, config)? {
        return Ok(None);
    }
    let path = layout.result();
    let Some(report) = read_json::<Report>(&path)? else { return Ok(None) };
    let differences = report.config.differences(config)?;
    if differences.is_empty() {
        return Ok(Some(report));
    }
    let problem =
        format!("it is the result of another run; there and here differ: {}", differences.join(", "));
    Err(damaged(path, problem))
}

/// What a JSON file holds; `None` if there is no such file.
fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    let Some(content) = read_file(path)? else { return Ok(None) };
    let damaged = |problem: String| damaged(path.to_owned(), problem);
    let value: Value =
        serde_json::from_slice(&content).map_err(|e| damaged(format!("it is not a JSON document ({e})")))?;
    let content = serde_json::from_value(value);
    content.map(Some).map_err(|e| damaged(format!("this version cannot read its content ({e})")))
}

fn read_file(path: &Path) -> Result<Option<Vec<u8>>> {
    match files::read(path, JSON_LIMIT) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        content => content.map(Some).map_err(failed("read", path)),
    }
}

/// Renames a damaged file, if it is there.
fn set_aside(file: PathBuf, problem: String) -> Result<Damage> {
    let kept = RunLayout::set_aside(&file);
    let kept = match fs::rename(&file, &kept) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => None,
        renamed => renamed.map(|()| Some(kept)).map_err(failed("rename", &file))?,
    };
    atomic::sync_directory_of(&file)?;
    Ok(Damage { file, problem, kept })
}

fn damaged(file: PathBuf, problem: String) -> Error {
    let way_out = "restore it from a copy, or train again in another directory with --out";
    Error::DamagedRun { file, problem, way_out }
}

/// Refuses a directory that has no configuration but other files. Needs no lock: of a run that another process is making, the
/// configuration is there before any other file.
fn check_content(layout: &RunLayout) -> Result<()> {
    let dir = layout.dir();
    let entries = match fs::read_dir(dir) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(failed("read", dir))?,
    };
    for entry in entries {
        let name = entry.map_err(failed("read", dir))?.file_name().to_string_lossy().into_owned();
        if !RunLayout::may_precede_config(&name) && !layout.config().exists() {
            return Err(Error::NotARun { dir: dir.to_owned(), found: name });
        }
    }
    Ok(())
}

fn lock(layout: &RunLayout) -> Result<File> {
    let path = layout.lock();
    atomic::open_locked(&path, |file| {
        for _ in 0..LOCK_TRIES {
            match file.try_lock() {
                Ok(()) => return Ok(()),
                // Somebody may only look whether the run is being made.
                Err(TryLockError::WouldBlock) => std::thread::sleep(LOCK_PAUSE),
                Err(TryLockError::Error(source)) => return Err(failed("lock", &path)(source)),
            }
        }
        Err(Error::RunLocked { dir: layout.dir().to_owned() })
    })
}

/// Whether a process is making the run. Its lock ends with it, however it ends.
fn is_locked(layout: &RunLayout) -> bool {
    // A shared lock, so that others who look at the same time do not take this process for one that is making the run.
    let file = files::open_to_read(&layout.lock());
    file.is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

/// The size of the largest JSON document of a run that is read, in bytes: λ_max through a million epochs fits.
const JSON_LIMIT: u64 = 512 << 20;

/// How often and how long a lock that another holds is waited for.
const LOCK_TRIES: usize = 5;
const LOCK_PAUSE: Duration = Duration::from_millis(20);
