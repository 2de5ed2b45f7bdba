//! The Monte-Carlo Fisher matrix, the mean outer product of the gradients of single losses at labels that the model draws.

use sharpness_network::backend::Backend;
use sharpness_network::operators::Matrix;

use super::measure::{AtWeights, Definition};
use super::of_matrix::{MeasuredMatrix, OfMatrix};
use super::target::Target;

/// Monte-Carlo Fisher matrix.
pub type MonteCarloFisher = OfMatrix<MonteCarloFisherMatrix>;

/// Monte-Carlo Fisher matrix.
#[derive(Debug)]
pub enum MonteCarloFisherMatrix {}

impl MeasuredMatrix for MonteCarloFisherMatrix {
    const NAME: &'static str = "monte_carlo_fisher";
    const HELP: &'static str = "Find λ_max and the trace of the Monte-Carlo Fisher matrix too, the trace to 1 % or from this many probes [default of PROBES: 100]";
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
    const LABEL: &'static str = "Monte-Carlo Fisher";

    fn target<B: Backend>(at: &AtWeights<'_, '_, B>) -> Target {
        Target::whole(Self::NAME, Matrix::MonteCarloFisher { seed: at.problem.subject().seed })
    }
}
