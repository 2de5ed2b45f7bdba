//! The critical step size: the length of a step of gradient descent from which on the loss rises.

use serde::{Deserialize, Serialize};
use sharpness_network::backend::Backend;

use super::crossing::crossing;
use super::measure::{AtWeights, Definition, Flag, Measure, Solution};
use super::value::Objective;
use crate::Result;
use crate::columns::ColumnType;
use crate::number::{count, significant};
use crate::progress::Phase;
use crate::range::{Tolerance, within};

/// The rounding of a mean loss, in units of the precision.
const LOSS_ROUNDING: f64 = 8.0;

/// The critical step size.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CriticalStepSize {
    /// The width of the interval that holds it, as a fraction of it.
    #[serde(deserialize_with = "within::<_, Tolerance>")]
    pub rtol: f64,
}

impl Default for CriticalStepSize {
    fn default() -> Self {
        Self { rtol: 0.01 }
    }
}

/// The critical step size, and the sharpness that has it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct CriticalStepSizeOutcome {
    /// η_c, the middle of its interval. Unset if the loss rises at every step or at none that was tried.
    pub step_size: Option<f64>,
    /// Two steps; the loss does not rise at the first and rises at the second.
    pub interval: Option<[f64; 2]>,
    /// The critical sharpness λ_c = 2/η_c.
    pub value: Option<f64>,
    /// 2/η at the ends of the interval.
    pub value_interval: Option<[f64; 2]>,
    /// Whether the steps below the critical one lower the loss by more than its rounding. If not, the numbers mean nothing.
    pub resolved: bool,
    /// The number of forward passes.
    pub passes: usize,
}

impl Measure for CriticalStepSize {
    const NAME: &'static str = "critical_step_size";
    const HELP: &'static str = "Search the step of gradient descent from which on the loss rises, to this fraction [default of RTOL: 0.01]";
    const FLAG: Flag = Flag::Optional("RTOL");
    const MAIN: Option<&'static str> = Some("rtol");
    const DEFINITION: Definition = Definition {
        title: "Critical step size",
        text: "η_c, the smallest η with L(w - η∇L(w)) > L(w), and the critical sharpness λ_c = 2/η_c. η starts at 2/λ_max and is doubled or halved \
            until η_c is bracketed, then bisected (by geometric means) until the interval is `rtol` wide. On a quadratic loss \
            λ_c = ∇LᵀH∇L/‖∇L‖². Smaller steps at which the loss rises may exist between those that were tried.",
        source: "Kalra et al. 2026 (arXiv 2601.16979); code: facebookresearch/scalable-curvature, utils/measure_critical_lr.py, along the \
            gradient instead of an optimizer's step",
        error: "the interval; `resolved` is false if the loss falls by less than its rounding",
        cost: "about 10 forward passes",
    };
    const SHARPNESS: &'static [(&'static str, &'static str)] = &[("value", "critical sharpness")];
    const COLUMNS: &'static [(&'static str, ColumnType)] = &[
        ("step_size", ColumnType::Double),
        ("interval", ColumnType::Text),
        ("value", ColumnType::Double),
        ("value_interval", ColumnType::Text),
        ("resolved", ColumnType::Boolean),
        ("passes", ColumnType::Integer),
    ];

    type Found = ();
    type Outcome = CriticalStepSizeOutcome;

    fn products<B: Backend>(&self, _: &mut AtWeights<'_, '_, B>) -> Result<()> {
        Ok(())
    }

    fn conclude<B: Backend>(&self, (): (), at: &Solution<'_, '_, B>) -> Result<CriticalStepSizeOutcome> {
        let (problem, parameters) = (at.problem, &at.weights.parameters);
        // Of the same passes as the others.
        let loss = problem.value(at.weights)?.loss;
        let mut objective = Objective::values(problem, at.weights);
        let mut moved = vec![0.0; parameters.len()];
        let (mut passes, mut lowest) = (1, loss);
        let start = if at.lambda_max.value > 0.0 { 2.0 / at.lambda_max.value } else { 1.0 };
        let interval = crossing(start, self.rtol, |step| {
            problem.report(Phase::Measure(Self::NAME), (passes, f64::NAN, f64::NAN));
            for (moved, (w, g)) in moved.iter_mut().zip(parameters.iter().zip(&at.gradient)) {
                *moved = w - step * g;
            }
            passes += 1;
            let here = objective.value(problem.numbers(), &moved)?.loss;
            lowest = lowest.min(here);
            // What is not finite is above.
            Ok(here > loss || !here.is_finite())
        })?;
        let precision = if problem.is_double() { f64::EPSILON } else { f64::from(f32::EPSILON) };
        let resolved = interval.is_some() && loss - lowest > LOSS_ROUNDING * precision * loss.abs();
        let step_size = interval.map(|[below, above]| 0.5 * (below + above));
        let value_interval = interval.map(|[below, above]| [2.0 / above, 2.0 / below]);
        let value = step_size.map(|step| 2.0 / step);
        Ok(CriticalStepSizeOutcome { step_size, interval, value, value_interval, resolved, passes })
    }

    fn summary(outcome: &CriticalStepSizeOutcome) -> Vec<(&'static str, String)> {
        let CriticalStepSizeOutcome { step_size, value, value_interval, resolved, passes, .. } = *outcome;
        let work = format!("{} forward passes", count(passes));
        let line = match (step_size, value, value_interval) {
            (Some(step), Some(value), Some([low, high])) => {
                let doubt = if resolved { "" } else { "  NOT RESOLVED: below the rounding of the loss" };
                let [value, low, high, step] = [value, low, high, step].map(|x| significant(x, 4));
                format!("{value} in [{low}, {high}], 2/η at η = {step}  ({work}){doubt}")
            }
            _ => format!("none: no step was found from which on the loss rises  ({work})"),
        };
        vec![("critical", line)]
    }
}
