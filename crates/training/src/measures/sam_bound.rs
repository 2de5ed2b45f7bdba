//! The bound of the paper's appendix A.1 on the objective of sharpness-aware minimization:
//! `max_{‖ε‖ ≤ ρ} L(w + ε) ≤ L(w) + ρ ‖∇L(w)‖ + ρ² max(λ_max, 0) / 2`, which holds as far as the second-order expansion of `L` does.
//!
//! The maximum is unknown. Ascents find points in the ball, so they can refute the bound but not prove it.

use serde::{Deserialize, Serialize};
use sharpness_network::backend::Backend;

use super::ascent::{Ascent, largest_loss};
use super::measure::{AtWeights, Definition, Flag, Measure, Solution};
use super::problem::norm;
use crate::Result;
use crate::columns::ColumnType;
use crate::number::{percent, plural, significant};
use crate::progress::Phase;
use crate::range::{Positive, within};

/// Steps of an ascent.
const STEPS: usize = 20;
/// The rounding of a mean loss, in units of the precision.
const LOSS_ROUNDING: f64 = 8.0;

/// The bound at a radius.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SamBound {
    /// The radius ρ.
    #[serde(deserialize_with = "within::<_, Positive>")]
    pub rho: f64,
}

impl Default for SamBound {
    fn default() -> Self {
        Self { rho: 0.05 }
    }
}

/// The largest loss found near the weights, and the bound on it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct SamBoundOutcome {
    /// The radius ρ.
    pub rho: f64,
    /// The largest `L(w + ε)` with `‖ε‖ ≤ ρ` that was found, by projected gradient ascent on the measured examples. The maximum is at
    /// least this.
    pub maximum: f64,
    /// `L(w) + ρ ‖∇L(w)‖ + ρ² max(λ_max, 0) / 2` with the value found of λ_max.
    pub bound: f64,
    /// Whether the loss at some point exceeds the bound, even with the upper bound of λ_max and after the rounding of
    /// losses. If not, the bound may still fail at a point that was not tried.
    pub refuted: bool,
    /// `(maximum - L) / (bound - L)`: 1 if the bound is attained. Unset unless the bound is above the loss.
    pub tightness: Option<f64>,
    /// The number of gradients in the ascents.
    pub gradients: usize,
}

impl Measure for SamBound {
    const NAME: &'static str = "sam_bound";
    const HELP: &'static str = "Test the bound of the paper's appendix A.1 on the objective of SAM, L + ρ‖∇L‖ + ρ²λ_max/2, \
        against the largest loss within this radius";
    const FLAG: Flag = Flag::Required("RHO");
    const MAIN: Option<&'static str> = Some("rho");
    const DEFINITION: Definition = Definition {
        title: "Bound on SAM's loss",
        text: "The largest loss found within ρ of the weights, compared with L + ρ‖∇L‖ + ρ²λ_max/2, which bounds it to second order.",
        source: "Kaur, Cohen, Lipton 2022, appendix A",
        error: "none: the largest loss found is a lower bound on the maximum",
        cost: "up to 60 gradients",
    };
    const SHARPNESS: &'static [(&'static str, &'static str)] = &[];
    const COLUMNS: &'static [(&'static str, ColumnType)] = &[
        ("rho", ColumnType::Double),
        ("maximum", ColumnType::Double),
        ("bound", ColumnType::Double),
        ("refuted", ColumnType::Boolean),
        ("tightness", ColumnType::Double),
        ("gradients", ColumnType::Integer),
    ];

    type Found = ();
    type Outcome = SamBoundOutcome;

    fn products<B: Backend>(&self, _: &mut AtWeights<'_, '_, B>) -> Result<()> {
        Ok(())
    }

    fn conclude<B: Backend>(&self, (): (), at: &Solution<'_, '_, B>) -> Result<SamBoundOutcome> {
        let Self { rho } = *self;
        let problem = at.problem;
        problem.report(Phase::Measure(Self::NAME), (0, f64::NAN, f64::NAN));
        let Ascent { maximum, gradients } = largest_loss(at, rho, STEPS)?;
        let bound =
            |lambda_max: f64| at.loss + rho * norm(&at.gradient) + 0.5 * rho * rho * lambda_max.max(0.0);
        let most = bound(at.lambda_max.upper.unwrap_or(at.lambda_max.value));
        let rounding = if problem.is_double() { f64::EPSILON } else { f64::from(f32::EPSILON) };
        let refuted = maximum > most + LOSS_ROUNDING * rounding * (maximum.abs() + most.abs());
        let bound = bound(at.lambda_max.value);
        let tightness = (bound > at.loss).then(|| (maximum - at.loss) / (bound - at.loss));
        Ok(SamBoundOutcome { rho, maximum, bound, refuted, tightness, gradients })
    }

    fn summary(outcome: &SamBoundOutcome) -> Vec<(&'static str, String)> {
        let SamBoundOutcome { rho, maximum, bound, refuted, tightness, gradients } = *outcome;
        let [found, bound] = [maximum, bound].map(|loss| significant(loss, 4));
        let relation = if refuted { "REFUTED" } else { "not refuted" };
        let work = plural(gradients, "gradient");
        let found = format!("{found} found within ρ = {rho} by {work}, bound {bound}");
        let share = tightness.map(|share| format!(" (the rise is {} of the bound's)", percent(share)));
        vec![("SAM bound", format!("{relation}: {found}{}", share.unwrap_or_default()))]
    }
}
