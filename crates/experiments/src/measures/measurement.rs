//! The report of a measurement. Its field names are those of the JSON that programs read.

use serde::{Deserialize, Serialize};
use sharpness_curvature::{Eigenpair, TraceEstimate};

use super::between_iterates::BetweenIterates;
use super::double::Checked;
use super::memory::Memory;
use super::sam_bound::SamBound;
use crate::config::MeasureConfig;
use crate::data::Subset;

/// What was measured at one point of the weights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measurement {
    /// The mean loss over the measured examples, dropout off, batch norm as `batch_norm` says.
    pub loss: f64,
    /// The fraction of the measured examples whose largest output is their label's, in the same pass.
    pub accuracy: f64,
    /// The Euclidean norm of the gradient of `loss`.
    pub gradient_norm: f64,
    /// The number of measured examples.
    pub examples: usize,
    /// How they were chosen from the training set.
    pub subset: Subset,
    /// The statistics that batch norm used: `none` (the network has no batch norm), `batch` or `running`.
    pub batch_norm: String,
    /// Examples that shared batch statistics; the last chunk may be smaller. Absent unless `batch_norm` is `batch`.
    pub batch_norm_chunk: Option<usize>,
    /// The precision of the engine: `f32` or `f64`.
    pub precision: String,
    /// The number of parameters: the dimension of the Hessian.
    pub parameters: usize,
    /// The largest eigenvalue of the Hessian of `loss`, counted with its sign.
    pub lambda_max: Eigenvalue,
    /// The largest eigenvalues, the largest first, where more than one was asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub top: Vec<Eigenvalue>,
    /// The smallest (most negative) eigenvalue, where asked for.
    pub lambda_min: Option<Eigenvalue>,
    /// The trace of the Hessian, where asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<Trace>,
    /// The bound on the objective of sharpness-aware minimization, where asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sam_bound: Option<SamBound>,
    /// λ_max between the final iterate and the next one, where asked for.
    pub between_iterates: Option<BetweenIterates>,
    /// Chunks of the measured examples.
    pub chunks: usize,
    /// Chunks that stayed linearized between products; the others were recomputed in each.
    pub cached_chunks: usize,
    /// The memory that was predicted.
    #[serde(default)]
    pub memory: Memory,
    /// Seconds that the measurement took.
    pub seconds: f64,
}

impl Measurement {
    /// Whether every eigenvalue was found to the tolerances that were asked for.
    pub fn is_converged(&self) -> bool {
        let eigenvalues = [&self.lambda_max].into_iter().chain(&self.top).chain(&self.lambda_min);
        let points = self.between_iterates.iter().flat_map(|between| &between.points);
        eigenvalues.map(|one| one.converged).chain(points.map(|point| point.converged)).all(|is| is)
    }

    /// Whether the accuracy is near that of guessing among `classes`, `1 / classes`: at most twice that, or at most three binomial
    /// standard deviations above it.
    pub fn is_near_chance(&self, classes: usize) -> bool {
        let chance = 1.0 / classes as f64;
        let deviation = (chance * (1.0 - chance) / self.examples as f64).sqrt();
        self.accuracy <= (2.0 * chance).max(chance + 3.0 * deviation)
    }
}

/// An eigenvalue with everything that is known of its error.
///
/// Value, residual and bounds are those of the Hessian in exact arithmetic, up to the rounding of products in double precision, by
/// which those of an engine in single precision are checked. Without the check `lower` and `interval` are null, since the rounding
/// is not known.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Eigenvalue {
    /// The Rayleigh quotient `θ = uᵀ H u` of the unit vector `u` found. It never lies outside of the spectrum.
    pub value: f64,
    /// `‖H u - θ u‖`, computed from products and not estimated.
    pub residual: f64,
    /// The true value is at least this. For λ_max: `value` but for rounding; for the further ones of the largest eigenvalues:
    /// `value` minus the norm of the residuals of those up to it. Both are certain. For λ_min: the solver's probabilistic bound,
    /// or null if there is none.
    pub lower: Option<f64>,
    /// The probability, over the seed, that `lower` is wrong: 0 where it is certain.
    pub lower_failure_probability: Option<f64>,
    /// The true value is at most this. For the largest ones: the solver's probabilistic bound, or null if there is none. For
    /// λ_min: `value` but for rounding, which is certain.
    pub upper: Option<f64>,
    /// The probability, over the seed, that `upper` is wrong: 0 where it is certain.
    pub upper_failure_probability: Option<f64>,
    /// `[value - residual, value + residual]`, widened by rounding: certain to hold an eigenvalue, though perhaps not the extreme
    /// one.
    pub interval: Option<[f64; 2]>,
    /// Hessian-vector products of the solve that found it, together with the others of the same solve.
    pub products: usize,
    /// Whether the residual reached `rtol` and, unless `bound_rtol` is off, the bound came within `bound_rtol`.
    pub converged: bool,
    /// Whether the bound came within `bound_rtol`: the eigenvalue is shown to be the extreme one to this tolerance.
    #[serde(default)]
    pub certified: bool,
}

/// The trace of the Hessian by Hutchinson's estimator: the mean of `vᵀ H v` over vectors `v` of random signs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trace {
    /// The mean.
    pub value: f64,
    /// Its standard error over the probes.
    pub standard_error: f64,
    /// The number of probes; each took one Hessian-vector product.
    pub probes: usize,
}

impl From<TraceEstimate> for Trace {
    fn from(found: TraceEstimate) -> Self {
        Self { value: found.value, standard_error: found.standard_error, probes: found.probes }
    }
}

impl Eigenvalue {
    /// The largest eigenvalues, the largest first.
    pub(super) fn largest(found: &Checked, config: &MeasureConfig) -> Vec<Self> {
        let mut residuals = 0.0_f64;
        let eigenvalue = |(place, pair): (usize, &Eigenpair)| {
            let mut one = Self::of(pair, found, config);
            // u₁ to u_i span Rayleigh quotients that differ from the values by no more than the residuals mix in.
            residuals = residuals.hypot(pair.residual);
            let mixed = if place == 0 { 0.0 } else { residuals };
            one.lower = found.rounding.map(|rounding| pair.value - mixed - rounding);
            one.lower_failure_probability = one.lower.map(|_| 0.0);
            one.upper = pair.limit;
            one.upper_failure_probability = pair.limit.map(|_| found.solved.limit_failure_probability);
            one
        };
        found.solved.pairs.iter().enumerate().map(eigenvalue).collect()
    }

    /// The smallest eigenvalue.
    pub(super) fn smallest(found: &Checked, config: &MeasureConfig) -> Self {
        let pair = &found.solved.pairs[0];
        let mut one = Self::of(pair, found, config);
        one.upper = found.rounding.map(|rounding| pair.value + rounding);
        one.upper_failure_probability = one.upper.map(|_| 0.0);
        one.lower = pair.limit;
        one.lower_failure_probability = pair.limit.map(|_| found.solved.limit_failure_probability);
        one
    }

    fn of(pair: &Eigenpair, Checked { solved, rounding }: &Checked, config: &MeasureConfig) -> Self {
        let (value, residual) = (pair.value, pair.residual);
        let reached = residual <= (config.rtol * value.abs()).max(solved.rounding);
        let converged = solved.converged() && reached;
        Self {
            value,
            residual,
            lower: None,
            lower_failure_probability: None,
            upper: None,
            upper_failure_probability: None,
            interval: rounding.map(|rounding| [value - residual - rounding, value + residual + rounding]),
            products: solved.products,
            converged,
            certified: converged && config.bound_rtol.0.is_some(),
        }
    }
}
