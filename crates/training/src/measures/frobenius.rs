//! The Frobenius norm of the Hessian, the root of the sum of its squared eigenvalues: `‖H‖²` is the mean of `‖H v‖²` over vectors
//! `v` of random signs.

use serde::{Deserialize, Serialize};
use sharpness_curvature::{HutchinsonEstimate, Probes, SymmetricOperator};
use sharpness_network::backend::Backend;

use super::measure::{AtWeights, Definition, Flag, Measure, Solution};
use super::problem::solver_error;
use crate::Result;
use crate::columns::ColumnType;
use crate::number::{plural, with_error};
use crate::progress::Phase;
use crate::range::{self, within};

/// The standard error of the squared norm, as a fraction of it, at which no further probe is taken: 1 % of the norm.
pub(super) const RTOL: f64 = 0.02;

/// The Frobenius norm of the Hessian.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Frobenius {
    /// The most probes; each takes one Hessian-vector product.
    #[serde(deserialize_with = "within::<_, range::Probes>")]
    pub probes: usize,
}

impl Default for Frobenius {
    fn default() -> Self {
        Self { probes: 100 }
    }
}

/// An estimate of the norm.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FrobeniusOutcome {
    /// The norm.
    pub value: f64,
    /// Its standard error to first order, over the probes.
    pub standard_error: f64,
    /// The number of probes; each took one Hessian-vector product.
    pub probes: usize,
}

impl Measure for Frobenius {
    const NAME: &'static str = "frobenius";
    const HELP: &'static str = "Estimate the Frobenius norm of the Hessian too, to 1 % or from this many probes [default of PROBES: 100]";
    const FLAG: Flag = Flag::Optional("PROBES");
    const MAIN: Option<&'static str> = Some("probes");
    const DEFINITION: Definition = Definition {
        title: "Frobenius norm",
        text: "‖H‖_F, the root of the sum of the squared eigenvalues of the Hessian: ‖H‖_F² is the mean of ‖Hv‖² over vectors v of random signs.",
        source: "Tahmasebi et al. 2024",
        error: "the standard error over the probes, to first order",
        cost: "one product per probe",
    };
    const SHARPNESS: &'static [(&'static str, &'static str)] = &[("value", "‖H‖_F")];
    const COLUMNS: &'static [(&'static str, ColumnType)] = &[
        ("value", ColumnType::Double),
        ("standard_error", ColumnType::Double),
        ("probes", ColumnType::Integer),
    ];
    const TRACKED: &'static [(&'static str, i64)] = &[("probes", 10)];

    type Found = HutchinsonEstimate;
    type Outcome = FrobeniusOutcome;

    fn products<B: Backend>(&self, at: &mut AtWeights<'_, '_, B>) -> Result<HutchinsonEstimate> {
        let problem = at.problem;
        let mut report = |p: &HutchinsonEstimate| {
            let FrobeniusOutcome { value, standard_error, probes } = outcome(p);
            problem.report(Phase::Measure(Self::NAME), (probes, value, standard_error));
        };
        let estimate = |probes: &mut Probes, operator: &mut dyn SymmetricOperator| {
            probes.squared_frobenius_norm(operator, RTOL, self.probes, &mut report)
        };
        at.probes.estimate(&mut at.operator, estimate, |found| found.probes).map_err(solver_error)
    }

    fn conclude<B: Backend>(
        &self,
        found: HutchinsonEstimate,
        _: &Solution<'_, '_, B>,
    ) -> Result<FrobeniusOutcome> {
        Ok(outcome(&found))
    }

    fn summary(outcome: &FrobeniusOutcome) -> Vec<(&'static str, String)> {
        let value = with_error(outcome.value, outcome.standard_error);
        vec![("‖H‖_F", format!("{value} (standard error)  ({})", plural(outcome.probes, "probe")))]
    }
}

/// The norm with its error, from the square with its: `d‖H‖ = d‖H‖² / (2 ‖H‖)`.
fn outcome(squared: &HutchinsonEstimate) -> FrobeniusOutcome {
    let value = squared.value.sqrt();
    let standard_error =
        if value > 0.0 { squared.standard_error / (2.0 * value) } else { squared.standard_error };
    FrobeniusOutcome { value, standard_error, probes: squared.probes }
}
