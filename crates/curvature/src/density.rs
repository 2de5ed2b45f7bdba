//! The spectral density by stochastic Lanczos quadrature (Golub and Welsch 1969; Ubaru, Chen and Saad 2017, *Fast estimation of
//! tr(f(A)) via stochastic Lanczos quadrature*, SIAM J. Matrix Anal. Appl. 38(4)).
//!
//! For a random unit vector `v`, the mean of `vᵀ f(A) v` is `tr f(A) / n`: the mean of `f` over the eigenvalues. `m` Lanczos steps
//! from `v` give the Gauss quadrature of `vᵀ f(A) v`: nodes are the Ritz values, weights the squared first entries of the
//! eigenvectors of the tridiagonal matrix. It is exact for polynomials of degree up to `2 m - 1`. The spread over several `v` gives
//! standard errors.

use crate::error::Error;
use crate::host_space::HostSpace;
use crate::krylov::{Candidate, KrylovSpace};
use crate::operator::SymmetricOperator;
use crate::space::VectorSpace;
use crate::vectors::Entry;
use crate::which::Which;

/// The parameters of [`density()`].
#[derive(Debug, Clone, Copy)]
pub struct DensityParams {
    /// The number of random vectors, at least 2.
    pub probes: usize,
    /// Lanczos steps from each, at least 1: the number of nodes, each of one product. Details of the density narrower than the
    /// spectrum over this number are not resolved in its interior.
    pub steps: usize,
    /// The seed of the probes. The same seed gives the same bits.
    pub seed: u64,
}

impl Default for DensityParams {
    fn default() -> Self {
        Self { probes: 10, steps: 80, seed: 0 }
    }
}

/// A node of a quadrature.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Node {
    /// A Ritz value.
    pub value: f64,
    /// Its share of the spectrum.
    pub weight: f64,
}

/// An average over the eigenvalues, estimated by probes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Average {
    /// The mean over the probes.
    pub value: f64,
    /// Its standard error. That of the share of a few eigenvalues, which differs widely between probes, can be too small by chance
    /// if there are few.
    pub standard_error: f64,
}

impl Average {
    /// The mean of `values`, one per probe.
    pub(crate) fn of(values: &[f64]) -> Self {
        let count = values.len() as f64;
        let mean = values.iter().sum::<f64>() / count;
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        Self { value: mean, standard_error: (squares / (count - 1.0) / count).sqrt() }
    }

    pub(crate) fn times(self, factor: f64) -> Self {
        Self { value: factor * self.value, standard_error: factor * self.standard_error }
    }
}

/// The density of the eigenvalues.
#[derive(Debug, Clone, PartialEq)]
pub struct Density {
    /// The quadrature of each probe, its nodes in ascending order. Weights sum to 1.
    pub probes: Vec<Vec<Node>>,
    /// The number of products.
    pub products: usize,
    /// The dimension of the operator.
    pub dim: usize,
}

impl Density {
    /// The average of `f` over the eigenvalues, exact in each probe for polynomials of degree up to twice the steps minus 1.
    pub fn average(&self, f: impl Fn(f64) -> f64) -> Average {
        Average::of(&self.of_probes(f))
    }

    /// The average of `f` by each probe.
    pub(crate) fn of_probes(&self, f: impl Fn(f64) -> f64) -> Vec<f64> {
        let of_probe = |nodes: &Vec<Node>| nodes.iter().map(|node| node.weight * f(node.value)).sum();
        self.probes.iter().map(of_probe).collect()
    }

    /// The trace: the dimension times the average eigenvalue.
    pub fn trace(&self) -> Average {
        self.average(|x| x).times(self.dim as f64)
    }

    /// The density at each of `points`, with each eigenvalue widened to a Gaussian of standard deviation `sigma`.
    pub fn smoothed(&self, points: &[f64], sigma: f64) -> Vec<Average> {
        let norm = sigma * (2.0 * std::f64::consts::PI).sqrt();
        let at = |point: &f64| self.average(|x| (-0.5 * ((x - point) / sigma).powi(2)).exp() / norm);
        points.iter().map(at).collect()
    }
}

/// Estimates the density of the eigenvalues of `op`. Calls `progress` with the numbers of finished probes and products.
///
/// Takes `probes · steps` products and `steps` vectors, in `f32` if the operator [is single](SymmetricOperator::is_single).
///
/// # Errors
/// [`Error::NoDimension`] or [`Error::Quadrature`] for invalid parameters; [`Error::Operator`] or [`Error::NonFinite`] if a product
/// fails or is not finite.
pub fn density(
    op: &mut dyn SymmetricOperator,
    params: &DensityParams,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Density, Error> {
    if op.dim() == 0 {
        return Err(Error::NoDimension);
    }
    if params.probes < 2 || params.steps == 0 {
        return Err(Error::Quadrature { probes: params.probes, steps: params.steps });
    }
    if op.is_single() {
        quadratures(HostSpace::<f32>::new(op, params.seed), params, progress)
    } else {
        quadratures(HostSpace::<f64>::new(op, params.seed), params, progress)
    }
}

fn quadratures<T: Entry>(
    mut space: HostSpace<'_, T>,
    params: &DensityParams,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Density, Error> {
    let mut density = Density { probes: Vec::new(), products: 0, dim: space.dim() };
    for probe in 1..=params.probes {
        space.keep(&[])?;
        let start = space.random_unit()?;
        let mut krylov = KrylovSpace::new(&mut space, start)?;
        // An invariant space has all eigenvalues that its start sees, with their true weights.
        while krylov.active() < params.steps && krylov.extend()? {}
        density.probes.push(krylov.quadrature()?);
        density.products += krylov.products();
        progress(probe, density.products);
    }
    Ok(density)
}

impl<S: VectorSpace> KrylovSpace<'_, S> {
    /// The Gauss quadrature of the start vector: the Ritz values in ascending order.
    fn quadrature(&self) -> Result<Vec<Node>, Error> {
        let pairs = self.ritz_pairs(Which::SmallestAlgebraic)?;
        let node = |pair: &Candidate| {
            pair.first_entry().map(|entry| Node { value: pair.value, weight: entry * entry })
        };
        Ok(pairs.iter().filter_map(node).collect())
    }
}
