//! Lanczos with full reorthogonalization, thick restart, locking, verified residuals, and a proof that nothing larger exists.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use crate::error::Error;
use crate::krylov::{Candidate, KrylovSpace};
use crate::operator::{Products, SymmetricOperator};
use crate::params::{EigenParams, Eigenpair, Eigenpairs, Progress, Stop, rounding};
use crate::spectrum_bounds::{self, KrylovRecord, SpectrumBounds};
use crate::start::start;
use crate::vectors::Entry;

/// How much smaller than the tolerance the estimated residual must be before a second failed check means that the
/// products are too inexact.
const SECOND_CHECK: f64 = 0.1;
/// The bound of an eigenvalue smaller than this fraction of `‖A‖` need come only as near as that of one of this size: no bound comes
/// within a tenth of zero.
const NEGLIGIBLE: f64 = 0.01;
/// Up to so many active vectors every product is followed by a look at the Ritz values; then each time that their
/// number has grown by this part of itself, since a look costs the cube of it.
const LOOK_PART: usize = 40;

/// The `k` eigenpairs at the wanted end of the spectrum.
///
/// Each step costs one product and `O(m dim)` work on the basis of `m` vectors, which is kept orthonormal to working
/// precision by at least two Gram-Schmidt passes. The residuals must meet the tolerance first as estimated, then as computed:
/// from the products already made, or after a restart with one more product per pair. If they miss it then, the solver
/// continues to a tenth of it and checks once more; a second miss ends with [`Stop::Stagnated`].
///
/// A small residual says that *an* eigenvalue is near. That it is the wanted one takes more:
/// - With `k = 1` the [bound](SpectrumBounds) of the same Krylov space must lie within
///   [`bound_rtol`](EigenParams::bound_rtol) of the value.
/// - With `k > 1`, and after a restart or a breakdown, the pairs found are locked and a random vector orthogonal to them
///   starts another Krylov space, since one space holds each eigenvalue only once. If it finds a pair that exceeds the `k`-th,
///   it is locked too and a further space starts. The pairs are complete when the newest space has converged to nothing
///   better than the `k`-th and its bound lies within `bound_rtol` of it.
///
/// If the bound cannot reach `bound_rtol` because the basis outgrew the memory, the solver ends with
/// [`Stop::Unproved`]. Without `bound_rtol` a single pair counts as found by its residual alone.
///
/// The basis is held in `f32` if the operator [is single](SymmetricOperator::is_single). Memory is as [`lanczos_bytes`] says.
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
        random_share,
        rng,
        space: KrylovSpace::<T>::new(first),
        spaces: 1,
        bounds: None,
        spectrum_bounds: None,
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
    /// The random share of the first start; the further ones are wholly random.
    random_share: Option<f64>,
    rng: ChaCha8Rng,
    space: KrylovSpace<T>,
    /// Krylov spaces so far, each from a start of its own.
    spaces: u32,
    /// What the current space says of the spectrum orthogonal to the locked vectors.
    bounds: Option<SpectrumBounds>,
    /// What the first space said of the whole spectrum.
    spectrum_bounds: Option<SpectrumBounds>,
    operator: Products<'a>,
}

/// A look at the Ritz values.
struct Look {
    /// The Ritz pairs of the active part, best first.
    active: Vec<Candidate>,
    /// The best `k` of them and the locked ones; fewer if there are not as many.
    wanted: Vec<Candidate>,
}

/// What a look leads to.
#[derive(Clone, Copy, PartialEq)]
enum Step {
    /// The space has more to say.
    Extend,
    /// Lock what has converged and search for more in another space.
    Lock,
    /// The search is over, if the true residuals agree.
    End(Stop),
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
                self.lock(&look);
                looked_at = 0;
            }
        }
    }

    /// Whether the product limit leaves a further step and the check of what it finds.
    fn may_continue(&self) -> bool {
        let stays_known = self.space.knows_residuals() && self.space.vectors() < self.capacity;
        let check = if stays_known { 0 } else { self.params.k };
        self.operator.count() + check < self.params.max_products
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
                allowance: (rounding(self.space.norm(), self.dim) + T::ROUNDING * self.space.norm())
                    * steps.sqrt()
                    + self.space.asymmetry(),
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
        progress(&Progress { products: self.operator.count(), value, residual, limit });
    }

    fn tolerance(&self, value: f64) -> f64 {
        self.params.tolerance(value, self.floor())
    }

    /// The residual that the rounding of products explains.
    fn floor(&self) -> f64 {
        self.operator.rounding(self.space.norm())
    }

    fn step(&self, look: &Look, fraction: f64, broken: bool) -> Step {
        // What is locked cannot improve further.
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
            // One space holds each eigenvalue once, so that it can vouch for one pair only.
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

    /// Whether the bound on what the space can still hold is as close to the last wanted value as `bound_rtol` asks.
    fn is_bounded(&self, last: &Candidate) -> bool {
        let Some(rtol) = self.params.bound_rtol else { return true };
        let which = self.params.which;
        let reach = self.bounds.map(|bounds| bounds.reach(which));
        let scale = last.value.abs().max(NEGLIGIBLE * self.space.norm());
        reach.is_some_and(|reach| reach - which.rank(last.value) <= rtol * scale)
    }

    /// For each wanted pair, the value that the eigenvalue of its place does not exceed (see [`Eigenpair::limit`]).
    fn limits(&self, wanted: &[Candidate]) -> Vec<Option<f64>> {
        let which = self.params.which;
        let whole = self.spectrum_bounds.map(|bounds| bounds.reach(which));
        if self.space.locked() == 0 {
            return wanted.iter().map(|_| whole.map(|reach| which.unrank(reach))).collect();
        }
        // Weyl: A is the direct sum of the locked values and of the rest, up to the residuals of the locked vectors.
        let rest = self.bounds.map(|bounds| bounds.reach(which) + self.space.locked_residual());
        let of_place = |pair: &Candidate| {
            let rest = rest.map(|rest| rest.max(which.rank(pair.value) + self.space.locked_residual()));
            whole.into_iter().chain(rest).min_by(f64::total_cmp).map(|reach| which.unrank(reach))
        };
        wanted.iter().map(of_place).collect()
    }

    /// Locks the wanted pairs that the current space has found, and starts another space.
    fn lock(&mut self, look: &Look) {
        let found = |pair: &&Candidate| !pair.is_locked() && pair.residual <= self.tolerance(pair.value);
        let found: Vec<Candidate> = look.wanted.iter().filter(found).cloned().collect();
        self.space.lock(&found, self.params.k, self.params.which, &mut self.rng);
        self.spaces += 1;
        self.bounds = None;
    }

    /// The pairs with their true residuals, from products already made where those suffice, else by one product each.
    fn verify(&mut self, wanted: &[Candidate]) -> Result<Vec<Eigenpair>, Error> {
        let mut pairs = Vec::with_capacity(wanted.len());
        for (candidate, limit) in wanted.iter().zip(self.limits(wanted)) {
            let vector = self.space.vector(candidate);
            if let Some((value, residual)) = self.space.quotient_and_residual(candidate) {
                pairs.push(Eigenpair { value, vector, residual, limit });
            } else {
                let mut product = vec![0.0; self.dim];
                self.operator.apply(&vector, &mut product)?;
                pairs.push(Eigenpair { limit, ..Eigenpair::from_product(vector, &mut product) });
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
        let failure_probability = (f64::from(self.spaces) * self.params.failure_probability).min(1.0);
        let certain = |bounds: SpectrumBounds| bounds.failure_probability <= 0.0;
        Eigenpairs {
            pairs,
            products: self.operator.count(),
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
