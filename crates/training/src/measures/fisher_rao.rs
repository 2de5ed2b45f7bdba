//! The Fisher-Rao norm of the weights.

use serde::{Deserialize, Serialize};
use sharpness_network::backend::Backend;
use sharpness_network::operators::Matrix;

use super::measure::{AtWeights, Definition, Flag, Measure, Solution};
use super::target::Target;
use crate::Result;
use crate::columns::ColumnType;
use crate::number::significant;

/// The Fisher-Rao norm.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FisherRao {}

/// The norm under two Fisher matrices.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct FisherRaoOutcome {
    /// `√(wᵀ G w)` with the Fisher matrix of the model, which is the Gauss-Newton matrix.
    pub value: f64,
    /// `√(wᵀ F w)` with the empirical Fisher matrix.
    pub empirical: f64,
}

impl Measure for FisherRao {
    const NAME: &'static str = "fisher_rao";
    const HELP: &'static str = "Compute the Fisher-Rao norm of the weights too";
    const FLAG: Flag = Flag::Switch;
    const MAIN: Option<&'static str> = None;
    const DEFINITION: Definition = Definition {
        title: "Fisher-Rao norm",
        text: "‖w‖_FR = √(wᵀFw), with the Fisher matrix F of the model's own distribution (the Gauss-Newton matrix), and with the empirical one. For a network of ReLUs without biases, wᵀFw = (depth)² E⟨∂ℓ/∂z, z⟩² for the empirical one (Liang et al., theorem 3.1). It keeps its value if a layer of ReLUs is rescaled.",
        source: "Liang et al. 2019, arXiv 1711.01530, definition 2",
        error: "none: exact but for the rounding of two products",
        cost: "two products",
    };
    const SHARPNESS: &'static [(&'static str, &'static str)] =
        &[("value", "Fisher-Rao norm"), ("empirical", "empirical Fisher-Rao norm")];
    const COLUMNS: &'static [(&'static str, ColumnType)] =
        &[("value", ColumnType::Double), ("empirical", ColumnType::Double)];

    type Found = FisherRaoOutcome;
    type Outcome = FisherRaoOutcome;

    fn held_vectors(&self, _: usize) -> usize {
        1
    }

    fn products<B: Backend>(&self, at: &mut AtWeights<'_, '_, B>) -> Result<FisherRaoOutcome> {
        let w = &at.weights.parameters;
        let mut norm = |matrix| {
            Target::whole(Self::NAME, matrix).with(&mut at.operator, |operator| {
                let mut product = vec![0.0; w.len()];
                operator.apply(w, &mut product).map_err(sharpness_curvature::Error::Operator)?;
                let square: f64 = w.iter().zip(&product).map(|(w, p)| w * p).sum();
                // Rounding may leave the square of a tiny norm below 0.
                Ok(square.max(0.0).sqrt())
            })
        };
        Ok(FisherRaoOutcome { value: norm(Matrix::GaussNewton)?, empirical: norm(Matrix::EmpiricalFisher)? })
    }

    fn conclude<B: Backend>(
        &self,
        found: FisherRaoOutcome,
        _: &Solution<'_, '_, B>,
    ) -> Result<FisherRaoOutcome> {
        Ok(found)
    }

    fn summary(outcome: &FisherRaoOutcome) -> Vec<(&'static str, String)> {
        let [value, empirical] = [outcome.value, outcome.empirical].map(|norm| significant(norm, 5));
        vec![("Fisher-Rao", format!("{value}, with the empirical Fisher {empirical}"))]
    }
}
