//! Effective ranks of the Hessian: how many eigenvalues as large as λ_max would have its trace, or its Frobenius norm.

use serde::{Deserialize, Serialize};
use sharpness_curvature::{HutchinsonEstimate, Probes, SymmetricOperator};
use sharpness_network::backend::Backend;

use super::estimate::Estimate;
use super::measure::{AtWeights, Definition, Flag, Measure, Solution};
use super::problem::solver_error;
use super::trace;
use super::{Eigenvalue, frobenius};
use crate::Result;
use crate::columns::ColumnType;
use crate::number::with_error;
use crate::progress::Phase;
use crate::range::{self, within};

/// Effective ranks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EffectiveRank {
    /// The most probes; each takes one product.
    #[serde(deserialize_with = "within::<_, range::Probes>")]
    pub probes: usize,
}

impl Default for EffectiveRank {
    fn default() -> Self {
        Self { probes: 100 }
    }
}

/// Two effective ranks.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct EffectiveRankOutcome {
    /// `tr H / λ_max`.
    pub trace: Estimate,
    /// `‖H‖_F² / λ_max²`, the stable rank.
    pub frobenius: Estimate,
}

impl Measure for EffectiveRank {
    const NAME: &'static str = "effective_rank";
    const HELP: &'static str =
        "Estimate the effective ranks tr H / λ_max and ‖H‖_F² / λ_max² too [default of PROBES: 100]";
    const FLAG: Flag = Flag::Optional("PROBES");
    const MAIN: Option<&'static str> = Some("probes");
    const DEFINITION: Definition = Definition {
        title: "Effective rank",
        text: "tr H / λ_max and the stable rank ‖H‖_F² / λ_max²: the number of eigenvalues as large as λ_max that would have the trace, or the Frobenius norm, of H.",
        source: "Rudelson and Vershynin 2007; Tropp 2015, section 2.1.15",
        error: "the standard error over the probes, to first order, with the residual of λ_max",
        cost: "none beside `--trace` and `--frobenius`, whose probes it shares",
    };
    const SHARPNESS: &'static [(&'static str, &'static str)] =
        &[("trace.value", "tr H / λ_max"), ("frobenius.value", "‖H‖_F² / λ_max²")];
    const COLUMNS: &'static [(&'static str, ColumnType)] = &[
        ("trace.value", ColumnType::Double),
        ("trace.standard_error", ColumnType::Double),
        ("frobenius.value", ColumnType::Double),
        ("frobenius.standard_error", ColumnType::Double),
    ];
    const TRACKED: &'static [(&'static str, i64)] = &[("probes", 10)];

    type Found = [HutchinsonEstimate; 2];
    type Outcome = EffectiveRankOutcome;

    fn products<B: Backend>(&self, at: &mut AtWeights<'_, '_, B>) -> Result<Self::Found> {
        let problem = at.problem;
        let mut report = |p: &HutchinsonEstimate| {
            problem.report(Phase::Measure(Self::NAME), (p.probes, p.value, p.standard_error));
        };
        let estimate = |probes: &mut Probes, operator: &mut dyn SymmetricOperator| {
            let trace = probes.trace(operator, trace::RTOL, self.probes, &mut report)?;
            let squared =
                probes.squared_frobenius_norm(operator, frobenius::RTOL, self.probes, &mut report)?;
            Ok([trace, squared])
        };
        let count = |[trace, squared]: &Self::Found| trace.probes.max(squared.probes);
        at.probes.estimate(&mut at.operator, estimate, count).map_err(solver_error)
    }

    fn conclude<B: Backend>(
        &self,
        [trace, squared]: Self::Found,
        at: &Solution<'_, '_, B>,
    ) -> Result<EffectiveRankOutcome> {
        let outcome = EffectiveRankOutcome {
            trace: quotient(&trace, &at.lambda_max, 1),
            frobenius: quotient(&squared, &at.lambda_max, 2),
        };
        Ok(outcome)
    }

    fn summary(outcome: &EffectiveRankOutcome) -> Vec<(&'static str, String)> {
        let [trace, frobenius] =
            [outcome.trace, outcome.frobenius].map(|one| with_error(one.value, one.standard_error));
        vec![("ranks", format!("tr H / λ_max {trace}, ‖H‖_F² / λ_max² {frobenius} (standard errors)"))]
    }
}

/// `estimate / λ_max^power`, with its error to first order.
fn quotient(estimate: &HutchinsonEstimate, lambda_max: &Eigenvalue, power: i32) -> Estimate {
    let divisor = lambda_max.value.powi(power);
    let value = estimate.value / divisor;
    let of_divisor = f64::from(power) * value * lambda_max.residual / lambda_max.value;
    Estimate { value, standard_error: (estimate.standard_error / divisor).hypot(of_divisor) }
}
