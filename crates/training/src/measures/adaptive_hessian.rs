//! Adaptive sharpness to second order: the Hessian scaled by the sizes of the weights.

use serde::{Deserialize, Serialize};
use sharpness_network::backend::Backend;
use sharpness_network::operators::Matrix;

use super::measure::{AtWeights, Definition, Flag, Measure, Solution};
use super::spectrum::{Found, SpectrumOutcome};
use super::target::{Form, Target};
use super::trace;
use crate::Result;
use crate::columns::ColumnType;
use crate::range::{Probes, within};

/// Adaptive sharpness.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AdaptiveHessian {
    /// The most probes of the trace; each takes one product.
    #[serde(deserialize_with = "within::<_, Probes>")]
    pub probes: usize,
}

impl Default for AdaptiveHessian {
    fn default() -> Self {
        Self { probes: 100 }
    }
}

impl Measure for AdaptiveHessian {
    const NAME: &'static str = "adaptive_hessian";
    const HELP: &'static str = "Find λ_max and the trace of the adaptive Hessian |w| H |w| too, the trace to 1 % or from this many probes [default of PROBES: 100]";
    const FLAG: Flag = Flag::Optional("PROBES");
    const MAIN: Option<&'static str> = Some("probes");
    const DEFINITION: Definition = Definition {
        title: "Adaptive Hessian",
        text: "The largest eigenvalue and the trace of D H D with D = diag |w|, elementwise over all parameters. As ρ → 0 at a minimum, ρ²/2 times λ_max is the worst-case adaptive sharpness within ‖δ/|w|‖₂ ≤ ρ, and ρ²/2 times the trace the average case under δ ~ N(0, ρ² D²). Both keep their values if a layer of ReLUs is rescaled.",
        source: "Kwon et al. 2021 (ASAM), arXiv 2102.11600; Andriushchenko et al. 2023, arXiv 2302.07011, section 3",
        error: "for the eigenvalue the residual and an interval with its probability; for the trace the standard error over the probes",
        cost: "a solve, and one product per probe",
    };
    const SHARPNESS: &'static [(&'static str, &'static str)] =
        &[("lambda_max.value", "λ_max of |w| H |w|"), ("trace.value", "tr of |w| H |w|")];
    const COLUMNS: &'static [(&'static str, ColumnType)] = SpectrumOutcome::COLUMNS;
    const TRACKED: &'static [(&'static str, i64)] = &[("probes", 10)];

    type Found = Found;
    type Outcome = SpectrumOutcome;

    fn held_vectors(&self, _: usize) -> usize {
        // The eigenvector, the scale, and a scaled vector.
        3
    }

    fn products<B: Backend>(&self, at: &mut AtWeights<'_, '_, B>) -> Result<Found> {
        let scale = at.weights.parameters.iter().map(|w| w.abs()).collect();
        let target = Target { name: Self::NAME, matrix: Matrix::Hessian, form: Form::Scaled(scale) };
        target.find(at, 1, (trace::RTOL, self.probes))
    }

    fn conclude<B: Backend>(&self, found: Found, at: &Solution<'_, '_, B>) -> Result<SpectrumOutcome> {
        found.conclude(at)
    }

    fn is_converged(outcome: &SpectrumOutcome) -> bool {
        outcome.is_converged()
    }

    fn summary(outcome: &SpectrumOutcome) -> Vec<(&'static str, String)> {
        outcome.summary("|w| H |w|")
    }
}
