//! Errors of runs on disk. Each message says what is wrong, where, and what would be right.

use std::io;
use std::path::{Path, PathBuf};

/// The result of an operation of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// The error of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused an operation on a file or a directory.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// The attempted action, as a verb: `open`, `read`, `create`.
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The operating system's reason.
        source: io::Error,
    },

    /// A line of a user's file is invalid.
    #[error("{}, line {line}: {problem}", file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong, with the key, and what would be right.
        problem: String,
    },

    /// Training or measuring failed.
    #[error(transparent)]
    Training(#[from] sharpness_training::Error),

    /// The data set cannot be read.
    #[error(transparent)]
    Data(#[from] sharpness_data::Error),

    /// Threads for concurrent runs could not be started.
    #[error("cannot start the threads of the runs: {0}; ask for fewer with --jobs or --threads")]
    Threads(String),

    /// The directory of a new run already holds a run.
    #[error("{} already holds a run; add --resume to resume it, or choose another directory with --out", dir.display())]
    RunExists {
        /// The directory.
        dir: PathBuf,
    },

    /// The directory of a new run holds other files.
    #[error(
        "{} is not a run: it has no config.toml but holds '{found}'; choose an empty or new directory with --out",
        dir.display()
    )]
    NotARun {
        /// The directory.
        dir: PathBuf,
        /// The first name in it that does not belong to a run.
        found: String,
    },

    /// The directory of a store does not exist.
    #[error("there is no store of runs at {}; name one with --store, or create it with `sharpness sweep`", dir.display())]
    NoStore {
        /// The path that was given.
        dir: PathBuf,
    },

    /// Another process is executing the run.
    #[error(
        "{} is in use by another process{}; wait for it to end, or choose another directory with --out",
        dir.display(), of(holder.as_ref())
    )]
    RunLocked {
        /// The directory.
        dir: PathBuf,
        /// The other process, if known.
        holder: Option<String>,
    },

    /// Another process took over the run, because this one did not renew its lease in time: it was stopped, or its machine or
    /// the file system hung.
    #[error(
        "{} was taken over by another process{}, because this one was stopped or could not reach it for too long; \
         nothing more was written there",
        dir.display(), of(holder.as_ref())
    )]
    LeaseLost {
        /// The directory.
        dir: PathBuf,
        /// The other process, if it still works on the run.
        holder: Option<String>,
    },

    /// A variable of the environment has a value that makes no sense.
    #[error("{name} must be {expected}, not '{value}'")]
    Variable {
        /// Its name.
        name: &'static str,
        /// Its value.
        value: String,
        /// What would be right.
        expected: String,
    },

    /// The directory of a run was replaced after it was opened.
    #[error(
        "{} was deleted or replaced during the run; nothing more was written there",
        dir.display()
    )]
    RunReplaced {
        /// The directory.
        dir: PathBuf,
    },

    /// A run cannot be resumed with other settings than it was started with.
    #[error(
        "{} holds another run; there and here differ: {}; \
         give the same options as at its start, or choose another directory with --out",
        dir.display(), differences.join(", ")
    )]
    OtherConfig {
        /// The directory.
        dir: PathBuf,
        /// The keys that differ, each with the stored and the given value.
        differences: Vec<String>,
    },

    /// A run was written by an older version, in a format that this one can read but not write.
    #[error(
        "{} was written by an older version and can be read, but not resumed; choose another directory with --out",
        dir.display()
    )]
    OldRun {
        /// The directory.
        dir: PathBuf,
    },

    /// A file of a run is damaged.
    #[error("{} is damaged: {problem}; {way_out}", file.display())]
    DamagedRun {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        problem: String,
        /// What the user can do.
        way_out: &'static str,
    },

    /// A program of Slurm failed.
    #[error("Slurm's {program} failed: {problem}")]
    Slurm {
        /// The program.
        program: String,
        /// What it says.
        problem: String,
    },

    /// Runs cannot be launched.
    #[error("{0}")]
    Launch(String),

    /// A table cannot be read or written.
    #[error("{0}")]
    Table(String),
}

impl Error {
    /// Adds the path and the attempted action to an error of the operating system.
    pub fn io<'p>(action: &'static str, path: &'p Path) -> impl FnOnce(io::Error) -> Self + use<'p> {
        move |source| Self::Io { action, path: path.to_owned(), source }
    }

    /// A damaged file of a run that can be restored or recreated elsewhere.
    pub(crate) fn damaged(file: PathBuf, problem: String) -> Self {
        let way_out = "restore it from a copy, or train again in another directory with --out";
        Self::DamagedRun { file, problem, way_out }
    }

    /// Whether the settings of a run alone cause this, so that a retry fails the same way: on any machine, with any
    /// disk, whatever earlier tries left.
    pub(crate) const fn is_of_configuration(&self) -> bool {
        use sharpness_data::Error as Data;
        match self {
            Self::Training(error) => error.is_of_configuration(),
            Self::Data(error) => matches!(error, Data::SubsetTooLarge { .. } | Data::EmptySubset),
            _ => false,
        }
    }

    /// Whether the request itself (a setting, a configuration, a recipe) is invalid, so that it fails on any machine.
    pub const fn is_usage(&self) -> bool {
        match self {
            Self::File { .. } | Self::Variable { .. } => true,
            Self::Training(error) => error.is_usage(),
            Self::Data(error) => error.is_usage(),
            _ => false,
        }
    }
}

/// Names a process in a message, if it is known.
fn of(holder: Option<&String>) -> String {
    holder.map_or_else(String::new, |holder| format!(" ({holder})"))
}

impl From<sharpness_network::Error> for Error {
    fn from(error: sharpness_network::Error) -> Self {
        Self::Training(error.into())
    }
}
