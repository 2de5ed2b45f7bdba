//! Bounds on the whole spectrum from one Krylov space with a random start.
//!
//! A residual shows that *some* eigenvalue is near, not that none is larger. A random start can show that:
//! it is unlikely to be almost orthogonal to the eigenvector of `λ_max`, and unless it is, an eigenvalue
//! that the Krylov space has not found cannot lie far outside.
//!
//! This is the argument of Kuczyński and Woźniakowski (1992), *Estimating the largest eigenvalue by the
//! power and Lanczos algorithms with a random start*, SIAM J. Matrix Anal. Appl. 13(4), who bound the error
//! after `k` steps for the worst positive definite matrix:
//! `P(θ_1 < (1 - ε) λ_1) <= 1.648 sqrt(n) exp(-(2 k - 1) sqrt(ε))`. Here the Lanczos polynomial of the
//! actual Krylov space replaces the Chebyshev polynomial of the worst case (van Dorsselaer, Hochstenbach and
//! van der Vorst 2000, *Computing probabilistic bounds for extreme eigenvalues of symmetric matrices with
//! the Lanczos method*, SIAM J. Matrix Anal. Appl. 22(3)). The event, and so the failure probability, is the
//! same; an indefinite operator needs no shift; and in every comparison of the tests the bound is narrower
//! than the worst-case rate. `docs/derivations/lanczos.md` derives both from one event.

use crate::which::Which;

/// An interval that contains every eigenvalue, unless the random start was unlucky.
///
/// Together with an [`Eigenpair`](crate::Eigenpair): `λ_max` lies in `[value, upper]` and `λ_min` in
/// `[lower, value]`, with probability at least `1 - failure_probability` over the seed.
///
/// The bounds refer to the operator *as computed*: they allow for the rounding of the recurrence in `f64`
/// and for the observed asymmetry, but an operator in `f32` may differ from the exact one by more.
///
/// Power iteration gives no bounds, and neither does Lanczos in dimensions 1 and 2 if it stops before it has
/// seen the whole space.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SpectrumBounds {
    /// No eigenvalue is smaller.
    pub lower: f64,
    /// No eigenvalue is larger.
    pub upper: f64,
    /// The probability, over the random start, that either bound is wrong. Zero if the solver has seen the
    /// whole space.
    pub failure_probability: f64,
    /// The number of Lanczos steps that the bounds are computed from: those before the first restart.
    pub steps: usize,
}

impl SpectrumBounds {
    /// The largest rank in the spectrum.
    pub(crate) fn reach(&self, which: Which) -> f64 {
        which.rank(self.lower).max(which.rank(self.upper))
    }
}

/// A Krylov space grown from one start vector without a restart: its Ritz values in ascending order, and the
/// coefficients of its recurrence.
pub(crate) struct KrylovRecord<'a> {
    pub(crate) ritz_values: &'a [f64],
    /// `β_1, ..., β_k`: the norm of what each step adds to the basis, including the last.
    pub(crate) couplings: &'a [f64],
    /// How far rounding and asymmetry may have moved an eigenvalue, and the smallest `β` that is not noise.
    pub(crate) allowance: f64,
    pub(crate) dim: usize,
}

/// The bounds that hold if the start has `|γ_1|, |γ_n| >= overlap` (see [`overlap`]).
pub(crate) fn bounds(record: &KrylovRecord, overlap: Option<f64>, failure: f64) -> Option<SpectrumBounds> {
    let steps = record.ritz_values.len();
    let (smallest, largest) = (*record.ritz_values.first()?, *record.ritz_values.last()?);
    if steps == record.dim {
        let (lower, upper) = (smallest - record.allowance, largest + record.allowance);
        return Some(SpectrumBounds { lower, upper, failure_probability: 0.0, steps });
    }
    let overlap = overlap?;
    let above = excess(record, &|theta| largest - theta, overlap);
    let below = excess(record, &|theta| theta - smallest, overlap);
    Some(SpectrumBounds {
        lower: smallest - below - record.allowance,
        upper: largest + above + record.allowance,
        failure_probability: failure,
        steps,
    })
}

/// A `τ` such that the start has a component of at least `τ` along each of two given unit vectors, except
/// with probability `failure`.
///
/// A uniform unit vector has `P(|γ| < τ) <= τ sqrt(2 (n - 1) / π)` for `n >= 3`: its density is largest at
/// 0, where it is `Γ(n/2) / (sqrt(π) Γ((n-1)/2)) <= sqrt((n - 1) / 2π)` (Gautschi). Each end gets half of
/// the failure probability. A start `u + ω r` with a given unit `u` and a uniform unit `r` has at least
/// `ω / (1 + ω)` of that component, since a symmetric unimodal variable hits the interval around 0 more
/// often than any other of the same length.
pub(crate) fn overlap(dim: usize, failure: f64, random_share: Option<f64>) -> Option<f64> {
    if dim < 3 {
        return None;
    }
    let uniform = 0.5 * failure * (std::f64::consts::PI / (2.0 * (dim as f64 - 1.0))).sqrt();
    Some(random_share.map_or(uniform, |share| uniform * share / (1.0 + share)))
}

/// The bound of the Lanczos polynomial: `|p_k(λ_1)| <= 1/τ`, where `p_k(t) = Π (t - θ_i) / Π β_i`. Returns
/// the distance from the outermost Ritz value at which `p_k` reaches `1/τ`. `gaps` is the distance of a Ritz
/// value from the outermost one.
fn excess(record: &KrylovRecord, gaps: &dyn Fn(f64) -> f64, overlap: f64) -> f64 {
    let goal =
        record.couplings.iter().map(|beta| beta.max(record.allowance).ln()).sum::<f64>() - overlap.ln();
    let log_polynomial =
        |excess: f64| record.ritz_values.iter().map(|theta| (excess + gaps(*theta)).ln()).sum::<f64>();
    // Each factor is at least `excess`, so the root is at most exp(goal / k). Return the upper end of the
    // bisection: a bound must not be rounded inwards.
    let mut high = (goal / record.ritz_values.len() as f64).exp();
    let mut low = 0.0;
    for _ in 0..100 {
        let middle = 0.5 * (low + high);
        if log_polynomial(middle) < goal { low = middle } else { high = middle }
    }
    high
}
