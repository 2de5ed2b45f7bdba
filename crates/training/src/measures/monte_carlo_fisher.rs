//! The Monte-Carlo Fisher matrix, the mean outer product of the gradients of single losses at labels that the model draws.

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

/// Monte-Carlo Fisher matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MonteCarloFisher {
    /// The most probes of the trace; each takes one product.
    #[serde(deserialize_with = "within::<_, Probes>")]
    pub probes: usize,
}

impl Default for MonteCarloFisher {
    fn default() -> Self {
        Self { probes: 100 }
    }
}

impl Measure for MonteCarloFisher {
    const NAME: &'static str = "monte_carlo_fisher";
    const HELP: &'static str = "Find λ_max and the trace of the Monte-Carlo Fisher matrix too, the trace to 1 % or from this many probes [default of PROBES: 100]";
    const FLAG: Flag = Flag::Optional("PROBES");
    const MAIN: Option<&'static str> = Some("probes");
    const DEFINITION: Definition = Definition {
        title: "Monte-Carlo Fisher matrix",
        text: "The largest eigenvalues and the trace of 1/N Σ g gᵀ, with g the gradient of an example's loss at one label drawn from the model's own distribution: the softmax of its outputs, or for squared error a unit Gaussian around them. Over draws its mean is the Gauss-Newton matrix; the labels depend on the seed, and the reported errors are those of this one draw.",
        source: "Kunstner, Balles, Hennig 2019, *Limitations of the empirical Fisher approximation*, equation 4",
        error: "for each eigenvalue the residual and an interval with its probability; for the trace the standard error over the probes",
        cost: "a solve, and one product per probe; such a product takes about 0.7 of a Hessian-vector product",
    };
    const SHARPNESS: &'static [(&'static str, &'static str)] = &[
        ("lambda_max.value", "λ_max of the Monte-Carlo Fisher"),
        ("trace.value", "tr of the Monte-Carlo Fisher"),
    ];
    const COLUMNS: &'static [(&'static str, ColumnType)] = SpectrumOutcome::COLUMNS;
    const TRACKED: &'static [(&'static str, i64)] = &[("probes", 10)];

    type Found = Found;
    type Outcome = SpectrumOutcome;

    fn held_vectors(&self, k: usize) -> usize {
        k
    }

    fn products<B: Backend>(&self, at: &mut AtWeights<'_, '_, B>) -> Result<Found> {
        let k = at.problem.subject().settings.top_k;
        Target::whole(Self::NAME, Matrix::MonteCarloFisher { seed: at.problem.subject().seed }).find(
            at,
            k,
            (trace::RTOL, self.probes),
        )
    }

    fn conclude<B: Backend>(&self, found: Found, at: &Solution<'_, '_, B>) -> Result<SpectrumOutcome> {
        found.conclude(at)
    }

    fn is_converged(outcome: &SpectrumOutcome) -> bool {
        outcome.is_converged()
    }

    fn summary(outcome: &SpectrumOutcome) -> Vec<(&'static str, String)> {
        outcome.summary("Monte-Carlo Fisher")
    }
}
