//! What can go wrong in this crate. Each message says what was wrong, where, and what would be right.

use std::fmt::Write as _;
use std::io;
use std::path::PathBuf;

use crate::data::{DatasetName, SearchedPlace};

/// The result of an operation of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// The error of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    // === Files ===
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

    /// A line of a file that users write does not say what it may say.
    #[error("{}, line {line}: {problem}", file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong, with the key, and what would be right.
        problem: String,
    },

    /// A data file does not hold what its format asks for.
    #[error("{} is damaged or is not the right file: at byte {offset}{}, expected {expected}, found {found}",
        file.display(), if *unpacked { " of its unpacked content" } else { "" })]
    Malformed {
        /// The file, or `archive:entry` for a file inside an archive.
        file: PathBuf,
        /// Where the unexpected content begins, in bytes from the start.
        offset: u64,
        /// Whether `offset` counts the content after decompression.
        unpacked: bool,
        /// What the format asks for at this place.
        expected: String,
        /// What is there.
        found: String,
    },

    // === Data sets ===
    /// A name that is not one of a fixed list.
    #[error("unknown {kind} '{given}'; choose one of: {known}")]
    UnknownName {
        /// What the name stands for: `data set`, `subset`.
        kind: &'static str,
        /// The name as given.
        given: String,
        /// The names that exist, separated by commas.
        known: String,
    },

    /// The files of a data set are in none of the places where they may be.
    #[error("{}", not_found(*name, searched))]
    DatasetNotFound {
        /// The data set.
        name: DatasetName,
        /// Every place that was searched, in order.
        searched: Vec<SearchedPlace>,
    },

    /// A class-balanced subset with more examples than the classes can give.
    #[error(
        "cannot take a class-balanced subset of {requested} examples: the most possible is {possible}, \
         because the smallest class has {smallest_class} examples; ask for at most {possible}"
    )]
    SubsetTooLarge {
        /// The number of examples asked for.
        requested: usize,
        /// The largest number that is possible.
        possible: usize,
        /// The number of examples in the smallest class.
        smallest_class: usize,
    },

    /// A subset without any example.
    #[error("a subset of 0 examples was asked for; ask for at least 1")]
    EmptySubset,

    // === Configurations and networks ===
    /// A value of a configuration is out of its range.
    #[error("{key} {problem}")]
    Config {
        /// The key, with the names of its tables: `training.learning_rate`.
        key: String,
        /// What it must be, and what it is.
        problem: String,
    },

    /// The network cannot be built, or its weights cannot be read or written.
    #[error(transparent)]
    Network(#[from] sharpness_network::Error),

    /// What is asked for does not fit the memory.
    #[error("{}", too_little_memory(*needed_bytes, *available_bytes, *is_asked))]
    Memory {
        /// The smallest bound on the memory of the process that suffices.
        needed_bytes: usize,
        /// The bound that there is.
        available_bytes: usize,
        /// Whether a user has set it.
        is_asked: bool,
    },

    /// Threads for runs that go on at once could not be started.
    #[error("cannot start the threads of the runs: {0}; ask for fewer with --jobs or --threads")]
    Threads(String),

    // === Runs ===
    /// The directory of a new run holds a run already.
    #[error("{} holds a run already; add --resume to resume it, or choose another directory with --out", dir.display())]
    RunExists {
        /// The directory.
        dir: PathBuf,
    },

    /// The directory of a new run holds other things.
    #[error(
        "{} is no run: it has no config.toml but holds '{found}'; choose an empty or a new directory with --out",
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

    /// A run is to be resumed with another configuration than it began with.
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

    /// A file of a run does not hold what this program wrote.
    #[error("{} is damaged: {problem}; {way_out}", file.display())]
    DamagedRun {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        problem: String,
        /// What the user can do.
        way_out: &'static str,
    },

    // === Downloads ===
    /// The data set is part of the program, so there is nothing to download.
    #[error("the data set '{name}' is embedded in the program and needs no download")]
    NothingToFetch {
        /// The data set.
        name: DatasetName,
    },

    /// A file could not be downloaded.
    #[error(
        "cannot download {url}: {reason}; check the network connection and run the same command again, \
         or download the file by hand into {}", folder.display()
    )]
    Download {
        /// The address.
        url: String,
        /// What the network or the server said.
        reason: String,
        /// The directory in which the file is looked for.
        folder: PathBuf,
    },

    /// A download ended before the whole file had come.
    #[error(
        "the download of {url} stopped after {received_bytes} bytes: {reason}; \
         they are kept in {}, run the same command again to go on from there", part.display()
    )]
    Interrupted {
        /// The address.
        url: String,
        /// The size of the part that is on disk.
        received_bytes: u64,
        /// What the network said.
        reason: String,
        /// The file that holds the part.
        part: PathBuf,
    },

    /// A downloaded file is not the one that was expected.
    #[error(
        "the file downloaded from {url} has the MD5 checksum {found}, expected {expected}; \
         it was deleted, run the same command again to download it anew"
    )]
    Checksum {
        /// The address.
        url: String,
        /// The checksum of the official file, in hexadecimal.
        expected: String,
        /// The checksum of what arrived, in hexadecimal.
        found: String,
    },

    // === Figures ===
    /// A figure could not be made a file.
    #[error("cannot make the picture: {0}")]
    Picture(String),

    /// A table could not be made a file.
    #[error("cannot write the table: {0}")]
    Table(String),

    // === Measures ===
    /// The loss or its gradient overflows, or is not a number.
    #[error(
        "the {quantity} at {place} is {value}, so that there is no curvature to measure; the training diverged or the weights are damaged"
    )]
    NotFinite {
        /// What is not finite.
        quantity: &'static str,
        /// What it is.
        value: f64,
        /// At which weights.
        place: String,
    },

    /// A setting of a measurement that makes no sense.
    #[error("cannot measure with this {name}: {problem}")]
    MeasureSetting {
        /// The setting.
        name: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },

    /// The measurement was stopped on demand.
    #[error("the measurement was stopped before it had a result")]
    MeasureStopped,

    /// The eigen-solver cannot do what is asked of it.
    #[error("cannot compute the eigenvalues of the Hessian: {0}")]
    Eigenvalue(#[source] sharpness_curvature::Error),
}

impl Error {
    /// Whether the configuration of a run alone causes this, so that another try would end the same way: on any machine, with any
    /// disk, and whatever was left by earlier tries.
    pub(crate) const fn is_of_configuration(&self) -> bool {
        use sharpness_curvature::Error as Eigenvalue;
        use sharpness_network::Error as Network;
        match self {
            Self::Config { .. }
            | Self::SubsetTooLarge { .. }
            | Self::EmptySubset
            | Self::MeasureSetting { .. }
            | Self::NotFinite { .. } => true,
            Self::Network(error) => matches!(error, Network::Layer { .. } | Network::Architecture(_)),
            Self::Eigenvalue(error) => !matches!(error, Eigenvalue::Operator(_)),
            _ => false,
        }
    }

    /// Whether what was asked for cannot be done on any machine: a setting, a configuration or a recipe is wrong.
    pub const fn is_usage(&self) -> bool {
        matches!(
            self,
            Self::File { .. }
                | Self::UnknownName { .. }
                | Self::SubsetTooLarge { .. }
                | Self::EmptySubset
                | Self::Config { .. }
                | Self::MeasureSetting { .. }
                | Self::NothingToFetch { .. }
                | Self::Memory { is_asked: true, .. }
        )
    }
}

fn too_little_memory(needed_bytes: usize, available_bytes: usize, is_asked: bool) -> String {
    const MIB: usize = 1 << 20;
    let (needed, available) = (needed_bytes.div_ceil(MIB), available_bytes / MIB);
    let smaller = "a narrower network (--hidden, --width-divisor), a smaller --micro-batch-size or --bn-chunk, or fewer --jobs";
    if is_asked {
        format!(
            "--memory must be at least {needed}MiB here, got {available} MiB; raise it, or choose {smaller}"
        )
    } else {
        format!(
            "this takes at least {needed} MiB of memory, and {available} MiB are available; choose {smaller}"
        )
    }
}

fn not_found(name: DatasetName, searched: &[SearchedPlace]) -> String {
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
