//! What can be wrong with a network or with the weights for it.

use std::path::PathBuf;

/// An error of this crate. The text names the cause and the way out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An op does not accept what it is given.
    #[error("layer `{layer}` ({kind}): {problem}")]
    Layer {
        /// The layer's name.
        layer: String,
        /// The kind of op.
        kind: &'static str,
        /// What is wrong.
        problem: String,
    },
    /// An option of an architecture is out of its range, or not for this architecture.
    #[error("{option} {problem}")]
    Option {
        /// The field of [`Model`](crate::architectures::ModelConfig).
        option: &'static str,
        /// What it must be, and what it is.
        problem: String,
    },
    /// An architecture cannot be built as asked.
    #[error("{0}")]
    Architecture(String),
    /// Weights cannot be rescaled as asked.
    #[error("{0}")]
    Rescale(String),
    /// A weights file cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A weights file is not safetensors, or is damaged.
    #[error("{path} is not a readable safetensors file: {problem}")]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        problem: String,
    },
    /// A weights file does not fit the network.
    #[error("{path} does not fit {architecture}: {problem}")]
    Weights {
        /// The file.
        path: PathBuf,
        /// The network.
        architecture: String,
        /// What differs, and the way out.
        problem: String,
    },
    /// The measurement was stopped.
    #[error("stopped")]
    Stopped,
}
