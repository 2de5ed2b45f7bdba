//! λ_max between two iterates (Kaur, Cohen, Lipton 2022, section 3.5): with batch norm and small learning rates, the
//! sharpness along a step matters more than that at the iterates themselves.

use serde::{Deserialize, Serialize};
use sharpness_curvature::{Which, eigenpairs};
use sharpness_network::Weights;
use sharpness_network::backend::Backend;

use super::measure::{AtWeights, Definition, Flag, Measure, Solution};
use super::memory::weights_bytes;
use super::problem::{Problem, Subject, solver_error};
use crate::columns::ColumnType;
use crate::number::significant;
use crate::progress::{MeasureProgress, Phase};
use crate::settings::MeasureConfig;
use crate::{Error, Result};

/// The last point is `STEPS / STEPS`; there are `STEPS + 1`.
const STEPS: u32 = 7;

/// λ_max between the final iterate and the next one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BetweenIterates {}

/// λ_max at eight points evenly spaced on the segment between two iterates, both included.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BetweenIteratesOutcome {
    /// The points, from the first iterate to the second.
    pub points: Vec<Iterate>,
    /// The largest of their λ_max.
    pub maximum: f64,
    /// The point where it was found, as [`Iterate::t`].
    pub at: f64,
}

/// One point of the segment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Iterate {
    /// The place: 0 is the first iterate and 1 the second.
    pub t: f64,
    /// The largest eigenvalue of the Hessian there, as [`Eigenvalue::value`](super::Eigenvalue::value).
    pub lambda_max: f64,
    /// Its residual.
    pub residual: f64,
    /// The mean loss there.
    pub loss: f64,
    /// Hessian-vector products that it took.
    pub products: usize,
    /// Whether the residual reached the requested tolerance.
    pub converged: bool,
}

/// The weights and running statistics `(1 - t) from + t to`; exactly `from` at 0 and `to` at 1.
///
/// # Panics
/// If the two are not of one network.
pub fn interpolate(from: &Weights, to: &Weights, t: f64) -> Weights {
    let mix = |from: &[f64], to: &[f64]| {
        assert_eq!(from.len(), to.len(), "both iterates are of one network");
        from.iter().zip(to).map(|(from, to)| (1.0 - t) * from + t * to).collect()
    };
    Weights { parameters: mix(&from.parameters, &to.parameters), state: mix(&from.state, &to.state) }
}

impl Measure for BetweenIterates {
    const NAME: &'static str = "between_iterates";
    const HELP: &'static str = "Also search λ_max at eight points on the way to the next iterate";
    const FLAG: Flag = Flag::Switch;
    const MAIN: Option<&'static str> = None;
    const DEFINITION: Definition = Definition {
        title: "Between iterates",
        text: "The largest λ_max(H) at eight points evenly spaced on the segment from the weights to the next iterate of their training.",
        source: "Kaur, Cohen, Lipton 2022, section 3.5",
        error: "the residual of each point",
        cost: "eight solves",
    };
    const SHARPNESS: &'static [(&'static str, &'static str)] = &[("maximum", "λ_max between iterates")];
    const COLUMNS: &'static [(&'static str, ColumnType)] =
        &[("points", ColumnType::Text), ("maximum", ColumnType::Double), ("at", ColumnType::Double)];

    type Found = ();
    type Outcome = BetweenIteratesOutcome;

    fn products<B: Backend>(&self, _: &mut AtWeights<'_, '_, B>) -> Result<()> {
        Ok(())
    }

    /// Measures λ_max at eight points `i/7` on the segment between the iterates, running statistics included. Each solve after the
    /// first starts from the eigenvector of the point before. The error of a loss that is not finite names the point.
    fn conclude<B: Backend>(&self, (): (), at: &Solution<'_, '_, B>) -> Result<BetweenIteratesOutcome> {
        let Some(next) = at.next else {
            let problem = "the next iterate is known only when a run is measured";
            return Err(Error::MeasureSetting { name: "between_iterates", problem });
        };
        let subject = at.problem.subject();
        let settings = MeasureConfig { top_k: 1, ..subject.settings.clone() };
        // Besides the two iterates there is the point between.
        let budget = subject.budget.less(weights_bytes(at.problem.network()));
        let subject = Subject { settings: &settings, budget, ..*subject };
        let problem = Problem::new(subject, at.problem.watcher())?;
        points(&problem, at.weights, next)
    }

    fn is_converged(outcome: &BetweenIteratesOutcome) -> bool {
        outcome.points.iter().all(|point| point.converged)
    }

    fn summary(outcome: &BetweenIteratesOutcome) -> Vec<(&'static str, String)> {
        let (points, value) = (outcome.points.len(), significant(outcome.maximum, 5));
        let at = significant(outcome.at, 2);
        let line = format!(
            "{value}, the largest λ_max of {points} points up to the next iterate (at {at} of the way)"
        );
        vec![("between", line)]
    }
}

/// λ_max at the points of the segment.
fn points<B: Backend>(
    problem: &Problem<'_, B>,
    from: &Weights,
    to: &Weights,
) -> Result<BetweenIteratesOutcome> {
    let mut params = problem.params(Which::LargestAlgebraic, 1);
    let (mut points, memory) = (Vec::new(), problem.memory());
    for i in 0..=STEPS {
        let t = f64::from(i) / f64::from(STEPS);
        let point = Some((i as usize + 1, STEPS as usize + 1));
        let report = |phase, products, value, residual| {
            problem.watcher().report(&MeasureProgress { phase, products, value, residual, point, memory });
        };
        report(Phase::Gradient, 0, f64::NAN, f64::NAN);
        let place = format!("point {i}/{STEPS} between the iterates");
        let mut operator = problem.linearize(&interpolate(from, to, t), &place)?;
        let mut solved = eigenpairs(&mut operator, &params, &mut |p| {
            report(Phase::LambdaMax, p.products, p.value, p.residual);
        })
        .map_err(solver_error)?;
        let converged = solved.converged();
        let pair = solved.pairs.swap_remove(0);
        points.push(Iterate {
            t,
            lambda_max: pair.value,
            residual: pair.residual,
            loss: operator.loss(),
            products: solved.products,
            converged,
        });
        params.start = vec![pair.vector];
    }
    let (maximum, at) = points
        .iter()
        .map(|point| (point.lambda_max, point.t))
        .fold((f64::NEG_INFINITY, 0.0), |best, point| if point.0 > best.0 { point } else { best });
    Ok(BetweenIteratesOutcome { points, maximum, at })
}
