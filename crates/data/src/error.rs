//! Errors of data sets.

use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};

use crate::place::SearchedPlace;

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

    /// The content of a data file does not match its format.
    #[error("{} is damaged or is not the right file: at byte {offset}{}, expected {expected}, found {found}",
        file.display(), if *unpacked { " of its unpacked content" } else { "" })]
    Malformed {
        /// The file, or `archive:entry` for a file inside an archive.
        file: PathBuf,
        /// Where the unexpected content begins, in bytes from the start.
        offset: u64,
        /// Whether `offset` counts the content after decompression.
        unpacked: bool,
        /// What the format requires here.
        expected: String,
        /// What was found.
        found: String,
    },

    /// A name that is not on a fixed list.
    #[error("unknown {kind} '{given}'; choose one of: {known}")]
    UnknownName {
        /// What kind of name it is: `data set`, `subset`.
        kind: &'static str,
        /// The name as given.
        given: String,
        /// The known names, separated by commas.
        known: String,
    },

    /// None of the searched directories holds the files of a data set.
    #[error("{}", not_found(name, searched))]
    DatasetNotFound {
        /// The data set.
        name: String,
        /// Every place that was searched, in order.
        searched: Vec<SearchedPlace>,
    },

    /// A class-balanced subset with more examples than the classes can supply.
    #[error(
        "cannot take a class-balanced subset of {requested} examples: the most possible is {possible}, \
         because the smallest class has {smallest_class} examples; ask for at most {possible}"
    )]
    SubsetTooLarge {
        /// The number of examples requested.
        requested: usize,
        /// The largest possible number.
        possible: usize,
        /// The number of examples in the smallest class.
        smallest_class: usize,
    },

    /// A subset of no examples.
    #[error("cannot take a subset of 0 examples; request at least 1")]
    EmptySubset,

    /// The data set is part of the program, so there is nothing to download.
    #[error("the data set '{name}' is embedded in the program and needs no download")]
    NothingToFetch {
        /// The data set.
        name: String,
    },

    /// A file could not be downloaded.
    #[error(
        "cannot download {url}: {reason}; check the network connection and run the same command again, \
         or download the file by hand into {}", folder.display()
    )]
    Download {
        /// The address.
        url: String,
        /// What the network or the server reported.
        reason: String,
        /// The directory that is searched for the file.
        folder: PathBuf,
    },

    /// A download stopped before the whole file had arrived.
    #[error(
        "the download of {url} stopped after {received_bytes} bytes: {reason}; \
         they are kept in {}, run the same command again to resume", part.display()
    )]
    Interrupted {
        /// The address.
        url: String,
        /// The size of the partial file on disk.
        received_bytes: u64,
        /// What the network reported.
        reason: String,
        /// The partial file.
        part: PathBuf,
    },

    /// A downloaded file is not the expected one.
    #[error(
        "the file downloaded from {url} has the MD5 checksum {found}, expected {expected}; \
         it was deleted, run the same command to download it again"
    )]
    Checksum {
        /// The address.
        url: String,
        /// The checksum of the official file, in hexadecimal.
        expected: String,
        /// The checksum of what arrived, in hexadecimal.
        found: String,
    },
}

impl Error {
    /// Adds the path and the attempted action to an error of the operating system.
    pub(crate) fn io<'p>(action: &'static str, path: &'p Path) -> impl Fn(io::Error) -> Self + use<'p> {
        move |source| Self::Io { action, path: path.to_owned(), source }
    }

    /// Whether the request itself is invalid, so that it fails on any machine.
    pub const fn is_usage(&self) -> bool {
        matches!(
            self,
            Self::UnknownName { .. }
                | Self::SubsetTooLarge { .. }
                | Self::EmptySubset
                | Self::NothingToFetch { .. }
        )
    }
}

fn not_found(name: &str, searched: &[SearchedPlace]) -> String {
    let mut text = format!("the data set '{name}' was not found; these places were searched:");
    for place in searched {
        // Writing to a string cannot fail.
        let _ = write!(text, "\n  {place}");
    }
    let _ = write!(
        text,
        "\nrun `sharpness data fetch {name}` to download it, \
         or name its directory with --data-dir or the environment variable SHARPNESS_DATA"
    );
    text
}
