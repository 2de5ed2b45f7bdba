//! Where the files of a run are: the only place that spells their names.

use std::path::{Path, PathBuf};

/// Ends the name of a file that is being written.
const PARTIAL: &str = ".partial";
/// Ends the name of a file that was damaged and set aside.
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

    /// All that the run needs to go on, in one file.
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

    /// The result; the last file of a run, so that its presence means that the run is done.
    pub fn result(&self) -> PathBuf {
        self.dir.join("result.json")
    }

    /// λ_max at the final weights on several numbers of examples, where that was asked for.
    pub fn subset_sizes(&self) -> PathBuf {
        self.dir.join("subset_sizes.json")
    }

    /// Why the run could not be made, where it could not.
    pub fn failure(&self) -> PathBuf {
        self.dir.join("failure.json")
    }

    /// Whether the directory holds a file of a run.
    pub fn holds_run(&self) -> bool {
        let files = [self.config(), self.metrics(), self.checkpoint(), self.result(), self.failure()];
        files.iter().any(|file| file.exists())
    }

    /// Locked by the process that writes the run.
    pub(super) fn lock(&self) -> PathBuf {
        self.dir.join(".lock")
    }

    /// Where the next content of `file` is written before it takes its place.
    pub(super) fn partial(file: &Path) -> PathBuf {
        let mut name = file.as_os_str().to_owned();
        name.push(PARTIAL);
        name.into()
    }

    /// Where the damaged content of `file` is kept: the first name that is free.
    pub(super) fn set_aside(file: &Path) -> PathBuf {
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
    pub(super) fn may_precede_config(name: &str) -> bool {
        let name = name.strip_suffix(PARTIAL).unwrap_or(name);
        [".lock", "config.toml", "failure.json"].contains(&name)
    }
}
