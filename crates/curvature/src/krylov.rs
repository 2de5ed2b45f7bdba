//! The space that Lanczos builds: an orthonormal basis, and the operator projected on it.
//!
//! The basis has three parts, in this order:
//! - *locked* vectors: eigenvectors found in earlier Krylov spaces;
//! - *active* vectors `V: [dim, m]`, with `A V = V T + r c` up to rounding, where `T` is tridiagonal. After
//!   a thick restart (Wu and Simon 2000, *Thick-restart Lanczos method for large symmetric eigenvalue
//!   problems*, SIAM J. Matrix Anal. Appl. 22(2), equation 2.4), `T` starts with an arrow;
//! - the *next* vector `r`, which the next step multiplies.

use nalgebra::DMatrix;

use crate::error::{Error, finite_norm};
use crate::params::rounding;
use crate::space::VectorSpace;
use crate::symmetric_eigen::symmetric_eigen;
use crate::vectors;
use crate::which::Which;

/// Gram-Schmidt passes per step: two suffice unless the second cancels too (Giraud, Langou and Rozložník
/// 2005).
const MIN_PASSES: usize = 2;
const MAX_PASSES: usize = 5;

pub(crate) struct KrylovSpace<'a, S> {
    /// Where the basis lives.
    space: &'a mut S,
    /// The number of vectors in the basis.
    stored: usize,
    /// The number of products so far.
    products: usize,
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

    /// The component of an active candidate along the start vector of its space; `None` for a locked one.
    pub(crate) fn first_entry(&self) -> Option<f64> {
        match &self.source {
            Source::Locked(_) => None,
            Source::Active(column) => column.first().copied(),
        }
    }
}

#[derive(Clone)]
enum Source {
    Locked(usize),
    /// Coefficients on the active vectors.
    Active(Vec<f64>),
}

impl<'a, S: VectorSpace> KrylovSpace<'a, S> {
    pub(crate) fn new(space: &'a mut S, start: S::Vector) -> Result<Self, Error> {
        space.push(start)?;
        Ok(Self {
            space,
            stored: 1,
            products: 0,
            locked: Vec::new(),
            kept: 0,
            diagonal: Vec::new(),
            couplings: Vec::new(),
            norm: 0.0,
            departures: Vec::new(),
            leaks: Vec::new(),
            asymmetry: 0.0,
        })
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
        self.stored
    }

    pub(crate) fn products(&self) -> usize {
        self.products
    }

    pub(crate) fn dim(&self) -> usize {
        self.space.dim()
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
        self.locked.len() + self.active() >= self.dim()
    }

    pub(crate) fn couplings(&self) -> &[f64] {
        &self.couplings
    }

    pub(crate) fn norm(&self) -> f64 {
        self.norm
    }

    /// The residual that rounding of the products explains.
    pub(crate) fn rounding(&self) -> f64 {
        rounding(self.norm, self.dim()).max(self.space.product_error() * self.norm)
    }

    /// How far rounding of the recurrence may move an eigenvalue in one step.
    pub(crate) fn step_error(&self) -> f64 {
        rounding(self.norm, self.dim()) + self.space.basis_error() * self.norm
    }

    pub(crate) fn asymmetry(&self) -> f64 {
        self.asymmetry
    }

    fn target(&self, i: usize) -> usize {
        if i < self.kept { self.kept } else { i + 1 }
    }

    /// One Lanczos step. Returns false on breakdown: the space is invariant up to rounding, so there is no
    /// next vector.
    pub(crate) fn extend(&mut self) -> Result<bool, Error> {
        let step = self.active();
        let mut w = self.space.apply_basis(self.locked.len() + step)?;
        self.norm = self.norm.max(self.counted_norm(&w)?);

        let noise = rounding(self.norm, self.dim());
        let (coefficients, coupling) = orthogonalize(self.space, &mut w, self.stored, noise)?;
        let (leak, on_active) = coefficients.split_at(self.locked.len());
        self.note_asymmetry(on_active);
        if self.is_whole() {
            self.leaks.push(leak.to_vec());
        }
        self.diagonal.push(on_active[step]);
        self.couplings.push(coupling);
        if coupling > 0.0 {
            self.push(w, coupling)?;
        }
        Ok(coupling > 0.0)
    }

    /// Counts a product and returns its norm.
    fn counted_norm(&mut self, product: &S::Vector) -> Result<f64, Error> {
        self.products += 1;
        let norm = self.space.norm(product)?;
        finite_norm(norm, self.dim(), self.products)
    }

    /// Appends `w / norm` to the basis.
    fn push(&mut self, mut w: S::Vector, norm: f64) -> Result<(), Error> {
        self.space.scale(&mut w, 1.0 / norm)?;
        self.space.push(w)?;
        self.stored += 1;
        Ok(())
    }

    fn keep(&mut self, order: &[usize]) -> Result<(), Error> {
        self.space.keep(order)?;
        self.stored = order.len();
        Ok(())
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
    pub(crate) fn vector(&mut self, candidate: &Candidate) -> Result<S::Vector, Error> {
        let mut vector = match &candidate.source {
            Source::Locked(i) => self.space.get(*i)?,
            Source::Active(column) => self.space.combine(self.locked.len(), column)?,
        };
        let norm = self.space.norm(&vector)?;
        self.space.scale(&mut vector, 1.0 / norm)?;
        Ok(vector)
    }

    /// The Rayleigh quotient and the residual of a unit vector, from one more product.
    pub(crate) fn measure(&mut self, vector: &S::Vector) -> Result<(f64, f64), Error> {
        let product = self.space.apply(vector)?;
        self.counted_norm(&product)?;
        self.space.quotient_and_residual(vector, product)
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
    pub(crate) fn restart(&mut self, pairs: &[Candidate]) -> Result<(), Error> {
        let columns = columns(pairs);
        let couplings = columns.iter().map(|column| self.residual_coefficient(column)).collect();
        let (first, active) = (self.locked.len(), self.active());
        self.space.rotate(first, active, &columns)?;
        let order: Vec<usize> = (0..first + columns.len()).chain([first + active]).collect();
        self.keep(&order)?;
        self.kept = columns.len();
        self.diagonal = pairs.iter().map(|pair| pair.value).collect();
        self.couplings = couplings;
        self.departures.clear();
        self.leaks.clear();
        Ok(())
    }

    /// Locks the Ritz vectors of these active pairs, keeps the `k` most wanted of all locked ones, and
    /// starts a new Krylov space at a random vector orthogonal to them. Must not be called if the space
    /// [fills everything](Self::fills_everything).
    pub(crate) fn lock(&mut self, pairs: &[Candidate], k: usize, which: Which) -> Result<(), Error> {
        debug_assert!(!self.fills_everything(), "no direction is left for a new space");
        let found = pairs.iter().map(|pair| match self.quotient_and_residual(pair) {
            Some((value, residual)) => Locked { value, residual, is_true: true },
            None => Locked { value: pair.value, residual: pair.residual, is_true: false },
        });
        let found: Vec<Locked> = found.collect();
        self.space.rotate(self.locked.len(), self.active(), &columns(pairs))?;
        self.locked.extend(found);
        let rank = |i: &usize| which.rank(self.locked[*i].value);
        let mut order: Vec<usize> = (0..self.locked.len()).collect();
        order.sort_by(|a, b| rank(b).total_cmp(&rank(a)));
        order.truncate(k);
        self.locked = order.iter().map(|i| self.locked[*i]).collect();
        self.keep(&order)?;

        self.kept = 0;
        self.diagonal.clear();
        self.couplings.clear();
        self.departures.clear();
        self.leaks.clear();
        self.push_random()
    }

    fn push_random(&mut self) -> Result<(), Error> {
        let noise = rounding(1.0, self.dim());
        loop {
            let mut w = self.space.random_unit()?;
            let norm = orthogonalize(self.space, &mut w, self.stored, noise)?.1;
            if norm > 0.0 {
                return self.push(w, norm);
            }
        }
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

/// Makes `w` orthogonal to the basis, of `stored` vectors, by classical Gram-Schmidt. Each pass reads the
/// basis once: it subtracts the components found by the previous pass and computes the remaining ones.
/// Returns the coefficients of `w` on the basis and the norm of the remainder, or zero if that is at most
/// `noise`.
fn orthogonalize<S: VectorSpace>(
    space: &mut S,
    w: &mut S::Vector,
    stored: usize,
    noise: f64,
) -> Result<(Vec<f64>, f64), Error> {
    let mut coefficients = vec![0.0; stored];
    let mut before = space.project(w, None)?;
    for pass in 1..=MAX_PASSES {
        let after = space.project(w, Some(&before.coefficients))?;
        vectors::add_scaled(&mut coefficients, 1.0, &before.coefficients);
        if after.norm <= noise {
            break;
        }
        if pass >= MIN_PASSES && after.norm > 0.5 * before.norm {
            return Ok((coefficients, after.norm));
        }
        before = after;
    }
    Ok((coefficients, 0.0))
}
