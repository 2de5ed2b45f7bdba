//! Errors of training and measuring.

/// The result of an operation of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// The error of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A setting is out of its range, or contradicts another.
    #[error("{key} {problem}")]
    Config {
        /// The key, with the names of its tables: `training.learning_rate`.
        key: String,
        /// What it must be, and what it is.
        problem: String,
    },

    /// The examples cannot be taken from the data set.
    #[error(transparent)]
    Data(#[from] sharpness_data::Error),

    /// The network cannot be built, or its weights cannot be read or written.
    #[error(transparent)]
    Network(#[from] sharpness_network::Error),

    /// The work does not fit in memory.
    #[error("{}", too_little_memory(*needed_bytes, *available_bytes, *is_asked))]
    Memory {
        /// The smallest sufficient bound on the memory of the process.
        needed_bytes: usize,
        /// The present bound.
        available_bytes: usize,
        /// Whether a user set it.
        is_asked: bool,
    },

    /// The loss or its gradient overflows, or is not a number.
    #[error(
        "the {quantity} at {place} is {value}, so there is no curvature to measure; the training diverged or the weights are damaged"
    )]
    NotFinite {
        /// What is not finite.
        quantity: &'static str,
        /// What it is.
        value: f64,
        /// The weights where this happens.
        place: String,
    },

    /// A setting that makes a measurement impossible.
    #[error("cannot measure with this {name}: {problem}")]
    MeasureSetting {
        /// The setting.
        name: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },

    /// The measurement was stopped on request.
    #[error("the measurement was stopped before it had a result")]
    MeasureStopped,

    /// The eigen-solver failed.
    #[error("cannot compute the eigenvalues of the Hessian: {0}")]
    Eigenvalue(#[source] sharpness_curvature::Error),
}

impl Error {
    /// Whether the settings of a run alone cause this, so that a retry fails the same way on any machine.
    pub const fn is_of_configuration(&self) -> bool {
        use sharpness_curvature::Error as Eigenvalue;
        use sharpness_data::Error as Data;
        use sharpness_network::Error as Network;
        match self {
            Self::Config { .. } | Self::MeasureSetting { .. } | Self::NotFinite { .. } => true,
            Self::Data(error) => matches!(error, Data::SubsetTooLarge { .. } | Data::EmptySubset),
            Self::Network(error) => matches!(error, Network::Layer { .. } | Network::Architecture(_)),
            Self::Eigenvalue(error) => !matches!(error, Eigenvalue::Operator(_)),
            Self::Memory { .. } | Self::MeasureStopped => false,
        }
    }

    /// Whether the request itself is invalid, so that it fails on any machine.
    pub const fn is_usage(&self) -> bool {
        match self {
            Self::Config { .. } | Self::MeasureSetting { .. } | Self::Memory { is_asked: true, .. } => true,
            Self::Data(error) => error.is_usage(),
            _ => false,
        }
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
