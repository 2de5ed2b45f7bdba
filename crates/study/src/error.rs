//! Errors of drawing and judging runs.

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

    /// A setting or a recipe cannot be drawn or judged.
    #[error("{key} {problem}")]
    Config {
        /// The key.
        key: String,
        /// What it must be, and what it is.
        problem: String,
    },

    /// A figure could not be drawn.
    #[error("cannot draw the figure: {0}")]
    Picture(String),

    /// A row of a table of runs lacks a value that every run has.
    #[error("{0}")]
    Table(String),

    /// Runs cannot be read.
    #[error(transparent)]
    Runs(#[from] sharpness_runs::Error),
}

impl Error {
    /// Adds the path and the attempted action to an error of the operating system.
    pub(crate) fn io<'p>(action: &'static str, path: &'p Path) -> impl FnOnce(io::Error) -> Self + use<'p> {
        move |source| Self::Io { action, path: path.to_owned(), source }
    }

    /// Whether the request itself is invalid, so that it fails on any machine.
    pub const fn is_usage(&self) -> bool {
        match self {
            Self::File { .. } | Self::Config { .. } => true,
            Self::Runs(error) => error.is_usage(),
            _ => false,
        }
    }
}
