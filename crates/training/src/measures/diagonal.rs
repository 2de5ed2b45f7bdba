//! The diagonal of the Hessian.

use serde::{Deserialize, Serialize};
use sharpness_curvature::{DiagonalEstimate, Probes, ProbesParams, SymmetricOperator};
use sharpness_network::Network;
use sharpness_network::backend::Backend;

use super::measure::{AtWeights, Definition, Flag, Measure, Solution};
use super::problem::solver_error;
use crate::Result;
use crate::columns::ColumnType;
use crate::number::{percent, plural, significant};
use crate::progress::Phase;
use crate::range::{self, within};

/// The diagonal of the Hessian.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Diagonal {
    /// The number of probes; each takes one product.
    #[serde(deserialize_with = "within::<_, range::Probes>")]
    pub probes: usize,
}

impl Default for Diagonal {
    fn default() -> Self {
        Self { probes: 100 }
    }
}

/// What the estimated entries look like. The entries themselves are among the [vectors](super::Measurement::vectors).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct DiagonalOutcome {
    /// The Euclidean norm of the estimated entries. Their errors enlarge it.
    pub norm: f64,
    /// The root of the summed squares of their standard errors.
    pub error_norm: f64,
    /// The share of entries below zero by more than twice their standard error.
    pub negative_share: f64,
    /// The number of probes; each took one product.
    pub probes: usize,
}

impl Measure for Diagonal {
    const NAME: &'static str = "diagonal";
    const HELP: &'static str = "Estimate the diagonal of the Hessian too, from this many probes; --vectors writes it [default of PROBES: 100]";
    const FLAG: Flag = Flag::Optional("PROBES");
    const MAIN: Option<&'static str> = Some("probes");
    const DEFINITION: Definition = Definition {
        title: "Diagonal",
        text: "The diagonal of H, the mean of v ⊙ Hv over vectors v of random signs. `--vectors` writes the entries with their standard errors; the report has their norm, the norm of the errors, and the share of entries that are negative by more than two standard errors.",
        source: "Bekas, Kokiopoulou, Saad 2007",
        error: "a standard error for each entry; of the norm, the norm of these",
        cost: "one product per probe, which `--trace` shares",
    };
    const SHARPNESS: &'static [(&'static str, &'static str)] = &[];
    const COLUMNS: &'static [(&'static str, ColumnType)] = &[
        ("norm", ColumnType::Double),
        ("error_norm", ColumnType::Double),
        ("negative_share", ColumnType::Double),
        ("probes", ColumnType::Integer),
    ];
    const TRACKED: &'static [(&'static str, i64)] = &[("probes", 10)];

    type Found = DiagonalOutcome;
    type Outcome = DiagonalOutcome;

    fn held_vectors(&self, _: usize) -> usize {
        4
    }

    fn share_probes<B: Backend>(&self, _: &Network<B>, probes: &mut ProbesParams) {
        probes.diagonal_probes = self.probes;
    }

    fn products<B: Backend>(&self, at: &mut AtWeights<'_, '_, B>) -> Result<DiagonalOutcome> {
        let problem = at.problem;
        let mut report = |probes: usize| {
            problem.report(Phase::Measure(Self::NAME), (probes, f64::NAN, f64::NAN));
        };
        let estimate = |probes: &mut Probes, operator: &mut dyn SymmetricOperator| {
            probes.diagonal(operator, &mut report)
        };
        let found =
            at.probes.estimate(&mut at.operator, estimate, |found| found.probes).map_err(solver_error)?;
        let DiagonalEstimate { values, standard_errors, probes } = found;
        let norm = |of: &[f64]| of.iter().map(|x| x * x).sum::<f64>().sqrt();
        let entries = values.iter().zip(&standard_errors);
        let negative = entries.filter(|(value, error)| **value < -2.0 * **error).count();
        let outcome = DiagonalOutcome {
            norm: norm(&values),
            error_norm: norm(&standard_errors),
            negative_share: negative as f64 / values.len() as f64,
            probes,
        };
        at.vectors.push(("diagonal".to_owned(), values));
        at.vectors.push(("diagonal_standard_error".to_owned(), standard_errors));
        Ok(outcome)
    }

    fn conclude<B: Backend>(
        &self,
        found: DiagonalOutcome,
        _: &Solution<'_, '_, B>,
    ) -> Result<DiagonalOutcome> {
        Ok(found)
    }

    fn summary(outcome: &DiagonalOutcome) -> Vec<(&'static str, String)> {
        let DiagonalOutcome { norm, error_norm, negative_share, probes } = *outcome;
        let [norm, error] = [norm, error_norm].map(|norm| significant(norm, 4));
        let (negative, probes) = (percent(negative_share), plural(probes, "probe"));
        vec![(
            "diagonal",
            format!("norm {norm}, of its errors {error}; {negative} clearly negative  ({probes})"),
        )]
    }
}
