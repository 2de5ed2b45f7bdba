//! What can go wrong with runs on disk. Each message says what was wrong, where, and what would be right.

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
        /// What was tried, as a verb: `open`, `read`, `create`.
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The operating system's reason.
        source: io::Error,
    },

    /// A line of a file that users write is wrong.
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

    /// The directory of a new run holds a run already.
    #[error("{} holds a run already; add --resume to resume it, or choose another directory with --out", dir.display())]
    RunExists {
        /// The directory.
        dir: PathBuf,
    },

    /// The directory of a new run holds other things.
    #[error(
        "{} is not a run: it has no config.toml but holds '{found}'; choose an empty or a new directory with --out",
        dir.display()
    )]
    NotARun {
        /// The directory.
        dir: PathBuf,
        /// The first name in it that does not belong to a run.
        found: String,
    },

    /// There is no directory where runs were looked for.
    #[error("there is no store of runs at {}; name one with --store, or make its runs with `sharpness sweep`", dir.display())]
    NoStore {
        /// The path that was given.
        dir: PathBuf,
    },

    /// Another process is making the run.
    #[error(
        "{} is in use: another process is making a run there; wait for it to end, or choose another directory with --out",
        dir.display()
    )]
    RunLocked {
        /// The directory.
        dir: PathBuf,
    },

    /// The directory of a run, or its lock, is not the one that was opened.
    #[error(
        "{} was deleted or replaced while the run was being made; nothing more was written there",
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
        /// The keys that differ, each with the value there and the one here.
        differences: Vec<String>,
    },

    /// A run was written by an older version, in a form that this one reads but does not write.
    #[error(
        "{} was written by an older version and can be read, but not resumed; choose another directory with --out",
        dir.display()
    )]
    OldRun {
        /// The directory.
        dir: PathBuf,
    },

    /// The content of a file of a run is not what this program wrote.
    #[error("{} is damaged: {problem}; {way_out}", file.display())]
    DamagedRun {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        problem: String,
        /// What the user can do.
        way_out: &'static str,
    },

    /// A table cannot be read or written.
    #[error("{0}")]
    Table(String),
}

impl Error {
    /// Adds the path and the attempted action to an error of the operating system.
    pub fn io<'p>(action: &'static str, path: &'p Path) -> impl FnOnce(io::Error) -> Self + use<'p> {
        move |source| Self::Io { action, path: path.to_owned(), source }
    }

    /// A damaged file of a run that can be restored or made again elsewhere.
    pub(crate) fn damaged(file: PathBuf, problem: String) -> Self {
        let way_out = "restore it from a copy, or train again in another directory with --out";
        Self::DamagedRun { file, problem, way_out }
    }

    /// Whether the settings of a run alone cause this, so that another try would end the same way: on any machine, with any disk,
    /// and whatever was left by earlier tries.
    pub(crate) const fn is_of_configuration(&self) -> bool {
        use sharpness_data::Error as Data;
        match self {
            Self::Training(error) => error.is_of_configuration(),
            Self::Data(error) => matches!(error, Data::SubsetTooLarge { .. } | Data::EmptySubset),
            _ => false,
        }
    }

    /// Whether the request itself is wrong, so that it would fail on any machine: a setting, a configuration or a recipe.
    pub const fn is_usage(&self) -> bool {
        match self {
            Self::File { .. } => true,
            Self::Training(error) => error.is_usage(),
            Self::Data(error) => error.is_usage(),
            _ => false,
        }
    }
}

impl From<sharpness_network::Error> for Error {
    fn from(error: sharpness_network::Error) -> Self {
        Self::Training(error.into())
    }
}
