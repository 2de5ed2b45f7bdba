//! Hutchinson's estimators of the trace and the Frobenius norm (1990, *A stochastic estimator of the trace of the influence matrix
//! for Laplacian smoothing splines*, Commun. Stat. Simul. Comput. 19(2)): the mean of `vᵀ A v` over random
//! signs `v`.
//!
//! Each `vᵀ A v` has mean `tr A` and variance `2 (‖A‖_F² - Σ a_ii²)`, the smallest of all distributions with
//! independent entries of unit variance. The spread of the probes gives the standard error of their mean.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use crate::error::Error;
use crate::operator::{Products, SymmetricOperator};
use crate::params::check_tolerance;
use crate::vectors;

/// The fewest probes whose standard error is trusted: fewer can agree by chance.
const FEWEST_PROBES: usize = 8;

/// The parameters of [`trace()`] and [`squared_frobenius_norm()`].
#[derive(Debug, Clone, Copy)]
pub struct HutchinsonParams {
    /// Stop when the standard error is at most this fraction of the estimate's magnitude, with 95 %
    /// confidence and after at least 8 probes. The spread of a few probes can be small by chance.
    pub rtol: f64,
    /// The largest number of probes, at least 2.
    pub max_probes: usize,
    /// The number of products requested at once, at least 1. It does not change the result, but an operator
    /// can be faster with more. Each takes `16 dim` bytes, plus what the operator needs.
    pub block: usize,
    /// The seed of the probes. The same seed gives the same bits.
    pub seed: u64,
}

/// An estimate of a mean over probes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HutchinsonEstimate {
    /// The mean over the probes.
    pub value: f64,
    /// The standard error of the mean; infinite after one probe.
    pub standard_error: f64,
    /// The number of probes.
    pub probes: usize,
    /// Whether the standard error meets the tolerance, with 95 % confidence.
    pub converged: bool,
}

/// Estimates the trace of `op`. Calls `progress` with the estimate after each block.
///
/// # Errors
/// [`Error::NoDimension`], [`Error::Tolerance`] or [`Error::Probes`] for invalid parameters;
/// [`Error::Operator`] or [`Error::NonFinite`] if a product fails or is not finite. Reaching `max_probes` is
/// not an error.
pub fn trace(
    op: &mut dyn SymmetricOperator,
    params: &HutchinsonParams,
    progress: &mut dyn FnMut(&HutchinsonEstimate),
) -> Result<HutchinsonEstimate, Error> {
    mean_over_probes(op, params, vectors::dot, progress)
}

/// Estimates the squared Frobenius norm of `op`, the sum of the squares of its eigenvalues, as [`trace()`]
/// does the trace: `‖A v‖² = vᵀ A² v`.
///
/// # Errors
/// As [`trace()`].
pub fn squared_frobenius_norm(
    op: &mut dyn SymmetricOperator,
    params: &HutchinsonParams,
    progress: &mut dyn FnMut(&HutchinsonEstimate),
) -> Result<HutchinsonEstimate, Error> {
    mean_over_probes(op, params, |_, product| vectors::dot(product, product), progress)
}

/// The mean of `of_probe(v, A v)` over probes `v`.
fn mean_over_probes(
    op: &mut dyn SymmetricOperator,
    params: &HutchinsonParams,
    of_probe: impl Fn(&[f64], &[f64]) -> f64,
    progress: &mut dyn FnMut(&HutchinsonEstimate),
) -> Result<HutchinsonEstimate, Error> {
    let dim = op.dim();
    if dim == 0 {
        return Err(Error::NoDimension);
    }
    check_tolerance("rtol", params.rtol)?;
    if params.max_probes < 2 || params.block == 0 {
        return Err(Error::Probes { max_probes: params.max_probes, block: params.block });
    }
    let mut operator = Products::new(op);
    let mut rng = ChaCha8Rng::seed_from_u64(params.seed);
    let block = params.block.min(params.max_probes);
    let (mut probes, mut products) = (vec![vec![0.0; dim]; block], vec![vec![0.0; dim]; block]);
    let mut sample = Sample::default();
    loop {
        let size = block.min(params.max_probes - sample.count);
        probes[..size].iter_mut().for_each(|probe| fill_with_signs(probe, &mut rng));
        let inputs: Vec<&[f64]> = probes[..size].iter().map(Vec::as_slice).collect();
        let mut outputs: Vec<&mut [f64]> = products[..size].iter_mut().map(Vec::as_mut_slice).collect();
        operator.apply_block(&inputs, &mut outputs)?;
        // Check after each probe, so that the result does not depend on the size of the block.
        let mut estimates = probes.iter().zip(&products).take(size).map(|(probe, product)| {
            sample.add(of_probe(probe, product));
            sample.estimate(params.rtol)
        });
        let converged = estimates.find(|estimate| estimate.converged);
        let estimate = converged.unwrap_or_else(|| sample.estimate(params.rtol));
        progress(&estimate);
        if estimate.converged || sample.count == params.max_probes {
            return Ok(estimate);
        }
    }
}

fn fill_with_signs(probe: &mut [f64], rng: &mut ChaCha8Rng) {
    for part in probe.chunks_mut(64) {
        let bits = rng.next_u64();
        for (i, x) in part.iter_mut().enumerate() {
            *x = if bits >> i & 1 == 1 { 1.0 } else { -1.0 };
        }
    }
}

/// A running mean and spread (Welford 1962, *Note on a method for calculating corrected sums of squares
/// and products*, Technometrics 4(3)).
#[derive(Default)]
struct Sample {
    count: usize,
    mean: f64,
    /// The sum of squared deviations from the mean.
    squares: f64,
}

impl Sample {
    fn add(&mut self, x: f64) {
        self.count += 1;
        let distance = x - self.mean;
        self.mean += distance / self.count as f64;
        self.squares += distance * (x - self.mean);
    }

    fn estimate(&self, rtol: f64) -> HutchinsonEstimate {
        let count = self.count as f64;
        let standard_error =
            if self.count < 2 { f64::INFINITY } else { (self.squares / (count - 1.0) / count).sqrt() };
        let converged = self.count >= FEWEST_PROBES
            && standard_error * spread_factor(count - 1.0) <= rtol * self.mean.abs();
        HutchinsonEstimate { value: self.mean, standard_error, probes: self.count, converged }
    }
}

/// The factor by which to multiply a standard deviation with `degrees` degrees of freedom so that it is at
/// least the true one with 95 % confidence: `sqrt(degrees / q)`, with the 5 % quantile `q` of chi-squared
/// (approximated by Wilson and Hilferty 1931).
fn spread_factor(degrees: f64) -> f64 {
    let variance = 2.0 / (9.0 * degrees);
    (1.0 - variance - 1.645 * variance.sqrt()).powf(-1.5)
}
