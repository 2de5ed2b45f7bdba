//! Lanczos with full reorthogonalization, thick restarts, locking, verified residuals and a bound on the
//! rest of the spectrum.

use crate::error::Error;
use crate::host_space::HostSpace;
use crate::krylov::{Candidate, KrylovSpace};
use crate::operator::SymmetricOperator;
use crate::params::{EigenParams, Eigenpair, Eigenpairs, Progress, Stop};
use crate::space::VectorSpace;
use crate::spectrum_bounds::{self, KrylovRecord, SpectrumBounds};
use crate::start::start;

/// If the true residual misses the tolerance, the solver continues until the estimated residual is this
/// fraction of it. If the true residual still misses it, the products are too inexact.
const SECOND_CHECK: f64 = 0.1;
/// The bound on an eigenvalue smaller than this fraction of `‖A‖` need be only as tight as for an eigenvalue
/// of this size. No bound can come within a tenth of zero.
const NEGLIGIBLE: f64 = 0.01;
/// Up to this many active vectors, the solver computes the Ritz values after every product; beyond, each time
/// their number has grown by one part in this many, since the cost is cubic in it.
const LOOK_PART: usize = 40;

/// Computes the `k` eigenpairs at the wanted end of the spectrum.
///
/// Each step takes one product and `O(m dim)` work on the basis of `m` vectors, which at least two
/// Gram-Schmidt passes keep orthonormal to working precision. Residuals must meet the tolerance twice:
/// estimated from the recurrence, then computed from the products so far, or after a restart from one more
/// product per pair. If the computed residuals miss it, the solver continues until the estimated ones reach
/// a tenth of the tolerance and checks again; a second miss ends with [`Stop::Stagnated`].
///
/// A small residual shows only that *some* eigenvalue is near. To show that it is the wanted one:
/// - With `k = 1`, the [bound](SpectrumBounds) of the same Krylov space must lie within
///   [`bound_rtol`](EigenParams::bound_rtol) of the value.
/// - With `k > 1`, and after a restart or a breakdown, the solver locks the pairs it has found and starts
///   another Krylov space at a random vector orthogonal to them, since one space contains each eigenvalue
///   only once. If that space finds a pair that exceeds the `k`-th, the solver locks it too and starts
///   another. It is done when the newest space converges to nothing better than the `k`-th pair and its
///   bound lies within `bound_rtol` of that.
///
/// If the bound cannot reach `bound_rtol` because the basis ran out of memory, the solver stops with
/// [`Stop::Unproved`]. If `bound_rtol` is `None`, the residual of a single pair is enough.
///
/// The basis is stored in `f32` if the operator [is single](SymmetricOperator::is_single). [`lanczos_bytes`]
/// gives the memory.
///
/// # Errors
/// Invalid parameters, [`Error::Memory`], and [`Error::Operator`] or [`Error::NonFinite`] if a product fails
/// or is not finite. Reaching `max_products` is not an error.
pub fn lanczos(
    op: &mut dyn SymmetricOperator,
    params: &EigenParams,
    progress: &mut dyn FnMut(&Progress),
) -> Result<Eigenpairs, Error> {
    if op.is_single() {
        lanczos_in(&mut HostSpace::<f32>::new(op, params.seed), params, progress)
    } else {
        lanczos_in(&mut HostSpace::<f64>::new(op, params.seed), params, progress)
    }
}

/// [`lanczos()`] on vectors that stay where the products are computed. The space, which must have an empty basis, draws the random
/// vectors: [`EigenParams::seed`] is for it to use.
///
/// # Errors
/// Those of [`lanczos()`], and those of the space.
pub fn lanczos_in<S: VectorSpace>(
    space: &mut S,
    params: &EigenParams,
    progress: &mut dyn FnMut(&Progress),
) -> Result<Eigenpairs<S::Vector>, Error> {
    let dim = space.dim();
    params.check(dim)?;
    params.require_products(1)?;
    let capacity = capacity(params, dim, space.is_single())?;
    let (first, random_share) = start(space, params)?;
    let solver = Lanczos {
        params,
        dim,
        capacity,
        random_share,
        space: KrylovSpace::new(space, first)?,
        spaces: 1,
        bounds: None,
        spectrum_bounds: None,
    };
    solver.run(progress)
}

/// The memory in bytes that the vectors of [`lanczos()`] take for `k` pairs in dimension `dim` and a basis
/// of `vectors` vectors. The basis is in `f32` if the operator is `single`; the operands of a product and
/// the results are in `f64`.
pub fn lanczos_bytes(k: usize, dim: usize, vectors: usize, single: bool) -> usize {
    let entry = if single { size_of::<f32>() } else { size_of::<f64>() };
    let wide = k.saturating_add(1).saturating_mul(size_of::<f64>());
    vectors.saturating_mul(entry).saturating_add(wide).saturating_mul(dim)
}

/// The smallest [`memory_bytes`](EigenParams::memory_bytes) with which [`lanczos()`] can compute `k` pairs
/// in dimension `dim`.
pub fn smallest_lanczos_bytes(k: usize, dim: usize, single: bool) -> usize {
    // Up to k locked vectors, and k + 3 active ones, so that each restart leaves room for two new directions.
    let vectors = k.saturating_mul(2).saturating_add(4).min(dim.saturating_add(1));
    lanczos_bytes(k, dim, vectors, single)
}

/// The number of vectors that fit in memory, including the next one.
fn capacity(params: &EigenParams, dim: usize, single: bool) -> Result<usize, Error> {
    let (k, memory_bytes) = (params.k, params.memory_bytes);
    let needed_bytes = smallest_lanczos_bytes(k, dim, single);
    if memory_bytes < needed_bytes {
        return Err(Error::Memory { memory_bytes, needed_bytes, k, dim });
    }
    let without_basis = lanczos_bytes(k, dim, 0, single);
    Ok((memory_bytes - without_basis) / (lanczos_bytes(k, dim, 1, single) - without_basis))
}

struct Lanczos<'a, S> {
    params: &'a EigenParams,
    dim: usize,
    capacity: usize,
    /// The random share of the first start. Later starts are random altogether.
    random_share: Option<f64>,
    space: KrylovSpace<'a, S>,
    /// The number of Krylov spaces so far.
    spaces: u32,
    /// The current space's bounds on the spectrum orthogonal to the locked vectors.
    bounds: Option<SpectrumBounds>,
    /// The first space's bounds on the whole spectrum.
    spectrum_bounds: Option<SpectrumBounds>,
}

/// The Ritz pairs at one point of the iteration.
struct Look {
    /// Those of the active part, most wanted first.
    active: Vec<Candidate>,
    /// The `k` most wanted of these and the locked ones, or all if there are fewer.
    wanted: Vec<Candidate>,
}

/// What to do next.
#[derive(Clone, Copy, PartialEq)]
enum Step {
    /// Extend the space.
    Extend,
    /// Lock the converged pairs and search another space.
    Lock,
    /// Stop, if the true residuals agree.
    End(Stop),
}

impl<S: VectorSpace> Lanczos<'_, S> {
    fn run(mut self, progress: &mut dyn FnMut(&Progress)) -> Result<Eigenpairs<S::Vector>, Error> {
        let mut fraction = 1.0;
        let mut looked_at = 0;
        loop {
            if self.space.vectors() >= self.capacity {
                self.restart()?;
                looked_at = self.space.active();
            }
            let broken = !self.space.extend()?;
            let spent = !self.may_continue();
            let due = self.space.active() > looked_at + looked_at / LOOK_PART;
            if !(broken || spent || due) {
                continue;
            }
            looked_at = self.space.active();
            let look = self.look()?;
            self.report(&look, progress);
            let mut step = self.step(&look, fraction, broken);
            if matches!(step, Step::End(_)) || step == Step::Lock && self.space.knows_residuals() {
                let pairs = self.verify(&look.wanted)?;
                if !self.accepts(&pairs) {
                    if broken || fraction < 1.0 {
                        return Ok(self.finish(pairs, Stop::Stagnated));
                    }
                    (fraction, step) = (SECOND_CHECK, Step::Extend);
                } else if let Step::End(stop) = step {
                    return Ok(self.finish(pairs, stop));
                }
            }
            if spent || !self.may_continue() {
                let pairs = self.verify(&look.wanted)?;
                return Ok(self.finish(pairs, Stop::ProductLimit));
            }
            if step == Step::Lock || broken {
                self.lock(&look)?;
                looked_at = 0;
            }
        }
    }

    /// Whether the product limit allows another step and the check of its result.
    fn may_continue(&self) -> bool {
        let stays_known = self.space.knows_residuals() && self.space.vectors() < self.capacity;
        let check = if stays_known { 0 } else { self.params.k };
        self.space.products() + check < self.params.max_products
    }

    /// Computes the Ritz pairs, and the bounds while they can still improve.
    fn look(&mut self) -> Result<Look, Error> {
        let which = self.params.which;
        let active = self.space.ritz_pairs(which)?;
        if self.space.is_whole() {
            let mut ritz_values: Vec<f64> = active.iter().map(|pair| pair.value).collect();
            ritz_values.sort_by(f64::total_cmp);
            let steps = ritz_values.len() as f64;
            let record = KrylovRecord {
                ritz_values: &ritz_values,
                couplings: self.space.couplings(),
                allowance: self.space.step_error() * steps.sqrt() + self.space.asymmetry(),
                dim: self.dim - self.space.locked(),
            };
            let share = if self.space.locked() == 0 { self.random_share } else { None };
            let failure = self.params.failure_probability;
            self.bounds = spectrum_bounds::bounds(
                &record,
                spectrum_bounds::overlap(record.dim, failure, share),
                failure,
            );
            if self.space.locked() == 0 {
                self.spectrum_bounds = self.bounds;
            }
        }
        let mut wanted = self.space.with_locked(&active, which);
        wanted.truncate(self.params.k);
        Ok(Look { active, wanted })
    }

    fn report(&self, look: &Look, progress: &mut dyn FnMut(&Progress)) {
        let residual = look.wanted.iter().map(|pair| pair.residual).fold(0.0, f64::max);
        let value = look.wanted.first().map_or(f64::NAN, |pair| pair.value);
        let limit = self.limits(&look.wanted[..look.wanted.len().min(1)]).first().copied().flatten();
        progress(&Progress { products: self.space.products(), value, residual, limit });
    }

    fn tolerance(&self, value: f64) -> f64 {
        self.params.tolerance(value, self.floor())
    }

    /// The residual that rounding of the products explains.
    fn floor(&self) -> f64 {
        self.space.rounding()
    }

    fn step(&self, look: &Look, fraction: f64, broken: bool) -> Step {
        // Locked pairs cannot improve.
        let fraction = |pair: &Candidate| if pair.is_locked() { 1.0 } else { fraction };
        let converged = |pair: &Candidate| pair.residual <= fraction(pair) * self.tolerance(pair.value);
        let (Some(last), Some(newest)) = (look.wanted.last(), look.active.first()) else {
            return Step::Extend;
        };
        if self.space.fills_everything() {
            return Step::End(Stop::Converged);
        }
        if look.wanted.len() < self.params.k || !look.wanted.iter().all(converged) {
            return Step::Extend;
        }
        let is_bounded = broken || self.is_bounded(last);
        if self.space.locked() == 0 {
            // One space contains each eigenvalue once, so it can prove only one pair.
            return match is_bounded {
                true if self.params.k == 1 => Step::End(Stop::Converged),
                false if self.space.is_whole() && self.params.k == 1 => Step::Extend,
                _ => Step::Lock,
            };
        }
        if !converged(newest) {
            return Step::Extend;
        }
        let rank = |pair: &Candidate| self.params.which.rank(pair.value);
        if rank(newest) > rank(last) + self.floor() {
            return Step::Lock;
        }
        match is_bounded {
            true => Step::End(Stop::Converged),
            false if self.space.is_whole() => Step::Extend,
            false => Step::End(Stop::Unproved),
        }
    }

    /// Whether the bound on the rest of the spectrum lies within `bound_rtol` of the last wanted value.
    fn is_bounded(&self, last: &Candidate) -> bool {
        let Some(rtol) = self.params.bound_rtol else { return true };
        let which = self.params.which;
        let reach = self.bounds.map(|bounds| bounds.reach(which));
        let scale = last.value.abs().max(NEGLIGIBLE * self.space.norm());
        reach.is_some_and(|reach| reach - which.rank(last.value) <= rtol * scale)
    }

    /// For each wanted pair, a bound on the eigenvalue of its rank (see [`Eigenpair::limit`]).
    fn limits(&self, wanted: &[Candidate]) -> Vec<Option<f64>> {
        let which = self.params.which;
        let whole = self.spectrum_bounds.map(|bounds| bounds.reach(which));
        if self.space.locked() == 0 {
            return wanted.iter().map(|_| whole.map(|reach| which.unrank(reach))).collect();
        }
        // Weyl: A is the direct sum of the locked values and the rest, up to the residuals of the locked
        // vectors.
        let rest = self.bounds.map(|bounds| bounds.reach(which) + self.space.locked_residual());
        let of_place = |pair: &Candidate| {
            let rest = rest.map(|rest| rest.max(which.rank(pair.value) + self.space.locked_residual()));
            whole.into_iter().chain(rest).min_by(f64::total_cmp).map(|reach| which.unrank(reach))
        };
        wanted.iter().map(of_place).collect()
    }

    /// Locks the wanted pairs that have converged and starts another space.
    fn lock(&mut self, look: &Look) -> Result<(), Error> {
        let found = |pair: &&Candidate| !pair.is_locked() && pair.residual <= self.tolerance(pair.value);
        let found: Vec<Candidate> = look.wanted.iter().filter(found).cloned().collect();
        self.space.lock(&found, self.params.k, self.params.which)?;
        self.spaces += 1;
        self.bounds = None;
        Ok(())
    }

    /// The pairs with their true residuals, from the products so far if those suffice, otherwise from one
    /// more product each.
    fn verify(&mut self, wanted: &[Candidate]) -> Result<Vec<Eigenpair<S::Vector>>, Error> {
        let mut pairs = Vec::with_capacity(wanted.len());
        for (candidate, limit) in wanted.iter().zip(self.limits(wanted)) {
            let vector = self.space.vector(candidate)?;
            let (value, residual) = match self.space.quotient_and_residual(candidate) {
                Some(known) => known,
                None => self.space.measure(&vector)?,
            };
            pairs.push(Eigenpair { value, vector, residual, limit });
        }
        let which = self.params.which;
        pairs.sort_by(|a, b| which.rank(b.value).total_cmp(&which.rank(a.value)));
        Ok(pairs)
    }

    fn accepts(&self, pairs: &[Eigenpair<S::Vector>]) -> bool {
        pairs.iter().all(|pair| pair.residual <= self.tolerance(pair.value))
    }

    fn restart(&mut self) -> Result<(), Error> {
        let Look { active, .. } = self.look()?;
        let k = self.params.k;
        // The wanted pairs and the better half of the others: the usual compromise between what to keep and
        // room for the new space (Wu and Simon 2000, section 5).
        let keep = k + active.len().saturating_sub(k) / 2;
        self.space.restart(&active[..keep.min(active.len() - 1)])
    }

    fn finish(self, pairs: Vec<Eigenpair<S::Vector>>, stop: Stop) -> Eigenpairs<S::Vector> {
        let failure_probability = (f64::from(self.spaces) * self.params.failure_probability).min(1.0);
        let certain = |bounds: SpectrumBounds| bounds.failure_probability <= 0.0;
        Eigenpairs {
            pairs,
            products: self.space.products(),
            stop,
            spectrum_bounds: self.spectrum_bounds,
            limit_failure_probability: if self.bounds.is_some_and(certain) {
                0.0
            } else {
                failure_probability
            },
            asymmetry: self.space.asymmetry(),
            rounding: self.floor(),
            norm: self.space.norm(),
        }
    }
}
