//! The space that Lanczos builds: an orthonormal basis, and the operator projected on it.
//!
//! The basis has three parts, in this order:
//! - *locked* vectors: eigenvectors found in earlier Krylov spaces;
//! - *active* vectors `V: [dim, m]`, with `A V = V T + r c` up to rounding, where `T` is tridiagonal. After
//!   a thick restart (Wu and Simon 2000, *Thick-restart Lanczos method for large symmetric eigenvalue
//!   problems*, SIAM J. Matrix Anal. Appl. 22(2), equation 2.4), `T` starts with an arrow;
//! - the *next* vector `r`, which the next step multiplies.

use nalgebra::DMatrix;
use rand_chacha::ChaCha8Rng;

use crate::error::Error;
use crate::operator::Products;
use crate::params::rounding;
use crate::symmetric_eigen::symmetric_eigen;
use crate::vectors::{self, Entry};
use crate::which::Which;

/// Gram-Schmidt passes per step: two suffice unless the second cancels too (Giraud, Langou and Rozložník
/// 2005).
const MIN_PASSES: usize = 2;
const MAX_PASSES: usize = 5;

pub(crate) struct KrylovSpace<T> {
    basis: Vec<Vec<T>>,
    /// The locked pairs, in the order of their vectors in the basis.
    locked: Vec<Locked>,
    /// The number of leading active vectors kept by a restart: the arrow.
    kept: usize,
    /// The diagonal of `T`.
    diagonal: Vec<f64>,
    /// The entry of `T` that couples active vector `i` to vector [`target`](Self::target)`(i)`.
    couplings: Vec<f64>,
    /// The largest norm of a product so far: a lower bound on `‖A‖`, usually within a small factor.
    norm: f64,
    /// For each active vector `j`, the components of `A v_j` along earlier active vectors that `T` lacks:
    /// only rounding errors if `A` is symmetric. Empty after a restart.
    departures: Vec<Vec<f64>>,
    /// For each active vector `j`, the components of `A v_j` along the locked vectors, at most their
    /// residuals. Empty after a restart.
    leaks: Vec<Vec<f64>>,
    /// See [`crate::Eigenpairs::asymmetry`].
    asymmetry: f64,
}

/// A locked pair.
#[derive(Clone, Copy)]
struct Locked {
    value: f64,
    /// `‖A u - θ u‖` when it was locked.
    residual: f64,
    /// Whether the residual is computed from products rather than estimated from the recurrence.
    is_true: bool,
}

/// A Ritz pair that may be part of the result.
#[derive(Clone)]
pub(crate) struct Candidate {
    pub(crate) value: f64,
    /// `‖A u - θ u‖`, estimated from the recurrence.
    pub(crate) residual: f64,
    source: Source,
}

impl Candidate {
    pub(crate) fn is_locked(&self) -> bool {
        matches!(self.source, Source::Locked(_))
    }
}

#[derive(Clone)]
enum Source {
    Locked(usize),
    /// Coefficients on the active vectors.
    Active(Vec<f64>),
}

impl<T: Entry> KrylovSpace<T> {
    pub(crate) fn new(start: Vec<f64>) -> Self {
        Self {
            basis: vec![T::narrow(start)],
            locked: Vec::new(),
            kept: 0,
            diagonal: Vec::new(),
            couplings: Vec::new(),
            norm: 0.0,
            departures: Vec::new(),
            leaks: Vec::new(),
            asymmetry: 0.0,
        }
    }

    /// Whether the space has not restarted since its start vector.
    pub(crate) fn is_whole(&self) -> bool {
        self.kept == 0
    }

    /// Whether the true residual of every candidate follows from the products so far.
    pub(crate) fn knows_residuals(&self) -> bool {
        self.is_whole() && self.locked.iter().all(|locked| locked.is_true)
    }

    pub(crate) fn active(&self) -> usize {
        self.diagonal.len()
    }

    /// The number of stored vectors, including the next one.
    pub(crate) fn vectors(&self) -> usize {
        self.basis.len()
    }

    pub(crate) fn locked(&self) -> usize {
        self.locked.len()
    }

    /// The Frobenius norm of the residuals of the locked vectors.
    pub(crate) fn locked_residual(&self) -> f64 {
        self.locked.iter().map(|locked| locked.residual.powi(2)).sum::<f64>().sqrt()
    }

    /// Whether the locked and active vectors together span the whole space.
    pub(crate) fn fills_everything(&self) -> bool {
        self.locked.len() + self.active() >= self.basis[0].len()
    }

    pub(crate) fn couplings(&self) -> &[f64] {
        &self.couplings
    }

    pub(crate) fn norm(&self) -> f64 {
        self.norm
    }

    pub(crate) fn asymmetry(&self) -> f64 {
        self.asymmetry
    }

    fn target(&self, i: usize) -> usize {
        if i < self.kept { self.kept } else { i + 1 }
    }

    /// One Lanczos step. Returns false on breakdown: the space is invariant up to rounding, so there is no
    /// next vector.
    pub(crate) fn extend(&mut self, operator: &mut Products) -> Result<bool, Error> {
        let step = self.active();
        let next = &self.basis[self.locked.len() + step];
        let dim = next.len();
        let mut w = vec![0.0; dim];
        self.norm = self.norm.max(operator.apply(&T::widen(next), &mut w)?);

        let (coefficients, coupling) = orthogonalize(&mut w, &self.basis, rounding(self.norm, dim));
        let (leak, on_active) = coefficients.split_at(self.locked.len());
        self.note_asymmetry(on_active);
        if self.is_whole() {
            self.leaks.push(leak.to_vec());
        }
        self.diagonal.push(on_active[step]);
        self.couplings.push(coupling);
        if coupling > 0.0 {
            vectors::scale(&mut w, 1.0 / coupling);
            self.basis.push(T::narrow(w));
        }
        Ok(coupling > 0.0)
    }

    /// Records how far the coefficients on earlier vectors depart from those that symmetry requires.
    fn note_asymmetry(&mut self, coefficients: &[f64]) {
        let step = self.active();
        let departure = |i: usize| {
            let expected = if self.target(i) == step { self.couplings[i] } else { 0.0 };
            coefficients[i] - expected
        };
        let departures: Vec<f64> = (0..step).map(departure).collect();
        self.asymmetry = self.asymmetry.max(vectors::norm(&departures));
        if self.is_whole() {
            self.departures.push(departures);
        }
    }

    /// The Ritz pairs of the active part, most wanted first. Takes `O(m³)` work.
    pub(crate) fn ritz_pairs(&self, which: Which) -> Result<Vec<Candidate>, Error> {
        let size = self.active();
        let mut projected = DMatrix::zeros(size, size);
        for (i, value) in self.diagonal.iter().enumerate() {
            projected[(i, i)] = *value;
            if self.target(i) < size {
                projected[(self.target(i), i)] = self.couplings[i];
            }
        }
        let (values, columns) = symmetric_eigen(projected)?;
        let mut pairs: Vec<Candidate> = values
            .into_iter()
            .zip(columns)
            .map(|(value, column)| Candidate {
                value,
                residual: self.residual_coefficient(&column).abs(),
                source: Source::Active(column),
            })
            .collect();
        sort_by_rank(&mut pairs, which);
        Ok(pairs)
    }

    /// `c s`: the component of `A V s - V T s` along the next vector.
    fn residual_coefficient(&self, column: &[f64]) -> f64 {
        let size = self.active();
        (0..size).filter(|i| self.target(*i) == size).map(|i| self.couplings[i] * column[i]).sum()
    }

    /// The locked pairs and the given active ones, most wanted first.
    pub(crate) fn with_locked(&self, active: &[Candidate], which: Which) -> Vec<Candidate> {
        let candidate = |(i, locked): (usize, &Locked)| Candidate {
            value: locked.value,
            residual: locked.residual,
            source: Source::Locked(i),
        };
        let locked = self.locked.iter().enumerate().map(candidate);
        let mut all: Vec<Candidate> = locked.chain(active.iter().cloned()).collect();
        sort_by_rank(&mut all, which);
        all
    }

    /// The Ritz vector `[dim]` of a candidate, normalized.
    pub(crate) fn vector(&self, candidate: &Candidate) -> Vec<f64> {
        let mut vector = match &candidate.source {
            Source::Locked(i) => T::widen(&self.basis[*i]).into_owned(),
            Source::Active(column) => vectors::combine(&self.basis[self.locked.len()..], column),
        };
        let norm = vectors::norm(&vector);
        vectors::scale(&mut vector, 1.0 / norm);
        vector
    }

    /// The Rayleigh quotient `uᵀ A u` and the residual `‖A u - θ u‖` of a candidate, if they follow from the
    /// products so far: `A V s = Q L s + V (T + E) s + r cᵀ s`, where `Q` are the locked vectors, `L` the
    /// leaks and `E` the departures.
    pub(crate) fn quotient_and_residual(&self, candidate: &Candidate) -> Option<(f64, f64)> {
        let s = match &candidate.source {
            Source::Locked(i) => {
                return self.locked[*i].is_true.then_some((candidate.value, candidate.residual));
            }
            Source::Active(_) if !self.is_whole() => return None,
            Source::Active(s) => s,
        };
        let mut product = vec![0.0; s.len()];
        let mut leak = vec![0.0; self.locked.len()];
        for (j, departures) in self.departures.iter().enumerate() {
            vectors::add_scaled(&mut leak, s[j], &self.leaks[j]);
            vectors::add_scaled(&mut product[..j], s[j], departures);
            product[j] += self.diagonal[j] * s[j];
            if j + 1 < s.len() {
                product[j + 1] += self.couplings[j] * s[j];
                product[j] += self.couplings[j] * s[j + 1];
            }
        }
        let value = vectors::dot(s, &product);
        vectors::add_scaled(&mut product, -value, s);
        let outside = self.residual_coefficient(s).hypot(vectors::norm(&leak));
        Some((value, vectors::norm(&product).hypot(outside)))
    }

    /// Thick restart: keeps the Ritz vectors of these active pairs and the next vector.
    pub(crate) fn restart(&mut self, pairs: &[Candidate]) {
        let columns = columns(pairs);
        let couplings = columns.iter().map(|column| self.residual_coefficient(column)).collect();
        let first = self.locked.len();
        let active = self.active();
        vectors::rotate(&mut self.basis[first..first + active], &columns);
        self.basis.swap(first + columns.len(), first + active);
        self.basis.truncate(first + columns.len() + 1);
        self.kept = columns.len();
        self.diagonal = pairs.iter().map(|pair| pair.value).collect();
        self.couplings = couplings;
        self.departures.clear();
        self.leaks.clear();
    }

    /// Locks the Ritz vectors of these active pairs, keeps the `k` most wanted of all locked ones, and
    /// starts a new Krylov space at a random vector orthogonal to them. Must not be called if the space
    /// [fills everything](Self::fills_everything).
    pub(crate) fn lock(&mut self, pairs: &[Candidate], k: usize, which: Which, rng: &mut ChaCha8Rng) {
        debug_assert!(!self.fills_everything(), "no direction is left for a new space");
        let found = pairs.iter().map(|pair| match self.quotient_and_residual(pair) {
            Some((value, residual)) => Locked { value, residual, is_true: true },
            None => Locked { value: pair.value, residual: pair.residual, is_true: false },
        });
        let found: Vec<Locked> = found.collect();
        let columns = columns(pairs);
        let (first, active) = (self.locked.len(), self.active());
        vectors::rotate(&mut self.basis[first..first + active], &columns);
        self.basis.truncate(first + columns.len());
        self.locked.extend(found);

        let basis = std::mem::take(&mut self.basis);
        let mut locked: Vec<_> = self.locked.drain(..).zip(basis).collect();
        locked.sort_by(|a, b| which.rank(b.0.value).total_cmp(&which.rank(a.0.value)));
        locked.truncate(k);
        (self.locked, self.basis) = locked.into_iter().unzip();

        self.kept = 0;
        self.diagonal.clear();
        self.couplings.clear();
        self.departures.clear();
        self.leaks.clear();
        self.push_random(rng);
    }

    fn push_random(&mut self, rng: &mut ChaCha8Rng) {
        let dim = self.basis[0].len();
        let (mut w, mut norm) = (Vec::new(), 0.0);
        while norm <= 0.0 {
            w = vectors::random_unit(dim, rng);
            norm = orthogonalize(&mut w, &self.basis, rounding(1.0, dim)).1;
        }
        vectors::scale(&mut w, 1.0 / norm);
        self.basis.push(T::narrow(w));
    }
}

fn columns(pairs: &[Candidate]) -> Vec<Vec<f64>> {
    let active = pairs.iter().filter_map(|pair| match &pair.source {
        Source::Active(column) => Some(column.clone()),
        Source::Locked(_) => None,
    });
    active.collect()
}

fn sort_by_rank(pairs: &mut [Candidate], which: Which) {
    pairs.sort_by(|a, b| which.rank(b.value).total_cmp(&which.rank(a.value)));
}

/// Makes `w` orthogonal to the basis by classical Gram-Schmidt. Each pass reads the basis once: it subtracts
/// the components found by the previous pass and computes the remaining ones. Returns the coefficients of
/// `w` on the basis and the norm of the remainder, or zero if that is at most `noise`.
fn orthogonalize<T: Entry>(w: &mut [f64], basis: &[Vec<T>], noise: f64) -> (Vec<f64>, f64) {
    let mut coefficients = vec![0.0; basis.len()];
    let mut before = vectors::project(w, basis, None);
    for pass in 1..=MAX_PASSES {
        let after = vectors::project(w, basis, Some(&before.coefficients));
        vectors::add_scaled(&mut coefficients, 1.0, &before.coefficients);
        if after.norm <= noise {
            break;
        }
        if pass >= MIN_PASSES && after.norm > 0.5 * before.norm {
            return (coefficients, after.norm);
        }
        before = after;
    }
    (coefficients, 0.0)
}
