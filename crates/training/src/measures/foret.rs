//! Foret's sharpness: how much the loss can rise within a distance of the weights.

use serde::{Deserialize, Serialize};
use sharpness_network::backend::Backend;

use super::ascent::{Ascent, largest_loss};
use super::measure::{AtWeights, Definition, Flag, Measure, Solution};
use super::problem::norm;
use crate::Result;
use crate::columns::ColumnType;
use crate::number::{plural, significant};
use crate::progress::Phase;
use crate::range::{Count, Positive, within};

/// The largest rise of the loss within a radius.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Foret {
    /// The radius ρ.
    #[serde(deserialize_with = "within::<_, Positive>")]
    pub rho: f64,
    /// The most steps of each of the three ascents; each takes one gradient.
    #[serde(deserialize_with = "within::<_, Count>")]
    pub steps: usize,
}

impl Default for Foret {
    fn default() -> Self {
        Self { rho: 0.05, steps: 20 }
    }
}

/// The largest rise that was found.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ForetOutcome {
    /// The radius ρ.
    pub rho: f64,
    /// The largest `L(w + ε) - L(w)` with `‖ε‖ ≤ ρ` that was found. The maximum is at least this.
    pub value: f64,
    /// `ρ ‖∇L(w)‖ + ρ² max(λ_max, 0) / 2`, which bounds the maximum to second order.
    pub second_order: f64,
    /// The number of gradients in the ascents.
    pub gradients: usize,
}

impl Measure for Foret {
    const NAME: &'static str = "foret";
    const HELP: &'static str =
        "Search the largest rise of the loss within this radius, Foret's sharpness [default of RHO: 0.05]";
    const FLAG: Flag = Flag::Optional("RHO");
    const MAIN: Option<&'static str> = Some("rho");
    const DEFINITION: Definition = Definition {
        title: "Foret sharpness",
        text: "max L(w + ε) - L(w) over ‖ε‖₂ ≤ ρ, where L is the mean loss of all measured examples. The search is projected gradient ascent \
            with steps of unlimited length, ε ← ρ ∇L(w + ε)/‖∇L(w + ε)‖, of up to `steps` steps from each of three points on the sphere: in the \
            direction of the gradient and in both of the eigenvector of λ_max. `second_order` is ρ‖∇L‖ + ρ² max(λ_max, 0)/2, which bounds the \
            maximum as far as the second-order expansion of L holds.",
        source: "Foret, Kleiner, Mobahi, Neyshabur 2021 (arXiv 2010.01412), equation 1",
        error: "none: the value is a lower bound on the maximum",
        cost: "up to `steps` gradients for each of three ascents, usually about 10 in all",
    };
    const SHARPNESS: &'static [(&'static str, &'static str)] = &[("value", "Foret sharpness")];
    const COLUMNS: &'static [(&'static str, ColumnType)] = &[
        ("rho", ColumnType::Double),
        ("value", ColumnType::Double),
        ("second_order", ColumnType::Double),
        ("gradients", ColumnType::Integer),
    ];

    type Found = ();
    type Outcome = ForetOutcome;

    fn products<B: Backend>(&self, _: &mut AtWeights<'_, '_, B>) -> Result<()> {
        Ok(())
    }

    fn conclude<B: Backend>(&self, (): (), at: &Solution<'_, '_, B>) -> Result<ForetOutcome> {
        let Self { rho, steps } = *self;
        at.problem.report(Phase::Measure(Self::NAME), (0, f64::NAN, f64::NAN));
        let Ascent { maximum, gradients } = largest_loss(at, rho, steps)?;
        let second_order = rho * norm(&at.gradient) + 0.5 * rho * rho * at.lambda_max.value.max(0.0);
        Ok(ForetOutcome { rho, value: maximum - at.loss, second_order, gradients })
    }

    fn summary(outcome: &ForetOutcome) -> Vec<(&'static str, String)> {
        let ForetOutcome { rho, value, second_order, gradients } = *outcome;
        let [value, second_order] = [value, second_order].map(|rise| significant(rise, 4));
        let work = plural(gradients, "gradient");
        vec![(
            "Foret",
            format!("at least {value} within ρ = {rho}  ({work}; to second order {second_order} at most)"),
        )]
    }
}
