//! The paths of the files of runs and launches. No other module spells their names.

use std::path::{Path, PathBuf};

/// The suffix of a file that is being written.
const PARTIAL: &str = ".partial";
/// The prefix of a directory that is to become the lease.
const CANDIDATE: &str = ".lease-";
/// The length of the token of a lease: digits of a hexadecimal number.
const TOKEN: usize = 16;
/// The suffix of a damaged file that was set aside.
const DAMAGED: &str = ".damaged";

/// The paths of one run.
#[derive(Clone, Debug)]
pub struct RunLayout {
    dir: PathBuf,
}

impl RunLayout {
    /// The run in `dir`.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into() }
    }

    /// The directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The configuration; the first file of a run.
    pub fn config(&self) -> PathBuf {
        self.dir.join("config.toml")
    }

    /// One line of JSON for each epoch.
    pub fn metrics(&self) -> PathBuf {
        self.dir.join("metrics.jsonl")
    }

    /// Everything that is needed to resume the run, in one file.
    pub fn checkpoint(&self) -> PathBuf {
        self.dir.join("checkpoint.safetensors")
    }

    /// The progress in the checkpoint, for people; nothing reads it.
    pub fn state(&self) -> PathBuf {
        self.dir.join("state.json")
    }

    /// The final weights, with PyTorch's names.
    pub fn weights(&self) -> PathBuf {
        self.dir.join("weights.safetensors")
    }

    /// The result of the training; written last, so that its presence means that the training is done.
    pub fn result(&self) -> PathBuf {
        self.dir.join("result.json")
    }

    /// The provenance of the run: one entry for each start.
    pub fn provenance(&self) -> PathBuf {
        self.dir.join("provenance.json")
    }

    /// The directory of the measurements.
    pub fn measurements(&self) -> PathBuf {
        self.dir.join("measurements")
    }

    /// A measurement at the final weights.
    pub fn measurement(&self, id: &str) -> PathBuf {
        self.measurements().join(format!("{id}.json"))
    }

    /// λ_max at the final weights on several numbers of examples, if requested.
    pub fn subset_sizes(&self) -> PathBuf {
        self.dir.join("subset_sizes.json")
    }

    /// Why the run failed, if it did.
    pub fn failure(&self) -> PathBuf {
        self.dir.join("failure.json")
    }

    /// Whether the directory holds a file of a run.
    pub fn holds_run(&self) -> bool {
        let files = [self.config(), self.metrics(), self.checkpoint(), self.result(), self.failure()];
        files.iter().any(|file| file.exists())
    }

    /// The directory with the lease of the process that writes the run.
    pub(crate) fn lease(&self) -> PathBuf {
        self.dir.join(".lease")
    }

    /// A directory that is to become the lease.
    pub(crate) fn lease_candidate(&self, token: &str) -> PathBuf {
        self.dir.join(format!("{CANDIDATE}{token}"))
    }

    /// Whether a name is that of a [`Self::lease_candidate`].
    pub(crate) fn is_lease_candidate(name: &str) -> bool {
        name.strip_prefix(CANDIDATE).is_some_and(is_token)
    }

    /// Where the next content of `file` is written by the holder of the lease with this token: in the directory of the run
    /// itself, so that the next holder finds it.
    pub(crate) fn partial_of_holder(&self, file: &Path, token: &str) -> PathBuf {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        self.dir.join(format!("{name}.{token}{PARTIAL}"))
    }

    /// Whether a name is that of a [`Self::partial_of_holder`].
    pub(crate) fn is_partial_of_holder(name: &str) -> bool {
        name.strip_suffix(PARTIAL)
            .and_then(|name| name.rsplit_once('.'))
            .is_some_and(|(_, token)| is_token(token))
    }

    /// Where the next content of `file` is written before it takes its place.
    pub(crate) fn partial(file: &Path) -> PathBuf {
        let mut name = file.as_os_str().to_owned();
        name.push(PARTIAL);
        name.into()
    }

    /// Where the damaged content of `file` is kept: the first free name.
    pub(crate) fn set_aside(file: &Path) -> PathBuf {
        let mut name = file.as_os_str().to_owned();
        name.push(DAMAGED);
        let mut path = PathBuf::from(name.clone());
        for number in 2.. {
            if !path.exists() {
                break;
            }
            let mut next = name.clone();
            next.push(format!("-{number}"));
            path = next.into();
        }
        path
    }

    /// Whether a file of this name may be in a run that has no configuration yet.
    pub(crate) fn may_precede_config(name: &str) -> bool {
        // Older versions locked `.lock`.
        let is_first =
            [".lease", ".lock", "config.toml", "failure.json"].contains(&name.trim_end_matches(PARTIAL));
        is_first || Self::is_lease_candidate(name) || Self::is_partial_of_holder(name)
    }
}

fn is_token(text: &str) -> bool {
    text.len() == TOKEN && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The directory of a store that holds its launches.
const LAUNCHES: &str = "launches";

/// The paths of one launch: runs that were handed to a scheduler.
#[derive(Clone, Debug)]
pub struct LaunchLayout {
    dir: PathBuf,
}

impl LaunchLayout {
    /// The launch with a number in the store at `store`.
    pub fn new(store: &Path, number: u32) -> Self {
        Self { dir: Self::all(store).join(format!("{number:04}")) }
    }

    /// The directory of all launches of a store.
    pub(crate) fn all(store: &Path) -> PathBuf {
        store.join(LAUNCHES)
    }

    /// Locked by a process that submits.
    pub(crate) fn lock(store: &Path) -> PathBuf {
        Self::all(store).join(".lock")
    }

    /// The directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The copy of the recipe.
    pub fn recipe(&self) -> PathBuf {
        self.dir.join("recipe.toml")
    }

    /// The record of the launch; written last before the jobs are submitted.
    pub(crate) fn record(&self) -> PathBuf {
        self.dir.join("launch.json")
    }

    /// The names of the runs of each task, one task on a line.
    pub(crate) fn tasks(&self) -> PathBuf {
        self.dir.join("tasks.txt")
    }

    /// The batch script.
    pub fn script(&self) -> PathBuf {
        self.dir.join("job.sh")
    }

    /// The directory of the logs.
    pub(crate) fn logs(&self) -> PathBuf {
        self.dir.join("logs")
    }

    /// The log of a task such as `4711_3`, of all its attempts.
    pub fn log(&self, job: &str) -> PathBuf {
        self.logs().join(format!("{job}.log"))
    }

    /// The directory of the records of attempts.
    pub(crate) fn attempts(&self) -> PathBuf {
        self.dir.join("attempts")
    }

    /// The record of an attempt at a task such as `4711_3`.
    pub(crate) fn attempt(&self, job: &str, restart: u32) -> PathBuf {
        self.attempts().join(format!("{job}.{restart}.json"))
    }
}
