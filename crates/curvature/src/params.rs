//! The parameters of a solver, its progress and its result.

use crate::error::Error;
use crate::spectrum_bounds::SpectrumBounds;
use crate::vectors;
use crate::which::Which;

/// The largest dimension for which [`Method::Auto`] chooses the dense method. Lanczos needs 20 to 100
/// products for most spectra, so it is cheaper above.
const AUTO_DENSE: usize = 100;

/// The algorithm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Method {
    /// [`Dense`](Self::Dense) up to dimension 100, where it takes hardly more products than Lanczos and
    /// misses nothing, not even repeated eigenvalues; [`Lanczos`](Self::Lanczos) above.
    #[default]
    Auto,
    /// See [`lanczos`](crate::lanczos()).
    Lanczos,
    /// See [`dense`](crate::dense()); up to dimension [`DENSE_LIMIT`](crate::DENSE_LIMIT).
    Dense,
    /// See [`power_iteration`](crate::power_iteration()).
    PowerIteration,
}

/// The parameters of a solver. The default computes the largest eigenvalue to a relative residual of 1e-3,
/// and shows to a tenth of its value that none is larger.
#[derive(Debug, Clone)]
pub struct EigenParams {
    /// The number of eigenpairs, at least 1.
    pub k: usize,
    /// The end of the spectrum.
    pub which: Which,
    /// The algorithm that [`eigenpairs`](crate::eigenpairs()) runs.
    pub method: Method,
    /// Stop when `‖A u - θ u‖ <= rtol |θ|` for every wanted pair. The error of `θ` is then at most
    /// `rtol |θ|`, and about `rtol² θ² / gap`, where `gap` is the distance to the next eigenvalue. A
    /// residual that rounding alone explains also counts as converged, so that eigenvalues of zero can be
    /// found.
    pub rtol: f64,
    /// With `Some(t)`, a result counts as converged only once the probabilistic bound ([`SpectrumBounds`])
    /// shows that no eigenvalue exceeds the last wanted value `θ` by more than `t max(|θ|, ‖A‖/100)`, or
    /// once the Krylov space is invariant and so contains every eigenvalue that its random start sees. With
    /// `None`, as in most solvers, only the residuals decide, and a larger eigenvalue may have been missed.
    pub bound_rtol: Option<f64>,
    /// The largest number of products, including those that check the result.
    pub max_products: usize,
    /// The memory for the vectors of Lanczos, in bytes (see [`lanczos_bytes`](crate::lanczos_bytes)). When
    /// the basis reaches this limit, it is restarted. The smallest limit that works is
    /// [`smallest_lanczos_bytes`](crate::smallest_lanczos_bytes).
    pub memory_bytes: usize,
    /// Vectors `[dim]` near the wanted eigenvectors, for example from an earlier solve. Lanczos and power
    /// iteration start from the sum of their directions plus a random vector of the same length. The random
    /// part keeps the probabilistic bound valid, and finds eigenvectors orthogonal to the given ones. If
    /// empty, the start is random.
    pub start: Vec<Vec<f64>>,
    /// The seed of the random start. The same seed gives the same bits.
    pub seed: u64,
    /// The probability, over the random start, that the [`SpectrumBounds`] are wrong. They depend only on
    /// its logarithm.
    pub failure_probability: f64,
}

impl Default for EigenParams {
    fn default() -> Self {
        Self {
            k: 1,
            which: Which::default(),
            method: Method::default(),
            rtol: 1e-3,
            bound_rtol: Some(0.1),
            max_products: 500,
            memory_bytes: 2 << 30,
            start: Vec::new(),
            seed: 0,
            failure_probability: 1e-3,
        }
    }
}

impl EigenParams {
    /// The method that [`eigenpairs`](crate::eigenpairs()) runs in dimension `dim`. Never [`Method::Auto`].
    pub fn method_for(&self, dim: usize) -> Method {
        match self.method {
            Method::Auto if dim <= AUTO_DENSE.min(self.max_products) => Method::Dense,
            Method::Auto => Method::Lanczos,
            chosen => chosen,
        }
    }

    /// Checks what every method requires.
    pub(crate) fn check(&self, dim: usize) -> Result<(), Error> {
        if dim == 0 {
            return Err(Error::NoDimension);
        }
        if self.k == 0 || self.k > dim {
            return Err(Error::PairCount { k: self.k, dim });
        }
        check_tolerance("rtol", self.rtol)?;
        check_tolerance("bound_rtol", self.bound_rtol.unwrap_or(0.0))?;
        if !(self.failure_probability > 0.0 && self.failure_probability < 1.0) {
            return Err(Error::FailureProbability { value: self.failure_probability });
        }
        for (index, vector) in self.start.iter().enumerate() {
            if vector.len() != dim {
                return Err(Error::StartLength { index, length: vector.len(), dim });
            }
            let norm = vectors::norm(vector);
            if !(norm.is_finite() && norm > 0.0) {
                return Err(Error::StartNorm { index, norm });
            }
        }
        Ok(())
    }

    pub(crate) fn require_products(&self, needed: usize) -> Result<(), Error> {
        if self.max_products < needed {
            return Err(Error::TooFewProducts { max_products: self.max_products, needed });
        }
        Ok(())
    }

    /// The residual at which a pair with this value has converged: `rtol |θ|`, or the `floor` that rounding
    /// explains.
    pub(crate) fn tolerance(&self, value: f64, floor: f64) -> f64 {
        (self.rtol * value.abs()).max(floor)
    }
}

/// Checks that a relative tolerance lies in `[0, 1)`.
pub(crate) fn check_tolerance(name: &'static str, value: f64) -> Result<(), Error> {
    if (0.0..1.0).contains(&value) { Ok(()) } else { Err(Error::Tolerance { name, value }) }
}

/// The rounding error of a product with a unit vector in `f64`: `O(ε) ‖A‖`. The square root of the dimension
/// allows for the sums inside the operator.
pub fn rounding(norm: f64, dim: usize) -> f64 {
    f64::EPSILON * norm * (10.0 + (dim as f64).sqrt())
}

/// The state of a solver, reported each time it has computed the Ritz values.
#[derive(Debug, Clone, Copy)]
pub struct Progress {
    /// The number of products so far.
    pub products: usize,
    /// The current estimate of the leading eigenvalue.
    pub value: f64,
    /// The largest estimated residual among the wanted pairs found so far.
    pub residual: f64,
    /// A bound on the leading eigenvalue, as in [`Eigenpair::limit`].
    pub limit: Option<f64>,
}

/// Why a solver stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// Every wanted pair meets its tolerance, and nothing larger was missed, to within `bound_rtol`.
    Converged,
    /// Every wanted pair meets its tolerance, but the bound cannot reach `bound_rtol`: the basis ran out of
    /// memory first, or the method gives no bound. A larger eigenvalue may have been missed.
    Unproved,
    /// The solver reached `max_products` first.
    ProductLimit,
    /// The products are too inexact to reach `rtol`, because of noise or an operator that is not quite
    /// symmetric. More products would not reduce the residual.
    Stagnated,
}

/// An approximate eigenpair. If the operator is symmetric, `[value - residual, value + residual]` contains
/// an eigenvalue (Parlett, *The Symmetric Eigenvalue Problem*, theorem 4.5.1), up to the rounding of one
/// product.
#[derive(Debug, Clone)]
pub struct Eigenpair<V = Vec<f64>> {
    /// `θ = uᵀ A u`, so `λ_min <= θ <= λ_max`.
    pub value: f64,
    /// `u: [dim]`, a unit vector.
    pub vector: V,
    /// `‖A u - θ u‖`, computed from `A u` or from the products that span the Krylov space of `u`, including
    /// their departures from symmetry. Either way it has the rounding error of one product.
    pub residual: f64,
    /// A bound on the eigenvalue of this rank, wrong with
    /// [`limit_failure_probability`](Eigenpairs::limit_failure_probability): an upper bound on the `i`-th
    /// largest, a lower bound on the `i`-th smallest, or for [`Which::LargestMagnitude`] an upper bound on
    /// the magnitude. `None` if there is no bound.
    pub limit: Option<f64>,
}

impl Eigenpair {
    /// The pair of a unit `vector` and its product `A u`, which this overwrites with the residual vector.
    pub(crate) fn from_product(vector: Vec<f64>, product: &mut [f64]) -> Self {
        let value = vectors::dot(&vector, product);
        vectors::add_scaled(product, -value, &vector);
        Self { value, residual: vectors::norm(product), vector, limit: None }
    }
}

/// The result of a solver.
#[derive(Debug, Clone)]
pub struct Eigenpairs<V = Vec<f64>> {
    /// The pairs, most extreme first: `k` of them, unless the products ran out before there were `k`
    /// candidates.
    pub pairs: Vec<Eigenpair<V>>,
    /// The number of products, including those that computed residuals.
    pub products: usize,
    /// Why the solver stopped.
    pub stop: Stop,
    /// An interval that contains the whole spectrum with a stated probability. `None` from power iteration,
    /// and in the few cases listed at [`SpectrumBounds`].
    pub spectrum_bounds: Option<SpectrumBounds>,
    /// The probability, over the seed, that a pair's [`limit`](Eigenpair::limit) is wrong, summed over all
    /// random starts. Zero if the solver has seen the whole space.
    pub limit_failure_probability: f64,
    /// The observed departure from symmetry, in units of the eigenvalues. For Lanczos, the largest norm of
    /// the part of a product that symmetry requires to vanish; for the dense method, the Frobenius norm of
    /// `(A - Aᵀ) / 2`; zero for power iteration, which cannot observe it. About `1e-7 ‖A‖` for products in
    /// `f32`.
    pub asymmetry: f64,
    /// The residual that rounding of the products explains. Smaller residuals count as converged.
    pub rounding: f64,
    /// The largest norm of a product with a unit vector: a lower bound on `‖A‖`, usually within a small
    /// factor.
    pub norm: f64,
}

impl<V> Eigenpairs<V> {
    /// Whether every wanted pair meets its tolerance and nothing larger was missed, to within `bound_rtol`.
    pub fn converged(&self) -> bool {
        self.stop == Stop::Converged
    }
}
