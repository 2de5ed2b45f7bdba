//! The generalized Gauss-Newton matrix, the part of the Hessian that the curvature of the loss in the outputs contributes.

use sharpness_network::backend::Backend;
use sharpness_network::operators::Matrix;

use super::measure::{AtWeights, Definition};
use super::of_matrix::{MeasuredMatrix, OfMatrix};
use super::target::Target;

/// The Gauss-Newton matrix.
pub type GaussNewton = OfMatrix<GaussNewtonMatrix>;

/// The Gauss-Newton matrix.
#[derive(Debug)]
pub enum GaussNewtonMatrix {}

impl MeasuredMatrix for GaussNewtonMatrix {
    const NAME: &'static str = "gauss_newton";
    const HELP: &'static str = "Find λ_max and the trace of the Gauss-Newton matrix too, the trace to 1 % or from this many probes [default of PROBES: 100]";
    const DEFINITION: Definition = Definition {
        title: "Gauss-Newton matrix",
        text: "The largest eigenvalues and the trace of G = 1/N Σ Jᵀ (∂²ℓ/∂z²) J, with J the Jacobian of an example's outputs z in the weights. For cross-entropy and squared error it is the Fisher matrix. `--top-k` says how many eigenvalues.",
        source: "Schraudolph 2002; Martens 2020, *New insights and perspectives on the natural gradient method*",
        error: "for each eigenvalue the residual and an interval with its probability; for the trace the standard error over the probes",
        cost: "a solve, and one product per probe; such a product takes about 0.7 of a Hessian-vector product",
    };
    const SHARPNESS: &'static [(&'static str, &'static str)] =
        &[("lambda_max.value", "λ_max of Gauss-Newton"), ("trace.value", "tr of Gauss-Newton")];
    const LABEL: &'static str = "Gauss-Newton";

    fn target<B: Backend>(_: &AtWeights<'_, '_, B>) -> Target {
        Target::whole(Self::NAME, Matrix::GaussNewton)
    }
}
