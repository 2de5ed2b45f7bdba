//! Adam's sharpness: the largest eigenvalue of the Hessian as Adam's preconditioner scales it.

use serde::{Deserialize, Serialize};
use sharpness_curvature::Eigenpairs;
use sharpness_network::backend::Backend;
use sharpness_network::operators::Matrix;

use super::eigenvalue::Eigenvalue;
use super::measure::{AtWeights, Definition, Flag, Measure, Solution};
use super::target::{Form, Target};
use crate::columns::ColumnType;
use crate::number::significant;
use crate::{Error, Result};

/// Adam's sharpness.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdamSharpness {}

/// The eigenvalue, and the value at which Adam's edge of stability lies.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AdamSharpnessOutcome {
    /// The largest eigenvalue of `P^(-1/2) H P^(-1/2)`.
    #[serde(flatten)]
    pub lambda_max: Eigenvalue,
    /// `(2 + 2 β₁) / ((1 - β₁) η)` at the run's learning rate.
    pub edge_of_stability: f64,
}

impl Measure for AdamSharpness {
    const NAME: &'static str = "adam_sharpness";
    const HELP: &'static str =
        "Find the λ_max of the Hessian preconditioned by Adam's second moments too, of a run with Adam";
    const FLAG: Flag = Flag::Switch;
    const MAIN: Option<&'static str> = None;
    const DEFINITION: Definition = Definition {
        title: "Adam's sharpness",
        text: "The largest eigenvalue of P^(-1/2) H P^(-1/2), with P = (1 - β₁^t)(√(v/(1 - β₂^t)) + ε) from the second moments v after t steps of a run. On a quadratic, Adam with frozen moments diverges above (2 + 2β₁)/((1 - β₁)η), which is 38/η for β₁ = 0.9.",
        source: "Cohen et al. 2022, arXiv 2207.14484",
        error: "the residual, and an interval with its probability",
        cost: "a solve: 10 to 40 products",
    };
    const SHARPNESS: &'static [(&'static str, &'static str)] = &[("value", "λ_max as Adam scales H")];
    const COLUMNS: &'static [(&'static str, ColumnType)] = &[
        ("value", ColumnType::Double),
        ("residual", ColumnType::Double),
        ("lower", ColumnType::Double),
        ("lower_failure_probability", ColumnType::Double),
        ("upper", ColumnType::Double),
        ("upper_failure_probability", ColumnType::Double),
        ("interval", ColumnType::Text),
        ("products", ColumnType::Integer),
        ("converged", ColumnType::Boolean),
        ("certified", ColumnType::Boolean),
        ("edge_of_stability", ColumnType::Double),
    ];

    type Found = (Target, Eigenpairs, f64);
    type Outcome = AdamSharpnessOutcome;

    fn held_vectors(&self, _: usize) -> usize {
        // The eigenvector, the moments, the scale, and a scaled vector.
        4
    }

    fn products<B: Backend>(&self, at: &mut AtWeights<'_, '_, B>) -> Result<Self::Found> {
        let Some(preconditioner) = at.preconditioner else {
            let problem = "only a run that was trained with Adam has second moments, from its first step on";
            return Err(Error::MeasureSetting { name: "adam_sharpness", problem });
        };
        let scale = preconditioner.diagonal.iter().map(|p| p.powf(-0.5)).collect();
        let target = Target { name: Self::NAME, matrix: Matrix::Hessian, form: Form::Scaled(scale) };
        let largest = target.largest(at, 1)?;
        Ok((target, largest, preconditioner.edge_of_stability))
    }

    fn conclude<B: Backend>(
        &self,
        (target, largest, edge_of_stability): Self::Found,
        at: &Solution<'_, '_, B>,
    ) -> Result<AdamSharpnessOutcome> {
        let lambda_max = target.checked(largest, at)?.remove(0);
        Ok(AdamSharpnessOutcome { lambda_max, edge_of_stability })
    }

    fn is_converged(outcome: &AdamSharpnessOutcome) -> bool {
        outcome.lambda_max.converged
    }

    fn summary(outcome: &AdamSharpnessOutcome) -> Vec<(&'static str, String)> {
        let edge = format!("edge of stability {}", significant(outcome.edge_of_stability, 5));
        let AdamSharpnessOutcome { lambda_max, .. } = outcome;
        vec![("Adam's", lambda_max.value_text()), ("", lambda_max.bounds_text()), ("", edge)]
    }
}
