//! m-sharpness: how much the loss of a few examples can rise within a distance of the weights, on average over the examples.

use serde::{Deserialize, Serialize};
use sharpness_network::Weights;
use sharpness_network::backend::Backend;

use super::ascent::{add, scale_to};
use super::draws::{groups, mean};
use super::measure::{AtWeights, Definition, Flag, Measure, Solution};
use super::problem::norm;
use super::value::Objective;
use crate::Result;
use crate::columns::ColumnType;
use crate::number::{plural, significant, with_error};
use crate::progress::Phase;
use crate::range::{Count, Positive, within};

/// The mean rise of the loss of groups of examples.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MSharpness {
    /// Examples of a group.
    #[serde(deserialize_with = "within::<_, Count>")]
    pub m: usize,
    /// The radius ρ.
    #[serde(deserialize_with = "within::<_, Positive>")]
    pub rho: f64,
    /// The most groups.
    #[serde(deserialize_with = "within::<_, Count>")]
    pub groups: usize,
    /// Steps of an ascent: 1 for that of SAM.
    #[serde(deserialize_with = "within::<_, Count>")]
    pub steps: usize,
}

impl Default for MSharpness {
    fn default() -> Self {
        Self { m: 128, rho: 0.05, groups: 16, steps: 1 }
    }
}

/// The mean over the groups.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct MSharpnessOutcome {
    /// The radius ρ.
    pub rho: f64,
    /// Examples of a group.
    pub m: usize,
    /// The number of groups.
    pub groups: usize,
    /// The mean of the largest rises that were found; the mean of the maxima is at least this but for its standard error. Unset if a loss
    /// is no finite number.
    pub value: Option<f64>,
    /// Its standard error over the groups; unset if there is one group.
    pub standard_error: Option<f64>,
}

impl Measure for MSharpness {
    const NAME: &'static str = "m_sharpness";
    const HELP: &'static str = "Average the rise of the loss of this many examples in the direction of their gradient, m-sharpness [default of \
         M: 128]";
    const FLAG: Flag = Flag::Optional("M");
    const MAIN: Option<&'static str> = Some("m");
    const DEFINITION: Definition = Definition {
        title: "m-sharpness",
        text: "The mean over groups S of m examples of max L_S(w + ε) - L_S(w) over ‖ε‖₂ ≤ ρ, where L_S is the mean loss of the group. The maximum \
            is searched by `steps` steps ε ← ρ ∇L_S(w + ε)/‖∇L_S(w + ε)‖ from ε = 0; one step is the perturbation of SAM. The `groups` groups are \
            disjoint and drawn at random from the measured examples. With batch statistics, batch norm sees the group, in chunks if it is larger \
            than a chunk.",
        source: "Foret, Kleiner, Mobahi, Neyshabur 2021 (arXiv 2010.01412), section 4.1",
        error: "the standard error over the groups; each group's rise is a lower bound on its maximum",
        cost: "`steps` gradients and a forward pass of `groups` · m examples",
    };
    const SHARPNESS: &'static [(&'static str, &'static str)] = &[("value", "m-sharpness")];
    const COLUMNS: &'static [(&'static str, ColumnType)] = &[
        ("rho", ColumnType::Double),
        ("m", ColumnType::Integer),
        ("groups", ColumnType::Integer),
        ("value", ColumnType::Double),
        ("standard_error", ColumnType::Double),
    ];

    type Found = ();
    type Outcome = MSharpnessOutcome;

    fn products<B: Backend>(&self, _: &mut AtWeights<'_, '_, B>) -> Result<()> {
        Ok(())
    }

    fn conclude<B: Backend>(&self, (): (), at: &Solution<'_, '_, B>) -> Result<MSharpnessOutcome> {
        let groups = groups(at.problem, self.m, self.groups);
        let mut objective = Objective::gradients(at.problem, at.weights);
        let mut rises = Vec::new();
        for group in &groups {
            at.problem.report(Phase::Measure(Self::NAME), (rises.len(), f64::NAN, f64::NAN));
            rises.push(self.rise(&mut objective, group, at.weights)?);
        }
        let (value, standard_error) = mean(&rises);
        Ok(MSharpnessOutcome {
            rho: self.rho,
            m: groups[0].len(),
            groups: groups.len(),
            value,
            standard_error,
        })
    }

    fn summary(outcome: &MSharpnessOutcome) -> Vec<(&'static str, String)> {
        let MSharpnessOutcome { rho, m, groups, value, standard_error } = *outcome;
        let of = format!("within ρ = {rho}, {} of {m} examples", plural(groups, "group"));
        let line = match (value, standard_error) {
            (Some(value), Some(error)) => {
                format!("at least {} (standard error) {of}", with_error(value, error))
            }
            (Some(value), None) => format!("at least {} {of}", significant(value, 4)),
            (None, _) => format!("not finite {of}"),
        };
        vec![("m-sharpness", line)]
    }
}

impl MSharpness {
    /// The largest rise that was found of the mean loss of the examples `group`; not finite if no loss on the way is.
    fn rise<B: Backend>(
        &self,
        objective: &mut Objective<'_, '_, B>,
        group: &[u32],
        weights: &Weights,
    ) -> Result<f64> {
        let parameters = &weights.parameters;
        let [mut moved, mut direction] = [parameters.clone(), vec![0.0; parameters.len()]];
        let start = objective.gradient(group, &moved, &mut direction)?.loss;
        let mut largest = start;
        for step in 1..=self.steps {
            if !norm(&direction).is_finite() {
                return Ok(f64::NAN);
            }
            if !scale_to(&mut direction, self.rho) {
                break;
            }
            add(parameters, &direction, &mut moved);
            let sums = if step < self.steps {
                objective.gradient(group, &moved, &mut direction)?
            } else {
                objective.value(group, &moved)?
            };
            if !sums.loss.is_finite() {
                return Ok(f64::NAN);
            }
            largest = largest.max(sums.loss);
        }
        Ok(largest - start)
    }
}
