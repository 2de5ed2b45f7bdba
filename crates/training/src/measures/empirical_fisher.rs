//! The empirical Fisher matrix, the mean outer product of the gradients of single losses.

use sharpness_network::backend::Backend;
use sharpness_network::operators::Matrix;

use super::measure::{AtWeights, Definition};
use super::of_matrix::{MeasuredMatrix, OfMatrix};
use super::target::Target;

/// Empirical Fisher matrix.
pub type EmpiricalFisher = OfMatrix<EmpiricalFisherMatrix>;

/// Empirical Fisher matrix.
#[derive(Debug)]
pub enum EmpiricalFisherMatrix {}

impl MeasuredMatrix for EmpiricalFisherMatrix {
    const NAME: &'static str = "empirical_fisher";
    const HELP: &'static str = "Find λ_max and the trace of the empirical Fisher matrix too, the trace to 1 % or from this many probes [default of PROBES: 100]";
    const DEFINITION: Definition = Definition {
        title: "Empirical Fisher matrix",
        text: "The largest eigenvalues and the trace of 1/N Σ g gᵀ, with g the gradient of an example's loss at its label. Its trace is the mean of ‖g‖². With batch statistics, g passes through the statistics of the example's chunk.",
        source: "Kunstner, Balles, Hennig 2019, *Limitations of the empirical Fisher approximation*, equation 3",
        error: "for each eigenvalue the residual and an interval with its probability; for the trace the standard error over the probes",
        cost: "a solve, and one product per probe; such a product takes about 0.7 of a Hessian-vector product",
    };
    const SHARPNESS: &'static [(&'static str, &'static str)] = &[
        ("lambda_max.value", "λ_max of the empirical Fisher"),
        ("trace.value", "tr of the empirical Fisher"),
    ];
    const LABEL: &'static str = "empirical Fisher";

    fn target<B: Backend>(_: &AtWeights<'_, '_, B>) -> Target {
        Target::whole(Self::NAME, Matrix::EmpiricalFisher)
    }
}
