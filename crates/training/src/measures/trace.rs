//! The trace of the Hessian.

use serde::{Deserialize, Serialize};
use sharpness_curvature::{
    HutchinsonEstimate, HutchinsonParams, Probes, SymmetricOperator, hutch_plus_plus, xtrace,
};
use sharpness_network::backend::Backend;

use super::measure::{AtWeights, Definition, Flag, Measure, Solution};
use super::problem::solver_error;
use crate::Result;
use crate::columns::ColumnType;
use crate::number::{plural, with_error};
use crate::progress::Phase;
use crate::range::{self, within};

/// The standard error of a trace, as a fraction of it, at which no further probe is taken.
pub(super) const RTOL: f64 = 0.01;

/// The trace of the Hessian.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Trace {
    /// The most probes; each takes one Hessian-vector product.
    #[serde(deserialize_with = "within::<_, range::Probes>")]
    pub probes: usize,
    /// The estimator: `hutchinson`, `hutch++` or `xtrace`.
    pub method: TraceMethod,
}

/// An estimator of the trace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum TraceMethod {
    /// The mean of `vᵀ H v` (Hutchinson 1990).
    #[default]
    #[serde(rename = "hutchinson")]
    Hutchinson,
    /// The trace on a random basis, and Hutchinson's estimate of the rest (Meyer et al. 2021).
    #[serde(rename = "hutch++")]
    HutchPlusPlus,
    /// The same, averaged over which vector is left out of the basis (Epperly, Tropp, Webber 2024).
    #[serde(rename = "xtrace")]
    XTrace,
}

impl Default for Trace {
    fn default() -> Self {
        Self { probes: 100, method: TraceMethod::default() }
    }
}

impl Trace {
    /// The random vectors of the basis of Hutch++, which takes as many products twice: a third of all (Meyer et al. 2021, theorem 4).
    const fn sketch(&self) -> usize {
        self.probes / 3
    }
}

/// An estimate of the trace.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TraceOutcome {
    /// The mean.
    pub value: f64,
    /// Its standard error over the probes.
    pub standard_error: f64,
    /// The number of probes; each took one Hessian-vector product.
    pub probes: usize,
}

impl From<&HutchinsonEstimate> for TraceOutcome {
    fn from(estimate: &HutchinsonEstimate) -> Self {
        let &HutchinsonEstimate { value, standard_error, probes, .. } = estimate;
        Self { value, standard_error, probes }
    }
}

impl Measure for Trace {
    const NAME: &'static str = "trace";
    const HELP: &'static str =
        "Estimate the trace of the Hessian too, to 1 % or from this many probes [default of PROBES: 100]";
    const FLAG: Flag = Flag::Optional("PROBES");
    const MAIN: Option<&'static str> = Some("probes");
    const DEFINITION: Definition = Definition {
        title: "Trace",
        text: "tr H, the sum of the eigenvalues of the Hessian: with `method = \"hutchinson\"` the mean of vᵀHv over vectors v of random signs. `hutch++` and `xtrace` compute the trace on the range of a random basis and estimate the rest; they need fewer products if few eigenvalues dominate, and share none with other measures. On the command line: `--trace='{ method = \"xtrace\" }'`.",
        source: "Hutchinson 1990; Meyer et al. 2021, arXiv 2010.09649; Epperly, Tropp, Webber 2024, arXiv 2301.07825",
        error: "the standard error over the probes; that of XTrace is conservative",
        cost: "one product per probe",
    };
    const SHARPNESS: &'static [(&'static str, &'static str)] = &[("value", "tr H")];
    const COLUMNS: &'static [(&'static str, ColumnType)] = &[
        ("value", ColumnType::Double),
        ("standard_error", ColumnType::Double),
        ("probes", ColumnType::Integer),
    ];
    const TRACKED: &'static [(&'static str, i64)] = &[("probes", 10)];

    type Found = HutchinsonEstimate;
    type Outcome = TraceOutcome;

    fn held_vectors(&self, _: usize) -> usize {
        match self.method {
            TraceMethod::Hutchinson => 0,
            TraceMethod::HutchPlusPlus => self.sketch(),
            TraceMethod::XTrace => self.probes,
        }
    }

    fn products<B: Backend>(&self, at: &mut AtWeights<'_, '_, B>) -> Result<HutchinsonEstimate> {
        let problem = at.problem;
        let mut report = |p: &HutchinsonEstimate| {
            problem.report(Phase::Measure(Self::NAME), (p.probes, p.value, p.standard_error));
        };
        let block = problem.block(&at.operator);
        let params =
            HutchinsonParams { rtol: RTOL, max_probes: self.probes, block, seed: problem.subject().seed };
        match self.method {
            TraceMethod::Hutchinson => {}
            TraceMethod::HutchPlusPlus => {
                return hutch_plus_plus(&mut at.operator, self.sketch(), &params, &mut report)
                    .map_err(solver_error);
            }
            TraceMethod::XTrace => {
                return xtrace(&mut at.operator, &params, &mut report).map_err(solver_error);
            }
        }
        let estimate = |probes: &mut Probes, operator: &mut dyn SymmetricOperator| {
            probes.trace(operator, RTOL, self.probes, &mut report)
        };
        at.probes.estimate(&mut at.operator, estimate, |found| found.probes).map_err(solver_error)
    }

    fn conclude<B: Backend>(
        &self,
        found: HutchinsonEstimate,
        _: &Solution<'_, '_, B>,
    ) -> Result<TraceOutcome> {
        Ok(TraceOutcome::from(&found))
    }

    fn summary(outcome: &TraceOutcome) -> Vec<(&'static str, String)> {
        let value = with_error(outcome.value, outcome.standard_error);
        vec![("trace", format!("{value} (standard error)  ({})", plural(outcome.probes, "probe")))]
    }
}
