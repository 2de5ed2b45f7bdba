//! Lanczos with full reorthogonalization, thick restart, locking after breakdown, and verified residuals.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use crate::error::Error;
use crate::krylov::{Candidate, KrylovSpace};
use crate::operator::{Products, SymmetricOperator};
use crate::params::{EigenParams, Eigenpair, Eigenpairs, Progress, Stop, Which, rounding};
use crate::spectrum_bounds::{self, KrylovRecord, SpectrumBounds};
use crate::start::start;
use crate::vectors::{self, Entry};

/// How much smaller than the tolerance the estimated residual must be before a second failed check means that the
/// products are too inexact.
const SECOND_CHECK: f64 = 0.1;
/// Up to so many active vectors every product is followed by a look at the Ritz values; then each time that their
/// number has grown by this part of itself, since a look costs the cube of it.
const LOOK_PART: usize = 40;

/// The `k` eigenpairs at the wanted end of the spectrum.
///
/// Each step costs one product and `O(m dim)` work on the basis of `m` vectors, which is kept orthonormal to working
/// precision by at least two Gram-Schmidt passes. The solver stops at the first product after which the estimated residuals
/// reach the tolerance and the true ones do too. Until the first restart or breakdown the true ones follow from the products
/// already made; later they cost one product per pair. If they miss the tolerance, the solver goes on to a tenth of it
/// and checks once more; a second miss ends with [`Stop::Stagnated`].
///
/// The basis is held in `f32` if the operator [is single](SymmetricOperator::is_single). Memory is as [`lanczos_bytes`] says.
///
/// When the space breaks down (it is invariant, by a test at `O(ε) ‖A‖`) and more pairs are needed, its wanted
/// Ritz vectors are locked and a new random vector orthogonal to them starts another Krylov space, until that one holds
/// nothing better: so reducible operators and repeated eigenvalues are served. *A single Krylov space
/// contains each eigenvalue once.* With `k > 1`, copies of a repeated eigenvalue are found only after a breakdown (or
/// through rounding, when the tolerance is near it); if the `k` pairs converge before, they are `k` distinct ones.
///
/// # Errors
/// Parameters that do not fit the operator, a product that fails or is not finite. Reaching `max_products` is none.
pub fn lanczos(
    op: &mut dyn SymmetricOperator,
    params: &EigenParams,
    progress: &mut dyn FnMut(&Progress),
) -> Result<Eigenpairs, Error> {
    params.check(op.dim())?;
    params.require_products(1)?;
    if op.is_single() { solve::<f32>(op, params, progress) } else { solve::<f64>(op, params, progress) }
}

fn solve<T: Entry>(
    op: &mut dyn SymmetricOperator,
    params: &EigenParams,
    progress: &mut dyn FnMut(&Progress),
) -> Result<Eigenpairs, Error> {
    let dim = op.dim();
    let capacity = capacity(params, dim, op.is_single())?;
    let mut rng = ChaCha8Rng::seed_from_u64(params.seed);
    let (first, random_share) = start(params, dim, &mut rng);
    let solver = Lanczos {
        params,
        dim,
        capacity,
        overlap: spectrum_bounds::overlap(dim, params.failure_probability, random_share),
        rng,
        space: KrylovSpace::<T>::new(first),
        bounds: None,
        operator: Products::new(op),
    };
    solver.run(progress)
}

/// Bytes of the vectors that [`lanczos()`] holds for `k` pairs in dimension `dim` while its basis has `vectors` vectors:
/// those in `f32` for an operator that is `single`, and in `f64` the operands of a product or the results.
pub fn lanczos_bytes(k: usize, dim: usize, vectors: usize, single: bool) -> usize {
    let entry = if single { size_of::<f32>() } else { size_of::<f64>() };
    let wide = k.saturating_add(1).saturating_mul(size_of::<f64>());
    vectors.saturating_mul(entry).saturating_add(wide).saturating_mul(dim)
}

/// The smallest `memory_bytes` with which [`lanczos()`] finds `k` pairs in dimension `dim`.
pub fn smallest_lanczos_bytes(k: usize, dim: usize, single: bool) -> usize {
    // Locked vectors take up to k places; k + 3 active ones leave two new directions for each restart.
    let vectors = k.saturating_mul(2).saturating_add(4).min(dim.saturating_add(1));
    lanczos_bytes(k, dim, vectors, single)
}

/// The vectors that the basis may hold, the next one included.
fn capacity(params: &EigenParams, dim: usize, single: bool) -> Result<usize, Error> {
    let (k, memory_bytes) = (params.k, params.memory_bytes);
    let needed_bytes = smallest_lanczos_bytes(k, dim, single);
    if memory_bytes < needed_bytes {
        return Err(Error::Memory { memory_bytes, needed_bytes, k, dim });
    }
    let without_basis = lanczos_bytes(k, dim, 0, single);
    Ok((memory_bytes - without_basis) / (lanczos_bytes(k, dim, 1, single) - without_basis))
}

struct Lanczos<'a, T> {
    params: &'a EigenParams,
    dim: usize,
    capacity: usize,
    /// See [`spectrum_bounds::overlap`].
    overlap: Option<f64>,
    rng: ChaCha8Rng,
    space: KrylovSpace<T>,
    bounds: Option<SpectrumBounds>,
    operator: Products<'a>,
}

/// A look at the Ritz values.
struct Look {
    /// The Ritz pairs of the active part, best first.
    active: Vec<Candidate>,
    /// The best `k` of them and the locked ones; fewer if there are not as many.
    wanted: Vec<Candidate>,
}

impl<T: Entry> Lanczos<'_, T> {
    fn run(mut self, progress: &mut dyn FnMut(&Progress)) -> Result<Eigenpairs, Error> {
        let mut fraction = 1.0;
        let mut looked_at = 0;
        loop {
            if self.space.vectors() >= self.capacity {
                self.restart()?;
                looked_at = self.space.active();
            }
            let broken = !self.space.extend(&mut self.operator)?;
            let spent = !self.may_go_on(broken);
            let due = self.space.active() > looked_at + looked_at / LOOK_PART;
            if !(broken || spent || due) {
                continue;
            }
            looked_at = self.space.active();
            let look = self.look()?;
            self.report(&look, progress);
            let done = self.is_done(&look, fraction, broken);
            if done || spent {
                let pairs = self.verify(&look.wanted)?;
                let last_chance = broken || fraction < 1.0;
                if done && self.accepts(&pairs) {
                    return Ok(self.finish(pairs, Stop::Converged));
                } else if done && last_chance {
                    return Ok(self.finish(pairs, Stop::Stagnated));
                } else if !self.may_go_on(broken) {
                    return Ok(self.finish(pairs, Stop::ProductLimit));
                }
                fraction = SECOND_CHECK;
            }
            if broken {
                let best = &look.active[..look.active.len().min(self.params.k)];
                self.space.lock(best, self.params.k, self.params.which, &mut self.rng);
                looked_at = 0;
            }
        }
    }

    /// Whether the product limit leaves a further step and the check of what it finds.
    fn may_go_on(&self, broken: bool) -> bool {
        let stays_first = self.space.is_first() && !broken && self.space.vectors() < self.capacity;
        let check = if stays_first { 0 } else { self.params.k };
        self.operator.count() + check < self.params.max_products
    }

    /// Computes the Ritz pairs, and the bounds while they can still improve.
    fn look(&mut self) -> Result<Look, Error> {
        let which = self.params.which;
        let active = self.space.ritz_pairs(which)?;
        if self.space.is_first() {
            let mut ritz_values: Vec<f64> = active.iter().map(|pair| pair.value).collect();
            ritz_values.sort_by(f64::total_cmp);
            let steps = ritz_values.len() as f64;
            let record = KrylovRecord {
                ritz_values: &ritz_values,
                couplings: self.space.couplings(),
                allowance: (rounding(self.space.norm(), self.dim) + T::ROUNDING * self.space.norm())
                    * steps.sqrt()
                    + self.space.asymmetry(),
                dim: self.dim,
            };
            self.bounds = spectrum_bounds::bounds(&record, self.overlap, self.params.failure_probability);
        }
        let mut wanted = self.space.with_locked(&active, which);
        wanted.truncate(self.params.k);
        Ok(Look { active, wanted })
    }

    fn report(&self, look: &Look, progress: &mut dyn FnMut(&Progress)) {
        let residual = look.wanted.iter().map(|pair| pair.residual).fold(0.0, f64::max);
        let value = look.wanted.first().map_or(f64::NAN, |pair| pair.value);
        progress(&Progress { products: self.operator.count(), value, residual });
    }

    fn tolerance(&self, value: f64) -> f64 {
        self.params.tolerance(value, self.space.norm(), self.dim)
    }

    /// Whether all wanted pairs exist and have converged, by the estimates, to a fraction of the tolerance.
    fn is_done(&self, look: &Look, fraction: f64, broken: bool) -> bool {
        let converged = |pair: &Candidate| pair.residual <= fraction * self.tolerance(pair.value);
        let rank = |pair: &Candidate| self.params.which.rank(pair.value);
        let (Some(last), Some(newest)) = (look.wanted.last(), look.active.first()) else { return false };
        // Once a space has broken down, each further one finds the best of what the ones before it lack; the wanted
        // pairs are complete when the newest space has nothing better than the last of them.
        let several = broken || self.space.has_locked();
        let nothing_better =
            converged(newest) && rank(newest) <= rank(last) + rounding(self.space.norm(), self.dim);
        let complete = !several || nothing_better || self.space.fills_everything();
        let enough = look.wanted.len() == self.params.k && look.wanted.iter().all(converged);
        enough && complete && (broken || self.is_bounded(look))
    }

    /// Whether the bound on the wanted end is as close as `bound_rtol` asks, or cannot improve.
    fn is_bounded(&self, look: &Look) -> bool {
        let (Some(rtol), true, Some(bounds)) = (self.params.bound_rtol, self.space.is_first(), self.bounds)
        else {
            return true;
        };
        let value = look.wanted[0].value;
        let excess = match self.params.which {
            Which::LargestAlgebraic => bounds.upper - value,
            Which::SmallestAlgebraic => value - bounds.lower,
            Which::LargestMagnitude => bounds.upper.max(-bounds.lower) - value.abs(),
        };
        excess <= rtol * value.abs()
    }

    /// The pairs with their true residuals, by products made before where those suffice, else by one product each.
    fn verify(&mut self, wanted: &[Candidate]) -> Result<Vec<Eigenpair>, Error> {
        let mut pairs = Vec::with_capacity(wanted.len());
        for candidate in wanted {
            let vector = self.space.vector(candidate);
            if self.space.is_first() {
                let (value, residual) = self.space.quotient_and_residual(candidate);
                pairs.push(Eigenpair { value, vector, residual });
            } else {
                let mut product = vec![0.0; self.dim];
                self.operator.apply(&vector, &mut product)?;
                pairs.push(Eigenpair::from_product(vector, &mut product));
            }
        }
        let which = self.params.which;
        pairs.sort_by(|a, b| which.rank(b.value).total_cmp(&which.rank(a.value)));
        Ok(pairs)
    }

    fn accepts(&self, pairs: &[Eigenpair]) -> bool {
        pairs.iter().all(|pair| pair.residual <= self.tolerance(pair.value))
    }

    fn restart(&mut self) -> Result<(), Error> {
        let Look { active, .. } = self.look()?;
        let k = self.params.k;
        // The wanted pairs and the better half of the others: the usual compromise between what is kept of the old
        // space and the room for the new one (Wu and Simon 2000, section 5).
        let keep = k + active.len().saturating_sub(k) / 2;
        self.space.restart(&active[..keep.min(active.len() - 1)]);
        Ok(())
    }

    fn finish(self, pairs: Vec<Eigenpair>, stop: Stop) -> Eigenpairs {
        Eigenpairs {
            pairs,
            products: self.operator.count(),
            stop,
            spectrum_bounds: self.bounds,
            asymmetry: self.space.asymmetry(),
        }
    }
}

impl Eigenpair {
    /// The pair of a unit `vector` and its product `A u`, which is overwritten by the residual vector.
    pub(crate) fn from_product(vector: Vec<f64>, product: &mut [f64]) -> Self {
        let value = vectors::dot(&vector, product);
        vectors::add_scaled(product, -value, &vector);
        Self { value, residual: vectors::norm(product), vector }
    }
}
