//! Adaptive sharpness to second order: the Hessian scaled by the sizes of the weights.

use sharpness_network::backend::Backend;
use sharpness_network::operators::Matrix;

use super::measure::{AtWeights, Definition};
use super::of_matrix::{MeasuredMatrix, OfMatrix};
use super::target::{Form, Target};

/// Adaptive sharpness.
pub type AdaptiveHessian = OfMatrix<AdaptiveHessianMatrix>;

/// Adaptive sharpness.
#[derive(Debug)]
pub enum AdaptiveHessianMatrix {}

impl MeasuredMatrix for AdaptiveHessianMatrix {
    const NAME: &'static str = "adaptive_hessian";
    const HELP: &'static str = "Find λ_max and the trace of the adaptive Hessian |w| H |w| too, the trace to 1 % or from this many probes [default of PROBES: 100]";
    const DEFINITION: Definition = Definition {
        title: "Adaptive Hessian",
        text: "The largest eigenvalue and the trace of D H D with D = diag |w|, elementwise over all parameters. As ρ → 0 at a minimum, ρ²/2 times λ_max is the worst-case adaptive sharpness within ‖δ/|w|‖₂ ≤ ρ, and ρ²/2 times the trace the average case under δ ~ N(0, ρ² D²). Both keep their values if a layer of ReLUs is rescaled.",
        source: "Kwon et al. 2021 (ASAM), arXiv 2102.11600; Andriushchenko et al. 2023, arXiv 2302.07011, section 3",
        error: "for the eigenvalue the residual and an interval with its probability; for the trace the standard error over the probes",
        cost: "a solve, and one product per probe",
    };
    const SHARPNESS: &'static [(&'static str, &'static str)] =
        &[("lambda_max.value", "λ_max of |w| H |w|"), ("trace.value", "tr of |w| H |w|")];
    const LABEL: &'static str = "|w| H |w|";

    fn target<B: Backend>(at: &AtWeights<'_, '_, B>) -> Target {
        let scale = at.weights.parameters.iter().map(|w| w.abs()).collect();
        Target { name: Self::NAME, matrix: Matrix::Hessian, form: Form::Scaled(scale) }
    }

    fn held_vectors() -> usize {
        // The scale, and a scaled vector.
        2
    }
}
