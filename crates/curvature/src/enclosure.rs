//! What the result of a solver shows about the true eigenvalues.

use crate::error::Error;
use crate::operator::SymmetricOperator;
use crate::params::{Eigenpair, Eigenpairs, rounding};
use crate::which::Which;

/// The ratio of the rounding of `f64` to that of `f32`.
const PRECISION_RATIO: f64 = f64::EPSILON / f32::EPSILON as f64;

/// Bounds on the eigenvalue of one rank.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Enclosure {
    /// The eigenvalue is at least this. Of the largest ones: `value` minus the norm of the residuals of those up to it, which is
    /// certain; of the smallest: the solver's probabilistic bound, or `None` if there is none.
    pub lower: Option<f64>,
    /// The probability, over the seed, that `lower` is wrong; 0 if it is certain.
    pub lower_failure_probability: Option<f64>,
    /// The eigenvalue is at most this; as `lower`, with the ends exchanged.
    pub upper: Option<f64>,
    /// The probability, over the seed, that `upper` is wrong; 0 if it is certain.
    pub upper_failure_probability: Option<f64>,
    /// `[value - residual, value + residual]`, widened by rounding: certain to hold an eigenvalue, though perhaps not the one of
    /// this rank.
    pub interval: Option<[f64; 2]>,
}

impl Eigenpairs {
    /// Replaces values and residuals by those of a more exact operator in `f64`, with one product per pair and `block` of them at
    /// once. Otherwise as [`Self::replace`].
    ///
    /// # Errors
    /// [`Error::Operator`] if a product fails.
    pub fn recompute(
        &mut self,
        exact: &mut dyn SymmetricOperator,
        which: Which,
        block: usize,
    ) -> Result<f64, Error> {
        let dim = exact.dim();
        let mut measured = Vec::with_capacity(self.pairs.len());
        for pairs in self.pairs.chunks(block.max(1)) {
            let mut products = vec![vec![0.0; dim]; pairs.len()];
            let inputs: Vec<&[f64]> = pairs.iter().map(|pair| pair.vector.as_slice()).collect();
            let mut outputs: Vec<&mut [f64]> = products.iter_mut().map(Vec::as_mut_slice).collect();
            exact.apply_block(&inputs, &mut outputs).map_err(Error::Operator)?;
            for (pair, product) in pairs.iter().zip(&mut products) {
                let value: f64 = pair.vector.iter().zip(&*product).map(|(u, p)| u * p).sum();
                product.iter_mut().zip(&pair.vector).for_each(|(p, u)| *p -= value * u);
                measured.push((value, product.iter().map(|x| x * x).sum::<f64>().sqrt()));
            }
        }
        Ok(self.replace(&measured, which, dim))
    }
}

impl<V> Eigenpairs<V> {
    /// Replaces values and residuals by those `measured` with products of a more exact operator in `f64`; widens the limits by the
    /// difference that this reveals, and sorts the pairs again. Returns what rounding may still have changed in the values.
    pub fn replace(&mut self, measured: &[(f64, f64)], which: Which, dim: usize) -> f64 {
        let mut distance = 0.0_f64;
        for (pair, (value, residual)) in self.pairs.iter_mut().zip(measured) {
            // The norm of the difference of the operators' products with u, as far as it is known without the inexact one.
            distance = distance.max((value - pair.value).abs() + residual + pair.residual);
            (pair.value, pair.residual) = (*value, *residual);
        }
        self.widen(which, distance);
        self.pairs.sort_by(|a, b| which.rank(b.value).total_cmp(&which.rank(a.value)));
        rounding(self.norm, dim).max(distance * PRECISION_RATIO)
    }

    /// Moves the limits outwards by `distance`, by which the operator may differ from the one that is meant.
    pub fn widen(&mut self, which: Which, distance: f64) {
        let outwards = if which == Which::SmallestAlgebraic { -1.0 } else { 1.0 };
        for pair in &mut self.pairs {
            pair.limit = pair.limit.map(|limit| limit + outwards * distance);
        }
    }

    /// Bounds on the eigenvalue of each pair, if rounding may have changed values by `rounding`. If that is unknown, only the
    /// probabilistic ones. None of the largest in magnitude has bounds of its own: the end of the spectrum is unknown.
    pub fn enclosures(&self, which: Which, rounding: Option<f64>) -> Vec<Enclosure> {
        let mut residuals = 0.0_f64;
        let enclosure = |(place, pair): (usize, &Eigenpair<V>)| {
            // u₁ to u_i span Rayleigh quotients that differ from the values by no more than the residuals mix in.
            residuals = residuals.hypot(pair.residual);
            let mixed = if place == 0 { 0.0 } else { residuals };
            let inner =
                |outwards: f64| rounding.map(|rounding| pair.value - outwards * mixed - outwards * rounding);
            let ends = match which {
                Which::LargestAlgebraic => [inner(1.0), pair.limit],
                Which::SmallestAlgebraic => [pair.limit, inner(-1.0)],
                Which::LargestMagnitude => [None, None],
            };
            let failure = |of_limit: bool, end: Option<f64>| {
                end.map(|_| if of_limit { self.limit_failure_probability } else { 0.0 })
            };
            Enclosure {
                lower: ends[0],
                lower_failure_probability: failure(which == Which::SmallestAlgebraic, ends[0]),
                upper: ends[1],
                upper_failure_probability: failure(which == Which::LargestAlgebraic, ends[1]),
                interval: rounding.map(|rounding| {
                    let (value, residual) = (pair.value, pair.residual);
                    [value - residual - rounding, value + residual + rounding]
                }),
            }
        };
        self.pairs.iter().enumerate().map(enclosure).collect()
    }
}
