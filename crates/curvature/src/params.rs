//! What is asked of a solver, and what it answers.

use crate::error::Error;
use crate::spectrum_bounds::SpectrumBounds;
use crate::vectors;
use crate::which::Which;

/// The algorithm that computes the pairs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Method {
    /// [`Dense`](Self::Dense) up to dimension 100, where it costs hardly more products than Lanczos and misses
    /// nothing (repeated eigenvalues included), and [`Lanczos`](Self::Lanczos) above.
    #[default]
    Auto,
    /// See [`lanczos`](crate::lanczos()).
    Lanczos,
    /// See [`dense`](crate::dense()); up to dimension [`DENSE_LIMIT`](crate::DENSE_LIMIT).
    Dense,
    /// See [`power_iteration`](crate::power_iteration()).
    PowerIteration,
}

/// What is asked of a solver. `EigenParams::default()` asks for the largest eigenvalue to a residual of a thousandth of it,
/// shown to be the largest to a tenth of it.
#[derive(Debug, Clone)]
pub struct EigenParams {
    /// The number of eigenpairs, at least 1.
    pub k: usize,
    /// The end of the spectrum.
    pub which: Which,
    /// The algorithm that [`eigenpairs`](crate::eigenpairs()) uses.
    pub method: Method,
    /// Stop when `‖A u - θ u‖ <= rtol |θ|` for every wanted pair. The error of `θ` itself is then at most
    /// `rtol |θ|`, and about `rtol² θ² / gap`, where the gap is the distance to the next eigenvalue. A residual
    /// that rounding alone explains also counts as converged, so that an eigenvalue of zero can be found.
    pub rtol: f64,
    /// With `Some(t)`, a result counts as converged only if the probabilistic bound ([`SpectrumBounds`]) shows that nothing
    /// exceeds the last wanted value `θ` by more than `t max(|θ|, ‖A‖/100)`, so that the eigenvalues found are the extreme ones to
    /// this tolerance, or if the Krylov space is invariant and so holds every eigenvalue that its random start sees. With `None` the
    /// residuals alone decide, as in most solvers, and a larger eigenvalue may have been missed.
    pub bound_rtol: Option<f64>,
    /// The largest number of products, any that check the result included.
    pub max_products: usize,
    /// The memory for Lanczos' vectors, in bytes (see [`lanczos_bytes`](crate::lanczos_bytes)). A basis that would outgrow
    /// it is restarted. [`smallest_lanczos_bytes`](crate::smallest_lanczos_bytes) is the smallest bound that works.
    pub memory_bytes: usize,
    /// Vectors `[dim]` near the wanted eigenvectors, for instance those of an earlier solve. Lanczos and power iteration
    /// start from the sum of their directions plus a random vector of the same length, which keeps the probabilistic bound
    /// alive and finds an eigenvalue that the given vectors lack. Empty: a random start.
    pub start: Vec<Vec<f64>>,
    /// The seed of the random start. Equal seeds give equal bits.
    pub seed: u64,
    /// The probability with which the [`SpectrumBounds`] may be wrong, for the draw of the start vector. They
    /// depend on its logarithm only.
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
    /// Checks what every method asks of the parameters.
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

    /// The residual at which a pair of this value counts as converged: `rtol |θ|`, or the `floor` that rounding explains.
    pub(crate) fn tolerance(&self, value: f64, floor: f64) -> f64 {
        (self.rtol * value.abs()).max(floor)
    }
}

/// Checks the tolerance of this name.
pub(crate) fn check_tolerance(name: &'static str, value: f64) -> Result<(), Error> {
    if (0.0..1.0).contains(&value) { Ok(()) } else { Err(Error::Tolerance { name, value }) }
}

/// What rounding contributes to the norm of one product with a unit vector, in f64: `O(ε) ‖A‖`, where the square
/// root of the dimension allows for the sums inside of the operator.
pub fn rounding(norm: f64, dim: usize) -> f64 {
    f64::EPSILON * norm * (10.0 + (dim as f64).sqrt())
}

/// Where a solver is. Reported after each look at the Ritz values.
#[derive(Debug, Clone, Copy)]
pub struct Progress {
    /// Products so far.
    pub products: usize,
    /// The current estimate of the leading eigenvalue.
    pub value: f64,
    /// The largest residual of the wanted pairs that exist so far, as estimated.
    pub residual: f64,
    /// What the leading eigenvalue is known not to exceed, as [`Eigenpair::limit`].
    pub limit: Option<f64>,
}

/// Why a solver stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// Every wanted pair has reached its tolerance, and nothing larger was missed as far as `bound_rtol` asks.
    Converged,
    /// Every wanted pair has reached its tolerance, but the bound cannot come within `bound_rtol`: the basis outgrew its memory
    /// first, or the method gives no bound. Something larger may have been missed.
    Unproved,
    /// `max_products` was reached first.
    ProductLimit,
    /// The products are too inexact (noise, or an operator that is not quite symmetric) to reach `rtol`: more of
    /// them would not make the residual smaller.
    Stagnated,
}

/// An approximate eigenpair. The interval `[value - residual, value + residual]` is certain to hold an eigenvalue
/// of a symmetric operator (Parlett, The Symmetric Eigenvalue Problem, theorem 4.5.1), up to the rounding of one product.
#[derive(Debug, Clone)]
pub struct Eigenpair {
    /// `θ = uᵀ A u`. It never lies outside of the spectrum: `λ_min <= θ <= λ_max`.
    pub value: f64,
    /// `u: [dim]`, of length 1.
    pub vector: Vec<f64>,
    /// `‖A u - θ u‖`, computed from products: one of its own, or those that span the space of `u`, with all that they
    /// have outside of what symmetry allows. Either way it carries the rounding of one product.
    pub residual: f64,
    /// What the eigenvalue of this place does not exceed, except with
    /// [`limit_failure_probability`](Eigenpairs::limit_failure_probability): the `i`-th largest is at most, the `i`-th smallest
    /// at least this; with [`Which::LargestMagnitude`] its magnitude is at most this. `None` if nothing is known.
    pub limit: Option<f64>,
}

impl Eigenpair {
    /// The pair of a unit `vector` and its product `A u`, which is overwritten by the residual vector.
    pub(crate) fn from_product(vector: Vec<f64>, product: &mut [f64]) -> Self {
        let value = vectors::dot(&vector, product);
        vectors::add_scaled(product, -value, &vector);
        Self { value, residual: vectors::norm(product), vector, limit: None }
    }
}

/// What a solver answers.
#[derive(Debug, Clone)]
pub struct Eigenpairs {
    /// The pairs, the most wanted one first. There are `k`, unless the products ran out before `k` candidates
    /// existed.
    pub pairs: Vec<Eigenpair>,
    /// Products with the operator, any that computed residuals included.
    pub products: usize,
    /// Why the solver stopped.
    pub stop: Stop,
    /// An interval that holds the whole spectrum with a stated probability. `None` from power iteration, and in
    /// the few cases that [`SpectrumBounds`] lists.
    pub spectrum_bounds: Option<SpectrumBounds>,
    /// The probability, over the seed, that a [`limit`](Eigenpair::limit) of a pair is wrong: that of the draw of every start that
    /// was made. Zero when the whole space was seen.
    pub limit_failure_probability: f64,
    /// How far the products were seen to differ from those of a symmetric operator, in the units of the
    /// eigenvalues: for Lanczos, the largest norm of the part of a product that should vanish by symmetry; for the
    /// dense method, the Frobenius norm of `(A - Aᵀ) / 2`; zero for power iteration, which cannot see it. Products
    /// in `f32` show about `1e-7 ‖A‖` here.
    pub asymmetry: f64,
    /// The residual that the rounding of the operator's products explains: smaller ones count as converged.
    pub rounding: f64,
    /// The largest norm of a product with a unit vector: a lower bound of `‖A‖`, usually within a small factor.
    pub norm: f64,
}

impl Eigenpairs {
    /// Whether every wanted pair has reached its tolerance and nothing larger was missed, as far as `bound_rtol` asks.
    pub fn converged(&self) -> bool {
        self.stop == Stop::Converged
    }
}
