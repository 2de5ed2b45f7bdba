//! The volume of the neighbourhood of the weights in which the loss is low, by its radii along random directions.

use std::f64::consts::TAU;

use serde::{Deserialize, Serialize};
use sharpness_network::backend::Backend;

use super::ascent::scale_to;
use super::crossing::crossing;
use super::draws::{mean, normal};
use super::measure::{AtWeights, Definition, Flag, Measure, Solution};
use super::problem::norm;
use super::value::Objective;
use crate::Result;
use crate::columns::ColumnType;
use crate::number::{count, plural, significant, with_error};
use crate::progress::Phase;
use crate::range::{Positive, Probes, within};

/// The bracket of a radius, as a fraction of it.
const RTOL: f64 = 1e-3;

/// The volume of low loss.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LocalVolume {
    /// Random directions.
    #[serde(deserialize_with = "within::<_, Probes>")]
    pub directions: usize,
    /// The rise of the loss at the boundary.
    #[serde(deserialize_with = "within::<_, Positive>")]
    pub cutoff: f64,
}

impl Default for LocalVolume {
    fn default() -> Self {
        Self { directions: 20, cutoff: 0.01 }
    }
}

/// Minus the logarithm of the volume, in nats. Unset if the loss does not rise by the cutoff along some direction.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct LocalVolumeOutcome {
    /// `-ln(V · mean rⁿ)` over the directions, with the volume V of the unit ball in n dimensions.
    pub value: Option<f64>,
    /// Its standard error over the directions, to first order. It means little if `effective_directions` is near 1.
    pub standard_error: Option<f64>,
    /// `(Σ rⁿ)² / Σ r²ⁿ`: the number of directions that determine `value`.
    pub effective_directions: Option<f64>,
    /// `-(ln V + n · mean ln r)`, which is larger than minus the logarithm of the volume.
    pub typical: Option<f64>,
    /// Its standard error over the directions.
    pub typical_standard_error: Option<f64>,
    /// The geometric mean of the radii.
    pub radius: Option<f64>,
    /// The number of directions.
    pub directions: usize,
    /// The number of forward passes.
    pub passes: usize,
}

impl Measure for LocalVolume {
    const NAME: &'static str = "local_volume";
    const HELP: &'static str = "Estimate the volume around the weights in which the loss rises by at most 0.01, along this many random \
         directions [default of DIRECTIONS: 20]";
    const FLAG: Flag = Flag::Optional("DIRECTIONS");
    const MAIN: Option<&'static str> = Some("directions");
    const DEFINITION: Definition = Definition {
        title: "Local volume",
        text: "Minus the logarithm of the volume of the star-shaped neighbourhood of w in which L ≤ L(w) + `cutoff` along every ray, in nats. With \
            the radius r along a direction, its volume is V · E rⁿ over uniformly random directions, where V is the volume of the unit ball in n \
            dimensions, the number of parameters. `value` is -ln(V · mean rⁿ) over the directions: a naive estimate, without the paper's \
            preconditioner. In many dimensions wide directions that hold almost all of the volume are never drawn, so it bounds the volume from \
            below (and `value` from above), by an unknown and large amount. `typical` is -(ln V + n · mean ln r), by Jensen's inequality \
            also on that side in expectation, with an error that means what it says. Each radius is the first found by doubling or halving and \
            bisection to 0.1 %. The measure is flat; the paper's weighting by a Gaussian prior and its divergence between outputs in place of the \
            loss are left out.",
        source: "Scherlis, Belrose 2025 (arXiv 2501.18812), code: EleutherAI/basin-volume, get_estimates_vectorized; on the loss as in arXiv \
            2511.04808",
        error: "the standard error over the directions; the bias of `value` is unknown",
        cost: "about 12 forward passes per direction",
    };
    const SHARPNESS: &'static [(&'static str, &'static str)] =
        &[("value", "-log volume"), ("typical", "-log volume of a typical direction")];
    const COLUMNS: &'static [(&'static str, ColumnType)] = &[
        ("value", ColumnType::Double),
        ("standard_error", ColumnType::Double),
        ("effective_directions", ColumnType::Double),
        ("typical", ColumnType::Double),
        ("typical_standard_error", ColumnType::Double),
        ("radius", ColumnType::Double),
        ("directions", ColumnType::Integer),
        ("passes", ColumnType::Integer),
    ];

    type Found = ();
    type Outcome = LocalVolumeOutcome;

    fn products<B: Backend>(&self, _: &mut AtWeights<'_, '_, B>) -> Result<()> {
        Ok(())
    }

    fn conclude<B: Backend>(&self, (): (), at: &Solution<'_, '_, B>) -> Result<LocalVolumeOutcome> {
        let (problem, parameters) = (at.problem, &at.weights.parameters);
        let mut objective = Objective::values(problem, at.weights);
        let loss = objective.value(problem.numbers(), parameters)?.loss;
        let [mut direction, mut moved] = [vec![0.0; parameters.len()], parameters.clone()];
        let (mut passes, mut logs) = (1, Vec::new());
        let mut start = (0.01 * norm(parameters)).max(f64::MIN_POSITIVE.sqrt());
        for draw in (0..).take(self.directions) {
            normal(problem.subject().seed, draw, &mut direction);
            scale_to(&mut direction, 1.0);
            let bracket = crossing(start, RTOL, |radius| {
                problem.report(Phase::Measure(Self::NAME), (passes, f64::NAN, f64::NAN));
                for (moved, (w, u)) in moved.iter_mut().zip(parameters.iter().zip(&direction)) {
                    *moved = w + radius * u;
                }
                passes += 1;
                let here = objective.value(problem.numbers(), &moved)?.loss;
                // What is not finite is above.
                Ok(here - loss > self.cutoff || !here.is_finite())
            })?;
            let Some([below, above]) = bracket else { break };
            // A radius of another direction is a good start.
            start = (below * above).sqrt();
            logs.push(start.ln());
        }
        Ok(outcome(&logs, parameters.len(), (self.directions, passes)))
    }

    fn summary(outcome: &LocalVolumeOutcome) -> Vec<(&'static str, String)> {
        let work =
            format!("{}, {} forward passes", plural(outcome.directions, "direction"), count(outcome.passes));
        let text = |value: f64, error: Option<f64>| {
            error.map_or_else(|| significant(value, 6), |error| with_error(value, error))
        };
        let line = match (outcome.value, outcome.typical) {
            (Some(value), Some(typical)) => format!(
                "-ln V is at most {} in expectation, and {} by a typical direction (standard errors)  ({work})",
                text(value, outcome.standard_error),
                text(typical, outcome.typical_standard_error)
            ),
            _ => format!("unbounded: the loss does not rise by the cutoff along a direction  ({work})"),
        };
        vec![("volume", line)]
    }
}

/// The outcome from the logarithms of the radii in `dim` dimensions.
fn outcome(logs: &[f64], dim: usize, (directions, passes): (usize, usize)) -> LocalVolumeOutcome {
    let mut outcome = LocalVolumeOutcome {
        value: None,
        standard_error: None,
        effective_directions: None,
        typical: None,
        typical_standard_error: None,
        radius: None,
        directions,
        passes,
    };
    if logs.len() < directions {
        return outcome;
    }
    let (n, ball) = (dim as f64, log_ball(dim));
    let (center, error) = mean(logs);
    outcome.typical = center.map(|center| -(ball + n * center));
    outcome.typical_standard_error = error.map(|error| n * error);
    outcome.radius = center.map(f64::exp);
    // Powers relative to the largest, which alone might overflow.
    let largest = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let powers: Vec<f64> = logs.iter().map(|log| (n * (log - largest)).exp()).collect();
    let (power, power_error) = mean(&powers);
    outcome.value = power.map(|power| -(ball + n * largest + power.ln()));
    outcome.standard_error = power_error.zip(power).map(|(error, power)| error / power);
    let (sum, squares) = (powers.iter().sum::<f64>(), powers.iter().map(|x| x * x).sum::<f64>());
    outcome.effective_directions = Some(sum * sum / squares);
    outcome
}

/// The logarithm of the volume of the unit ball: `V(n) = V(n - 2) · 2π/n`, `V(0) = 1`, `V(1) = 2`.
fn log_ball(dim: usize) -> f64 {
    let first = if dim.is_multiple_of(2) { 0.0 } else { 2_f64.ln() };
    first + (2..=dim).rev().step_by(2).map(|n| (TAU / n as f64).ln()).sum::<f64>()
}
