//! What can go wrong, and what to do about it.

use crate::which::Which;

/// The reason for which an operator could not make a product: whatever its implementation says.
pub type ApplyError = Box<dyn std::error::Error + Send + Sync>;

/// Everything that keeps a solver from giving an answer. Running out of products is no error: the best pairs
/// so far are returned and [`Stop`](crate::Stop) says why the solver stopped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operator refused a product (for instance because it was cancelled).
    #[error("the operator could not be applied: {0}")]
    Operator(#[source] ApplyError),

    /// A product holds a NaN or an infinity.
    #[error(
        "product {product} of the operator holds a value that is not finite: the function is not smooth or \
         overflows at this point"
    )]
    NonFinite {
        /// Which product it was, counted from 1.
        product: usize,
    },

    /// The operator has no dimension.
    #[error("the operator has dimension 0: there is no eigenvalue to compute")]
    NoDimension,

    /// More pairs are asked for than exist, or none.
    #[error("k = {k} eigenpairs of an operator of dimension {dim}: k must lie between 1 and the dimension")]
    PairCount {
        /// The number of pairs asked for.
        k: usize,
        /// The dimension of the operator.
        dim: usize,
    },

    /// A relative tolerance outside of `[0, 1)`.
    #[error("{name} = {value}: a relative tolerance must be at least 0 and below 1")]
    Tolerance {
        /// The field of the parameters.
        name: &'static str,
        /// Its value.
        value: f64,
    },

    /// A probability lies outside (0, 1).
    #[error("failure_probability = {value}: it must lie strictly between 0 and 1, for instance 1e-3")]
    FailureProbability {
        /// The value given.
        value: f64,
    },

    /// The product limit does not allow a single step.
    #[error("max_products = {max_products}: this method needs at least {needed} products here")]
    TooFewProducts {
        /// The limit given.
        max_products: usize,
        /// The smallest limit that works.
        needed: usize,
    },

    /// A trace is asked for from too few probes, or from none at once.
    #[error(
        "max_probes = {max_probes}, block = {block}: a trace needs at least 2 probes, and at least 1 at once"
    )]
    Probes {
        /// The limit given.
        max_probes: usize,
        /// The products asked for at once.
        block: usize,
    },

    /// The memory bound does not hold the smallest basis that can converge.
    #[error(
        "memory_bytes = {memory_bytes}: {k} eigenpairs in dimension {dim} need at least {needed_bytes} bytes; \
         raise the bound or ask for fewer pairs"
    )]
    Memory {
        /// The bound given, in bytes.
        memory_bytes: usize,
        /// The smallest bound that works, in bytes.
        needed_bytes: usize,
        /// The number of pairs asked for.
        k: usize,
        /// The dimension of the operator.
        dim: usize,
    },

    /// A start vector does not fit the operator.
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
    #[error("start vector {index} has the norm {norm}: it must be a finite vector other than zero")]
    StartNorm {
        /// Position in the list of start vectors.
        index: usize,
        /// Its norm.
        norm: f64,
    },

    /// The dense method was asked for an operator that is too large for it.
    #[error("dimension {dim} is above the limit of {limit} of the dense method: use Lanczos")]
    DenseTooLarge {
        /// The dimension of the operator.
        dim: usize,
        /// The largest dimension allowed.
        limit: usize,
    },

    /// A matrix is not square: `entries` numbers were given for dimension `dim`.
    #[error("a matrix of dimension {dim} needs {dim} x {dim} entries in row order, but {entries} were given")]
    NotSquare {
        /// The dimension of the operator.
        dim: usize,
        /// The number of entries.
        entries: usize,
    },

    /// Power iteration was asked for what it cannot find.
    #[error(
        "power iteration finds one eigenpair, that of largest magnitude (k = {k}, {which:?} was asked): use Lanczos"
    )]
    PowerIteration {
        /// The number of pairs asked for.
        k: usize,
        /// The end of the spectrum asked for.
        which: Which,
    },

    /// The eigenvalue decomposition of a small dense matrix did not converge.
    #[error("the dense eigenvalue decomposition of a {size} x {size} matrix did not converge")]
    Decomposition {
        /// Rows of the matrix.
        size: usize,
    },
}
