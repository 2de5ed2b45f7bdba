//! The errors of this crate.

use crate::which::Which;

/// Why an operator failed to compute a product; any error of its implementation.
pub type ApplyError = Box<dyn std::error::Error + Send + Sync>;

/// Everything that prevents a solver from returning a result. Running out of products is not an error: the
/// solver returns its best pairs, and [`Stop`](crate::Stop) says why it stopped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operator failed, for example because it was cancelled.
    #[error("the operator failed: {0}")]
    Operator(#[source] ApplyError),

    /// A product contains a NaN or an infinity.
    #[error(
        "product {product} of the operator is not finite: the function is not smooth here, or its values overflow"
    )]
    NonFinite {
        /// The number of the product, from 1.
        product: usize,
    },

    /// The operator has dimension 0.
    #[error("the operator has dimension 0, so it has no eigenvalues")]
    NoDimension,

    /// An operator of another dimension than that of the earlier products.
    #[error(
        "the operator has dimension {dim}, but the earlier products were those of one of dimension {expected}"
    )]
    Dimension {
        /// The dimension of the operator.
        dim: usize,
        /// The dimension that it should have.
        expected: usize,
    },

    /// The ranges of a block are not ascending, disjoint, nonempty and within the dimension.
    #[error(
        "the range {start}..{end} of a block: it must be nonempty, begin at {first} or later and end at {dim} or earlier"
    )]
    Range {
        /// The first index of the range.
        start: usize,
        /// The index after its last.
        end: usize,
        /// The end of the range before.
        first: usize,
        /// The dimension of the operator.
        dim: usize,
    },

    /// The length of a scale is not the operator's dimension.
    #[error("the scale has {length} entries, but the operator has dimension {dim}")]
    ScaleLength {
        /// Its length.
        length: usize,
        /// The dimension of the operator.
        dim: usize,
    },

    /// An entry of a scale is NaN or infinite.
    #[error("entry {index} of the scale is {value}: it must be finite")]
    ScaleEntry {
        /// The position of the entry, from 0.
        index: usize,
        /// The entry.
        value: f64,
    },

    /// A parameter that must be positive is not.
    #[error("{name} = {value}: it must be a positive number")]
    NotPositive {
        /// The name of the parameter.
        name: &'static str,
        /// The given value.
        value: f64,
    },

    /// `k` is 0 or exceeds the dimension.
    #[error("k = {k}: an operator of dimension {dim} has between 1 and {dim} eigenpairs")]
    PairCount {
        /// The requested number of pairs.
        k: usize,
        /// The dimension of the operator.
        dim: usize,
    },

    /// A relative tolerance outside `[0, 1)`.
    #[error("{name} = {value}: a relative tolerance must be at least 0 and less than 1")]
    Tolerance {
        /// The name of the parameter.
        name: &'static str,
        /// The given value.
        value: f64,
    },

    /// `failure_probability` is outside `(0, 1)`.
    #[error("failure_probability = {value}: it must lie strictly between 0 and 1, for example 1e-3")]
    FailureProbability {
        /// The given value.
        value: f64,
    },

    /// `max_products` is too small for a single step.
    #[error("max_products = {max_products}: this method needs at least {needed} here")]
    TooFewProducts {
        /// The given limit.
        max_products: usize,
        /// The smallest limit that works.
        needed: usize,
    },

    /// Fewer than 2 probes for a trace, or blocks of none.
    #[error(
        "max_probes = {max_probes}, block = {block}: a trace needs at least 2 probes, in blocks of at least 1"
    )]
    Probes {
        /// The given limit.
        max_probes: usize,
        /// The given number of products at once.
        block: usize,
    },

    /// Fewer than 2 probes for a density, or no steps.
    #[error("probes = {probes}, steps = {steps}: a density needs at least 2 probes and 1 step")]
    Quadrature {
        /// The given number of probes.
        probes: usize,
        /// The given number of steps.
        steps: usize,
    },

    /// `memory_bytes` is too small for the smallest basis that can converge.
    #[error(
        "memory_bytes = {memory_bytes}: {k} eigenpairs in dimension {dim} need at least {needed_bytes} bytes; \
         raise the limit or compute fewer pairs"
    )]
    Memory {
        /// The given limit, in bytes.
        memory_bytes: usize,
        /// The smallest limit that works, in bytes.
        needed_bytes: usize,
        /// The requested number of pairs.
        k: usize,
        /// The dimension of the operator.
        dim: usize,
    },

    /// The length of a start vector is not the operator's dimension.
    #[error("start vector {index} has {length} entries, but the operator has dimension {dim}")]
    StartLength {
        /// Position in the list of start vectors.
        index: usize,
        /// Its length.
        length: usize,
        /// The dimension of the operator.
        dim: usize,
    },

    /// A start vector is zero or not finite, so it has no direction.
    #[error("start vector {index} has norm {norm}: it must be finite and nonzero")]
    StartNorm {
        /// Position in the list of start vectors.
        index: usize,
        /// Its norm.
        norm: f64,
    },

    /// The operator is too large for the dense method.
    #[error("dimension {dim} exceeds {limit}, the limit of the dense method: use Lanczos")]
    DenseTooLarge {
        /// The dimension of the operator.
        dim: usize,
        /// The largest dimension allowed.
        limit: usize,
    },

    /// A matrix of dimension `dim` does not have `dim²` entries.
    #[error("a matrix of dimension {dim} needs {dim} x {dim} entries, but {entries} were given")]
    NotSquare {
        /// The dimension of the operator.
        dim: usize,
        /// The given number of entries.
        entries: usize,
    },

    /// Power iteration cannot find the requested pairs.
    #[error(
        "power iteration finds only the eigenpair of largest magnitude, not k = {k} with {which:?}: use Lanczos"
    )]
    PowerIteration {
        /// The requested number of pairs.
        k: usize,
        /// The requested end of the spectrum.
        which: Which,
    },

    /// The eigenvalue decomposition of a small dense matrix did not converge.
    #[error("the dense eigenvalue decomposition of a {size} x {size} matrix did not converge")]
    Decomposition {
        /// The number of rows.
        size: usize,
    },
}

/// The norm of a product `[dim]`, if neither it nor sums of as many entries of its size overflow.
pub(crate) fn finite_norm(norm: f64, dim: usize, product: usize) -> Result<f64, Error> {
    if (2.0 * norm * dim as f64).is_finite() { Ok(norm) } else { Err(Error::NonFinite { product }) }
}
