//! The largest eigenvalues and the trace of a matrix.

use serde::{Deserialize, Serialize};
use sharpness_curvature::{
    EigenParams, Eigenpairs, HutchinsonEstimate, HutchinsonParams, Which, eigenpairs, trace,
};
use sharpness_network::backend::Backend;

use super::double::check;
use super::eigenvalue::Eigenvalue;
use super::measure::{AtWeights, Solution};
use super::problem::norm;
use super::target::Target;
use super::trace::TraceOutcome;
use crate::Result;
use crate::columns::ColumnType;
use crate::number::{plural, significant, with_error};
use crate::progress::Phase;

/// The largest eigenvalues of a matrix and its trace, as a measure reports them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SpectrumOutcome {
    /// The largest eigenvalue.
    pub lambda_max: Eigenvalue,
    /// The largest eigenvalues, the largest first, if more than one was requested.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub top: Vec<Eigenvalue>,
    /// The trace.
    pub trace: TraceOutcome,
}

impl SpectrumOutcome {
    /// Its columns in a table of runs.
    pub const COLUMNS: &[(&str, ColumnType)] = &[
        ("lambda_max.value", ColumnType::Double),
        ("lambda_max.residual", ColumnType::Double),
        ("lambda_max.lower", ColumnType::Double),
        ("lambda_max.lower_failure_probability", ColumnType::Double),
        ("lambda_max.upper", ColumnType::Double),
        ("lambda_max.upper_failure_probability", ColumnType::Double),
        ("lambda_max.interval", ColumnType::Text),
        ("lambda_max.products", ColumnType::Integer),
        ("lambda_max.converged", ColumnType::Boolean),
        ("lambda_max.certified", ColumnType::Boolean),
        ("top", ColumnType::Text),
        ("trace.value", ColumnType::Double),
        ("trace.standard_error", ColumnType::Double),
        ("trace.probes", ColumnType::Integer),
    ];

    /// Whether every eigenvalue meets the tolerances.
    pub(super) fn is_converged(&self) -> bool {
        self.lambda_max.converged && self.top.iter().all(|one| one.converged)
    }

    /// The outcome as text; `name` is that of the matrix.
    pub(super) fn summary(&self, name: &'static str) -> Vec<(&'static str, String)> {
        let mut lines = vec![(name, format!("λ_max {}", self.lambda_max.value_text()))];
        lines.push(("", self.lambda_max.bounds_text()));
        if !self.top.is_empty() {
            let values: Vec<String> = self.top.iter().map(|one| significant(one.value, 6)).collect();
            lines.push(("", format!("largest {}", values.join(", "))));
        }
        let trace = with_error(self.trace.value, self.trace.standard_error);
        let probes = plural(self.trace.probes, "probe");
        lines.push(("", format!("trace {trace} (standard error)  ({probes})")));
        lines
    }
}

/// What products have found of it.
#[derive(Debug)]
pub struct Found {
    target: Target,
    largest: Eigenpairs,
    trace: HutchinsonEstimate,
}

impl Target {
    /// Finds the `k` largest eigenvalues, and the trace to `rtol` or from `probes` probes.
    pub(super) fn find<B: Backend>(
        self,
        at: &mut AtWeights<'_, '_, B>,
        k: usize,
        (rtol, probes): (f64, usize),
    ) -> Result<Found> {
        let largest = self.largest(at, k)?;
        let block = at.problem.block(&at.operator);
        let params = HutchinsonParams { rtol, max_probes: probes, block, seed: at.problem.subject().seed };
        let (name, problem) = (self.name, at.problem);
        let trace = self.with(&mut at.operator, |operator| {
            trace(operator, &params, &mut |p| {
                problem.report(Phase::Measure(name), (p.probes, p.value, p.standard_error));
            })
        })?;
        Ok(Found { target: self, largest, trace })
    }

    /// The `k` largest eigenvalues.
    pub(super) fn largest<B: Backend>(&self, at: &mut AtWeights<'_, '_, B>, k: usize) -> Result<Eigenpairs> {
        let (name, problem) = (self.name, at.problem);
        let start = self.start(at.operator.gradient());
        let params = problem.params(Which::LargestAlgebraic, k.min(start.len()));
        let start = if norm(&start) > 0.0 { vec![start] } else { Vec::new() };
        let params = EigenParams { start, ..params };
        self.with(&mut at.operator, |operator| {
            eigenpairs(operator, &params, &mut |p| {
                problem.report(Phase::Measure(name), (p.products, p.value, p.residual));
            })
        })
    }

    /// The eigenvalues found, checked in double precision.
    pub(super) fn checked<B: Backend>(
        &self,
        solved: Eigenpairs,
        at: &Solution<'_, '_, B>,
    ) -> Result<Vec<Eigenvalue>> {
        let checked = check(at.problem, at.weights, self, Which::LargestAlgebraic, solved)?;
        Ok(Eigenvalue::all(&checked, Which::LargestAlgebraic, at.problem.subject().settings))
    }
}

impl Found {
    /// The outcome, with eigenvalues that are checked in double precision.
    pub(super) fn conclude<B: Backend>(self, at: &Solution<'_, '_, B>) -> Result<SpectrumOutcome> {
        let top = self.target.checked(self.largest, at)?;
        let lambda_max = top[0].clone();
        let top = if top.len() > 1 { top } else { Vec::new() };
        Ok(SpectrumOutcome { lambda_max, top, trace: TraceOutcome::from(&self.trace) })
    }
}
