//! The generalized Gauss-Newton matrix, the part of the Hessian that the curvature of the loss in the outputs contributes.

use serde::{Deserialize, Serialize};
use sharpness_network::backend::Backend;
use sharpness_network::operators::Matrix;

use super::measure::{AtWeights, Definition, Flag, Measure, Solution};
use super::spectrum::{Found, SpectrumOutcome};
use super::target::Target;
use super::trace;
use crate::Result;
use crate::columns::ColumnType;
use crate::range::{Probes, within};

/// The Gauss-Newton matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GaussNewton {
    /// The most probes of the trace; each takes one product.
    #[serde(deserialize_with = "within::<_, Probes>")]
    pub probes: usize,
}

impl Default for GaussNewton {
    fn default() -> Self {
        Self { probes: 100 }
    }
}

impl Measure for GaussNewton {
    const NAME: &'static str = "gauss_newton";
    const HELP: &'static str = "Find λ_max and the trace of the Gauss-Newton matrix too, the trace to 1 % or from this many probes [default of PROBES: 100]";
    const FLAG: Flag = Flag::Optional("PROBES");
    const MAIN: Option<&'static str> = Some("probes");
    const DEFINITION: Definition = Definition {
        title: "Gauss-Newton matrix",
        text: "The largest eigenvalues and the trace of G = 1/N Σ Jᵀ (∂²ℓ/∂z²) J, with J the Jacobian of an example's outputs z in the weights. For cross-entropy and squared error it is the Fisher matrix. `--top-k` says how many eigenvalues.",
        source: "Schraudolph 2002; Martens 2020, *New insights and perspectives on the natural gradient method*",
        error: "for each eigenvalue the residual and an interval with its probability; for the trace the standard error over the probes",
        cost: "a solve, and one product per probe; such a product takes about 0.7 of a Hessian-vector product",
    };
    const SHARPNESS: &'static [(&'static str, &'static str)] =
        &[("lambda_max.value", "λ_max of Gauss-Newton"), ("trace.value", "tr of Gauss-Newton")];
    const COLUMNS: &'static [(&'static str, ColumnType)] = SpectrumOutcome::COLUMNS;
    const TRACKED: &'static [(&'static str, i64)] = &[("probes", 10)];

    type Found = Found;
    type Outcome = SpectrumOutcome;

    fn held_vectors(&self, k: usize) -> usize {
        k
    }

    fn products<B: Backend>(&self, at: &mut AtWeights<'_, '_, B>) -> Result<Found> {
        let k = at.problem.subject().settings.top_k;
        Target::whole(Self::NAME, Matrix::GaussNewton).find(at, k, (trace::RTOL, self.probes))
    }

    fn conclude<B: Backend>(&self, found: Found, at: &Solution<'_, '_, B>) -> Result<SpectrumOutcome> {
        found.conclude(at)
    }

    fn is_converged(outcome: &SpectrumOutcome) -> bool {
        outcome.is_converged()
    }

    fn summary(outcome: &SpectrumOutcome) -> Vec<(&'static str, String)> {
        outcome.summary("Gauss-Newton")
    }
}
