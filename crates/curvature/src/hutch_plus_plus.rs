//! Hutch++ (Meyer, Musco, Musco and Woodruff 2021, *Hutch++: optimal stochastic trace estimation*, SOSA, arXiv 2010.09649,
//! algorithm 1): the trace on a subspace near the leading eigenvectors, exactly, plus Hutchinson's estimate of the rest.
//!
//! With `Q` an orthonormal basis of `A S`, for random directions `S`, the estimate is `tr QᵀAQ` plus the mean over probes `v` of random signs of
//! `vᵀ(I - QQᵀ) A (I - QQᵀ)v`. It is unbiased, and given `Q` the probes are independent, so that their spread gives the standard
//! error.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use crate::basis::Basis;
use crate::error::{ApplyError, Error};
use crate::hutchinson::HutchinsonParams;
use crate::operator::{Products, SymmetricOperator};
use crate::params::rounding;
use crate::probes::{Probes, ProbesParams};
use crate::sample::HutchinsonEstimate;
use crate::vectors::{self, Entry};

/// Estimates the trace of `op` by Hutch++ with `sketch` random vectors in `S`, or as many as `op` has rows if these are fewer. They
/// take two products each, and then each probe takes one, as many as the tolerance needs. The paper takes a third of all products for
/// `S`, another for `A Q` and a third for the probes. `max_probes` is the largest number of products, and the estimate's
/// [`probes`](HutchinsonEstimate::probes) the number taken.
///
/// It needs fewer products than [`trace()`](crate::trace()) if few eigenvalues make up most of `‖A‖_F`, and up to three times as many
/// if all have about the same magnitude. If `S` has at least as many vectors as `op` has nonzero eigenvalues, the result is exact
/// up to rounding and the standard error 0. If a few large eigenvalues remain outside the basis, the errors of the probes are not
/// normal: an interval from 8 of them for 95 % held the trace in 91 % of our simulations, and one from 30 or more in 93 to 97 %.
///
/// Takes `8 dim sketch` bytes, half if the operator [is single](SymmetricOperator::is_single), and `16 dim block`.
///
/// # Errors
/// As [`trace()`](crate::trace()), and [`Error::TooFewProducts`] if `sketch` leaves less than 2 products for probes.
pub fn hutch_plus_plus(
    op: &mut dyn SymmetricOperator,
    sketch: usize,
    params: &HutchinsonParams,
    progress: &mut dyn FnMut(&HutchinsonEstimate),
) -> Result<HutchinsonEstimate, Error> {
    params.check(op)?;
    let sketch = sketch.min(op.dim());
    let needed = 2 * sketch + 2;
    if params.max_probes < needed {
        return Err(Error::TooFewProducts { max_products: params.max_probes, needed });
    }
    if op.is_single() {
        estimate::<f32>(op, sketch, params, progress)
    } else {
        estimate::<f64>(op, sketch, params, progress)
    }
}

fn estimate<T: Entry>(
    op: &mut dyn SymmetricOperator,
    sketch: usize,
    params: &HutchinsonParams,
    progress: &mut dyn FnMut(&HutchinsonEstimate),
) -> Result<HutchinsonEstimate, Error> {
    let mut operator = Products::new(op);
    let (basis, is_whole) = range::<T>(&mut operator, sketch, params)?;
    let on_basis = trace_on(&basis, &mut operator, params.block)?;
    let spent = operator.count();
    if is_whole {
        let exact =
            HutchinsonEstimate { value: on_basis, standard_error: 0.0, probes: spent, converged: true };
        progress(&exact);
        return Ok(exact);
    }
    let of_probes = ProbesParams { seed: params.seed, block: params.block, ..ProbesParams::default() };
    let mut probes = Probes::new(op.dim(), of_probes)?;
    let with_sketch = |e: &HutchinsonEstimate| HutchinsonEstimate { probes: spent + e.probes, ..*e };
    let found = probes.estimate(
        &mut Deflated { operator: op, basis: &basis, buffers: Vec::new() },
        |probes, i| on_basis + probes.quadratic[i],
        (params.rtol, params.max_probes - spent),
        &mut |e| progress(&with_sketch(e)),
    )?;
    Ok(with_sketch(&found))
}

/// A basis of the products with `sketch` random vectors, and whether nothing of `A` is left outside it.
fn range<T: Entry>(
    operator: &mut Products,
    sketch: usize,
    params: &HutchinsonParams,
) -> Result<(Basis<T>, bool), Error> {
    let (dim, mut basis) = (operator.dim(), Basis::new());
    let mut rng = ChaCha8Rng::seed_from_u64(params.seed);
    // Stream 0 is that of the probes.
    rng.set_stream(1);
    while basis.len() < sketch {
        // Random signs can depend linearly on one another, which would look as if nothing of `A` were left.
        let count = params.block.min(sketch - basis.len());
        let vectors: Vec<Vec<f64>> = (0..count).map(|_| vectors::random_unit(dim, &mut rng)).collect();
        let inputs: Vec<&[f64]> = vectors.iter().map(Vec::as_slice).collect();
        for product in operator.products(&inputs)? {
            let smallest = rounding(vectors::norm(&product), dim);
            if basis.push(product, smallest).is_none() {
                return Ok((basis, true));
            }
        }
    }
    let is_whole = basis.len() == dim;
    Ok((basis, is_whole))
}

/// `tr QᵀAQ`.
fn trace_on<T: Entry>(basis: &Basis<T>, operator: &mut Products, block: usize) -> Result<f64, Error> {
    let mut sum = 0.0;
    for vectors in basis.vectors.chunks(block) {
        let wide: Vec<_> = vectors.iter().map(|v| T::widen(v)).collect();
        let inputs: Vec<&[f64]> = wide.iter().map(AsRef::as_ref).collect();
        for (v, product) in inputs.iter().zip(operator.products(&inputs)?) {
            sum += vectors::dot(v, &product);
        }
    }
    Ok(sum)
}

/// `(I - QQᵀ) A (I - QQᵀ)`.
struct Deflated<'a, T> {
    operator: &'a mut dyn SymmetricOperator,
    basis: &'a Basis<T>,
    buffers: Vec<Vec<f64>>,
}

impl<T: Entry> SymmetricOperator for Deflated<'_, T> {
    fn dim(&self) -> usize {
        self.operator.dim()
    }

    fn apply(&mut self, v: &[f64], out: &mut [f64]) -> Result<(), ApplyError> {
        self.apply_block(&[v], &mut [out])
    }

    fn apply_block(&mut self, vs: &[&[f64]], outs: &mut [&mut [f64]]) -> Result<(), ApplyError> {
        self.buffers.resize_with(vs.len().max(self.buffers.len()), Vec::new);
        for (buffer, v) in self.buffers.iter_mut().zip(vs) {
            buffer.clear();
            buffer.extend_from_slice(v);
            self.basis.deflate(buffer);
        }
        let inputs: Vec<&[f64]> = self.buffers.iter().take(vs.len()).map(Vec::as_slice).collect();
        self.operator.apply_block(&inputs, outs)?;
        outs.iter_mut().for_each(|out| self.basis.deflate(out));
        Ok(())
    }
}
