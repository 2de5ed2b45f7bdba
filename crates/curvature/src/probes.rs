//! Estimates that share the products of one sequence of random probes.
//!
//! A product `A v` with random signs `v` serves several estimates at once: `vᵀ A v` that of the trace, its part
//! `Σ_{j ∈ B} v_j (A v)_j` that of the trace of the diagonal block `B`, `‖A v‖²` that of the squared Frobenius norm
//! (Hutchinson 1990), and `v ⊙ A v` that of the diagonal (Bekas, Kokiopoulou and Saad 2007, *An estimator for the diagonal of a
//! matrix*, Appl. Numer. Math. 57; their quotient by `v ⊙ v` is 1 for signs).

use std::ops::Range;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use rayon::prelude::*;

use crate::error::Error;
use crate::operator::{Products, SymmetricOperator};
use crate::params::check_tolerance;
use crate::ranges;
use crate::sample::{HutchinsonEstimate, Sample};
use crate::vectors;

/// Entries per task of the sums of the diagonal.
const ENTRIES: usize = 1 << 16;

/// The parameters of [`Probes`].
#[derive(Debug, Clone)]
pub struct ProbesParams {
    /// The seed of the probes. The same seed gives the same bits, in every estimate.
    pub seed: u64,
    /// The number of products requested at once, at least 1. It does not change the results, but an operator
    /// can be faster with more. Each takes `16 dim` bytes, plus what the operator needs.
    pub block: usize,
    /// The diagonal blocks of which [`block_traces`](Probes::block_traces) estimates the traces: each a list of
    /// ascending, disjoint ranges of indices. Takes 8 bytes per block and probe.
    pub blocks: Vec<Vec<Range<usize>>>,
    /// The number of probes of [`diagonal`](Probes::diagonal), at least 2; 0 if it is not wanted. It takes `16 dim` bytes.
    pub diagonal_probes: usize,
}

impl Default for ProbesParams {
    fn default() -> Self {
        Self { seed: 0, block: 1, blocks: Vec::new(), diagonal_probes: 0 }
    }
}

/// An estimate of the diagonal.
#[derive(Debug, Clone, PartialEq)]
pub struct DiagonalEstimate {
    /// The entries `[dim]`: unbiased means over the probes.
    pub values: Vec<f64>,
    /// Their standard errors `[dim]`. That of entry `i` estimates `sqrt(Σ_{j ≠ i} a_ij² / probes)`.
    pub standard_errors: Vec<f64>,
    /// The number of probes.
    pub probes: usize,
}

/// Random signs, and what their products with one operator say.
///
/// Every estimate looks at the same probes in the same order, and takes only those products that it needs beyond the ones that
/// earlier estimates took. So it returns the same bits whatever was asked before, those of [`trace()`](crate::trace()) and
/// [`squared_frobenius_norm()`](crate::squared_frobenius_norm()) with the same seed and limits. The caller passes the same operator
/// each time.
///
/// ```
/// use sharpness_curvature::{Probes, ProbesParams, spectra::Diagonal};
///
/// let mut operator = Diagonal((0..200).map(f64::from).collect());
/// let params = ProbesParams { block: 4, blocks: vec![vec![0..100], vec![100..200]], ..ProbesParams::default() };
/// let mut probes = Probes::new(200, params)?;
/// let trace = probes.trace(&mut operator, 0.01, 100, &mut |_| ())?;
/// let blocks = probes.block_traces(&mut operator, 0.01, 100, &mut |_| ())?;
/// assert_eq!((trace.value, blocks[0].value, blocks[1].value), (19900.0, 4950.0, 14950.0));
/// assert_eq!(probes.products(), 8, "the second estimate needs no more");
/// # Ok::<(), sharpness_curvature::Error>(())
/// ```
#[derive(Debug)]
pub struct Probes {
    dim: usize,
    params: ProbesParams,
    rng: ChaCha8Rng,
    /// The probes and products of the last request, kept to save their allocation.
    signs: Vec<Vec<f64>>,
    images: Vec<Vec<f64>>,
    products: usize,
    /// `vᵀ A v` of each probe, `‖A v‖²`, and the part of each block.
    pub(crate) quadratic: Vec<f64>,
    squares: Vec<f64>,
    parts: Vec<Vec<f64>>,
    diagonal: DiagonalSums,
}

/// The running means of `v ⊙ A v` and the sums of squared deviations from them; see [`Sample`].
#[derive(Debug, Default)]
struct DiagonalSums {
    count: usize,
    means: Vec<f64>,
    squares: Vec<f64>,
}

impl Probes {
    /// Probes of an operator of dimension `dim`. Takes no product.
    ///
    /// # Errors
    /// [`Error::NoDimension`] if `dim` or a block is empty, [`Error::Range`] if the ranges of a block are not ascending, disjoint and
    /// below `dim`, and [`Error::Probes`] for blocks of 0 products.
    pub fn new(dim: usize, params: ProbesParams) -> Result<Self, Error> {
        if dim == 0 {
            return Err(Error::NoDimension);
        }
        params.blocks.iter().try_for_each(|block| ranges::total(block, dim).map(drop))?;
        if params.block == 0 || params.diagonal_probes == 1 {
            return Err(Error::Probes { max_probes: params.diagonal_probes, block: params.block });
        }
        let diagonal_dim = if params.diagonal_probes > 0 { dim } else { 0 };
        let diagonal =
            DiagonalSums { count: 0, means: vec![0.0; diagonal_dim], squares: vec![0.0; diagonal_dim] };
        Ok(Self {
            dim,
            rng: ChaCha8Rng::seed_from_u64(params.seed),
            signs: Vec::new(),
            images: Vec::new(),
            products: 0,
            quadratic: Vec::new(),
            squares: Vec::new(),
            parts: vec![Vec::new(); params.blocks.len()],
            diagonal,
            params,
        })
    }

    /// The number of products taken.
    pub fn products(&self) -> usize {
        self.products
    }

    /// Estimates the trace: see [`trace()`](crate::trace()), with [its limits](crate::HutchinsonParams). Calls `progress` with the
    /// estimate after each request of products, or once if there is none.
    ///
    /// # Errors
    /// [`Error::Tolerance`] or [`Error::Probes`] for invalid parameters; [`Error::Dimension`] for an operator of another dimension;
    /// [`Error::Operator`] or [`Error::NonFinite`] if a product fails or is not finite. Reaching `max_probes` is not an error.
    pub fn trace(
        &mut self,
        op: &mut dyn SymmetricOperator,
        rtol: f64,
        max_probes: usize,
        progress: &mut dyn FnMut(&HutchinsonEstimate),
    ) -> Result<HutchinsonEstimate, Error> {
        self.estimate(op, |probes, i| probes.quadratic[i], (rtol, max_probes), progress)
    }

    /// Estimates the squared Frobenius norm: see [`squared_frobenius_norm()`](crate::squared_frobenius_norm()).
    ///
    /// # Errors
    /// As [`Self::trace`].
    pub fn squared_frobenius_norm(
        &mut self,
        op: &mut dyn SymmetricOperator,
        rtol: f64,
        max_probes: usize,
        progress: &mut dyn FnMut(&HutchinsonEstimate),
    ) -> Result<HutchinsonEstimate, Error> {
        self.estimate(op, |probes, i| probes.squares[i], (rtol, max_probes), progress)
    }

    /// Estimates the trace of each of [the blocks](ProbesParams::blocks), in their order, all from as many probes as the least
    /// precise of them needs. Calls `progress` with that one. Small traces of large blocks may not reach the tolerance; each
    /// estimate says whether it did.
    ///
    /// Empty without blocks.
    ///
    /// # Errors
    /// As [`Self::trace`].
    pub fn block_traces(
        &mut self,
        op: &mut dyn SymmetricOperator,
        rtol: f64,
        max_probes: usize,
        progress: &mut dyn FnMut(&HutchinsonEstimate),
    ) -> Result<Vec<HutchinsonEstimate>, Error> {
        self.check(op, rtol, max_probes)?;
        let mut samples = vec![Sample::default(); self.parts.len()];
        loop {
            let seen = samples.first().map_or(max_probes, |sample| sample.count);
            for probe in seen..self.products.min(max_probes) {
                samples.iter_mut().zip(&self.parts).for_each(|(sample, part)| sample.add(part[probe]));
                if samples.iter().all(|sample| sample.estimate(rtol).converged) {
                    break;
                }
            }
            let estimates: Vec<_> = samples.iter().map(|sample| sample.estimate(rtol)).collect();
            let relative = |estimate: &&HutchinsonEstimate| estimate.standard_error / estimate.value.abs();
            let worst = estimates.iter().max_by(|a, b| relative(a).total_cmp(&relative(b)));
            let Some(worst) = worst else { return Ok(estimates) };
            if worst.probes > 0 {
                progress(worst);
            }
            if worst.probes == max_probes || estimates.iter().all(|estimate| estimate.converged) {
                return Ok(estimates);
            }
            self.take(op, max_probes)?;
        }
    }

    /// Estimates the diagonal from the first [`diagonal_probes`](ProbesParams::diagonal_probes) probes. Calls `progress` with the
    /// number of probes taken.
    ///
    /// # Errors
    /// [`Error::Probes`] without these probes, and as [`Self::trace`].
    pub fn diagonal(
        &mut self,
        op: &mut dyn SymmetricOperator,
        progress: &mut dyn FnMut(usize),
    ) -> Result<DiagonalEstimate, Error> {
        let probes = self.params.diagonal_probes;
        self.check(op, 0.0, probes)?;
        while self.diagonal.count < probes {
            self.take(op, probes)?;
            progress(self.diagonal.count);
        }
        let count = probes as f64;
        let error = |squares: &f64| (squares / (count - 1.0) / count).sqrt();
        let standard_errors = self.diagonal.squares.iter().map(error).collect();
        Ok(DiagonalEstimate { values: self.diagonal.means.clone(), standard_errors, probes })
    }

    /// The mean of `of(self, i)` over the probes `i`, as many as it needs.
    pub(crate) fn estimate(
        &mut self,
        op: &mut dyn SymmetricOperator,
        of: impl Fn(&Self, usize) -> f64,
        (rtol, max_probes): (f64, usize),
        progress: &mut dyn FnMut(&HutchinsonEstimate),
    ) -> Result<HutchinsonEstimate, Error> {
        self.check(op, rtol, max_probes)?;
        let mut sample = Sample::default();
        loop {
            // Check after each probe, so that the result does not depend on how many were taken at once, or before.
            let mut estimates = (sample.count..self.products.min(max_probes)).map(|probe| {
                sample.add(of(self, probe));
                sample.estimate(rtol)
            });
            let converged = estimates.find(|estimate| estimate.converged);
            let estimate = converged.unwrap_or_else(|| sample.estimate(rtol));
            if estimate.probes > 0 {
                progress(&estimate);
            }
            if estimate.converged || estimate.probes == max_probes {
                return Ok(estimate);
            }
            self.take(op, max_probes)?;
        }
    }

    fn check(&self, op: &dyn SymmetricOperator, rtol: f64, max_probes: usize) -> Result<(), Error> {
        check_tolerance("rtol", rtol)?;
        if max_probes < 2 {
            return Err(Error::Probes { max_probes, block: self.params.block });
        }
        if op.dim() != self.dim {
            return Err(Error::Dimension { dim: op.dim(), expected: self.dim });
        }
        Ok(())
    }

    /// Takes the next block of products, at most `max_probes` in all. A failure changes nothing.
    fn take(&mut self, op: &mut dyn SymmetricOperator, max_probes: usize) -> Result<(), Error> {
        let size = self.params.block.min(max_probes - self.products);
        let new = || vec![0.0; self.dim];
        self.signs.resize_with(size.max(self.signs.len()), new);
        self.images.resize_with(size.max(self.images.len()), new);
        let mut rng = self.rng.clone();
        self.signs[..size].iter_mut().for_each(|signs| fill_with_signs(signs, &mut rng));
        let inputs: Vec<&[f64]> = self.signs[..size].iter().map(Vec::as_slice).collect();
        let mut outputs: Vec<&mut [f64]> = self.images[..size].iter_mut().map(Vec::as_mut_slice).collect();
        Products::after(op, self.products).apply_block(&inputs, &mut outputs)?;
        (self.rng, self.products) = (rng, self.products + size);
        for (v, image) in self.signs.iter().zip(&self.images).take(size) {
            self.quadratic.push(vectors::dot(v, image));
            self.squares.push(vectors::dot(image, image));
            for (part, block) in self.parts.iter_mut().zip(&self.params.blocks) {
                let dot = |range: &Range<usize>| vectors::dot(&v[range.clone()], &image[range.clone()]);
                part.push(block.iter().map(dot).sum());
            }
            if self.diagonal.count < self.params.diagonal_probes {
                self.diagonal.add(v, image);
            }
        }
        Ok(())
    }
}

impl DiagonalSums {
    fn add(&mut self, v: &[f64], image: &[f64]) {
        self.count += 1;
        let count = self.count as f64;
        let entries = self.means.par_chunks_mut(ENTRIES).zip(self.squares.par_chunks_mut(ENTRIES));
        entries.zip(v.par_chunks(ENTRIES)).zip(image.par_chunks(ENTRIES)).for_each(
            |(((means, squares), v), image)| {
                for (((mean, square), v), image) in means.iter_mut().zip(squares).zip(v).zip(image) {
                    let x = v * image;
                    let distance = x - *mean;
                    *mean += distance / count;
                    *square += distance * (x - *mean);
                }
            },
        );
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
