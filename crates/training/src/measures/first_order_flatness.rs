//! First-order flatness: the largest norm of the gradient within a distance of the weights.

use serde::{Deserialize, Serialize};
use sharpness_curvature::SymmetricOperator as _;
use sharpness_network::Weights;
use sharpness_network::backend::Backend;

use super::ascent::{NEARBY, add, scale_to};
use super::measure::{AtWeights, Definition, Flag, Measure, Solution};
use super::problem::{norm, solver_error};
use crate::Result;
use crate::columns::ColumnType;
use crate::number::{plural, significant};
use crate::progress::Phase;
use crate::range::{Count, Positive, within};

/// An ascent ends when a step gains less than this fraction of the norm.
const GAIN: f64 = 1e-4;

/// The largest norm of the gradient within a radius.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FirstOrderFlatness {
    /// The radius ρ.
    #[serde(deserialize_with = "within::<_, Positive>")]
    pub rho: f64,
    /// The most steps of each of the three ascents; each takes one gradient and one Hessian-vector product.
    #[serde(deserialize_with = "within::<_, Count>")]
    pub steps: usize,
}

impl Default for FirstOrderFlatness {
    fn default() -> Self {
        Self { rho: 0.05, steps: 5 }
    }
}

/// The largest norm that was found.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct FirstOrderFlatnessOutcome {
    /// The radius ρ.
    pub rho: f64,
    /// ρ times the largest `‖∇L(w + ε)‖` with `‖ε‖ ≤ ρ` that was found. The maximum is at least this.
    pub value: f64,
    /// The number of points at which the gradient was computed.
    pub gradients: usize,
}

impl Measure for FirstOrderFlatness {
    const NAME: &'static str = "first_order_flatness";
    const HELP: &'static str =
        "Search the largest gradient within this radius, first-order flatness [default of RHO: 0.05]";
    const FLAG: Flag = Flag::Optional("RHO");
    const MAIN: Option<&'static str> = Some("rho");
    const DEFINITION: Definition = Definition {
        title: "First-order flatness",
        text: "ρ · max ‖∇L(w + ε)‖₂ over ‖ε‖₂ ≤ ρ. The search is projected gradient ascent on the norm with steps of unlimited length, \
            ε ← ρ d/‖d‖ with d = H(w + ε) ∇L(w + ε), its exact gradient up to scale by a Hessian-vector product. Up to `steps` steps from each of \
            three points on the sphere: in the direction of d at ε = 0 and in both of the eigenvector of λ_max. (The paper's optimizer takes one \
            step, and approximates the product by a difference of gradients.)",
        source: "Zhang, Xu, Yu, Zou, Cui 2023 (arXiv 2303.03108), definition 3.1",
        error: "none: the value is a lower bound on the maximum",
        cost: "up to `steps` gradients and products for each of three ascents, usually about 8 of each in all",
    };
    const SHARPNESS: &'static [(&'static str, &'static str)] = &[("value", "first-order flatness")];
    const COLUMNS: &'static [(&'static str, ColumnType)] =
        &[("rho", ColumnType::Double), ("value", ColumnType::Double), ("gradients", ColumnType::Integer)];

    /// The product with the gradient at the weights.
    type Found = Vec<f64>;
    type Outcome = FirstOrderFlatnessOutcome;

    fn held_vectors(&self, _: usize) -> usize {
        1
    }

    fn products<B: Backend>(&self, at: &mut AtWeights<'_, '_, B>) -> Result<Vec<f64>> {
        let gradient = at.operator.gradient().to_vec();
        let mut product = vec![0.0; gradient.len()];
        let applied = at.operator.apply(&gradient, &mut product);
        applied.map_err(|error| solver_error(sharpness_curvature::Error::Operator(error)))?;
        Ok(product)
    }

    fn conclude<B: Backend>(
        &self,
        found: Vec<f64>,
        at: &Solution<'_, '_, B>,
    ) -> Result<FirstOrderFlatnessOutcome> {
        let Self { rho, steps } = *self;
        let eigenvector = &at.largest.solved.pairs[0].vector;
        let (mut largest, mut gradients) = (norm(&at.gradient), 0);
        for (start, sign) in [(&found, 1.0), (eigenvector, 1.0), (eigenvector, -1.0)] {
            let mut direction: Vec<f64> = start.iter().map(|x| sign * x).collect();
            let mut reached = 0.0;
            for _ in 0..steps {
                if !scale_to(&mut direction, rho) {
                    break;
                }
                at.problem.report(Phase::Measure(Self::NAME), (gradients, f64::NAN, f64::NAN));
                let here = norm_and_ascent(at, &mut direction)?;
                gradients += 1;
                largest = largest.max(here);
                if here <= (1.0 + GAIN) * reached {
                    break;
                }
                reached = here;
            }
        }
        Ok(FirstOrderFlatnessOutcome { rho, value: rho * largest, gradients })
    }

    fn summary(outcome: &FirstOrderFlatnessOutcome) -> Vec<(&'static str, String)> {
        let FirstOrderFlatnessOutcome { rho, value, gradients } = *outcome;
        let (value, work) = (significant(value, 4), plural(gradients, "gradient"));
        vec![("first order", format!("ρ max ‖∇L‖ is at least {value} within ρ = {rho}  ({work})"))]
    }
}

/// The norm of the gradient at the weights moved by `direction`, which becomes the direction of its steepest ascent there.
fn norm_and_ascent<B: Backend>(at: &Solution<'_, '_, B>, direction: &mut [f64]) -> Result<f64> {
    let mut moved = Weights { parameters: vec![0.0; direction.len()], state: at.weights.state.clone() };
    add(&at.weights.parameters, direction, &mut moved.parameters);
    let mut operator = at.problem.linearize(&moved, NEARBY)?;
    // The operator has its own copy.
    let Weights { parameters: mut gradient, .. } = moved;
    gradient.copy_from_slice(operator.gradient());
    let applied = operator.apply(&gradient, direction);
    applied.map_err(|error| solver_error(sharpness_curvature::Error::Operator(error)))?;
    Ok(norm(&gradient))
}
