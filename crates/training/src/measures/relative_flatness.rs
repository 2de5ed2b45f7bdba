//! Relative flatness of one layer.

use std::ops::Range;

use serde::{Deserialize, Serialize};
use sharpness_curvature::{ApplyError, HutchinsonEstimate, HutchinsonParams, SymmetricOperator, trace};
use sharpness_network::Table;
use sharpness_network::backend::Backend;

use super::measure::{AtWeights, Definition, Flag, Measure, Solution};
use super::problem::solver_error;
use super::trace::RTOL;
use crate::columns::ColumnType;
use crate::number::{plural, with_error};
use crate::pattern::matches;
use crate::progress::Phase;
use crate::range::{Probes, within};
use crate::{Error, Result};

/// Relative flatness.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RelativeFlatness {
    /// The name of the layer; `*` stands for any text. The last match with a weight of two or more dimensions is taken.
    pub layer: String,
    /// The most probes; each takes one product.
    #[serde(deserialize_with = "within::<_, Probes>")]
    pub probes: usize,
}

impl Default for RelativeFlatness {
    fn default() -> Self {
        Self { layer: "*".to_owned(), probes: 100 }
    }
}

/// Relative flatness of a layer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RelativeFlatnessOutcome {
    /// The name of its weight.
    pub layer: String,
    /// The mean over the probes.
    pub value: f64,
    /// Its standard error.
    pub standard_error: f64,
    /// The number of probes; each took one product.
    pub probes: usize,
}

impl Measure for RelativeFlatness {
    const NAME: &'static str = "relative_flatness";
    const HELP: &'static str =
        "Estimate the relative flatness of a layer too, by default of the last one [default of PATTERN: *]";
    const FLAG: Flag = Flag::Optional("PATTERN");
    const MAIN: Option<&'static str> = Some("layer");
    const DEFINITION: Definition = Definition {
        title: "Relative flatness",
        text: "κ = Σ_{s,s'} ⟨w_s, w_s'⟩ tr H_{s,s'} for the rows w_s of one layer's weight (its output neurons or channels), with H_{s,s'} the block of H between the weights of two rows. The larger, the sharper. The layer is the last one with a weight matrix that the pattern matches; the biases are left out.",
        source: "Petzka et al. 2021, arXiv 2001.00939, definition 3",
        error: "the standard error over the probes",
        cost: "one product per probe",
    };
    const SHARPNESS: &'static [(&'static str, &'static str)] = &[("value", "relative flatness κ")];
    const COLUMNS: &'static [(&'static str, ColumnType)] = &[
        ("layer", ColumnType::Text),
        ("value", ColumnType::Double),
        ("standard_error", ColumnType::Double),
        ("probes", ColumnType::Integer),
    ];
    const TRACKED: &'static [(&'static str, i64)] = &[("probes", 10)];

    type Found = (String, HutchinsonEstimate);
    type Outcome = RelativeFlatnessOutcome;

    fn held_vectors(&self, _: usize) -> usize {
        2
    }

    fn products<B: Backend>(&self, at: &mut AtWeights<'_, '_, B>) -> Result<Self::Found> {
        let problem = at.problem;
        let Some((name, range, rows)) = self.weight(problem.network().parameters()) else {
            let problem = "no weight of two or more dimensions has a layer's name that `layer` matches";
            return Err(Error::MeasureSetting { name: "relative_flatness", problem });
        };
        let factor = root_of_gram(&at.weights.parameters[range.clone()], rows);
        let mut operator = OfRows { operator: &mut at.operator, range, rows, factor };
        let params =
            HutchinsonParams { rtol: RTOL, max_probes: self.probes, block: 1, seed: problem.subject().seed };
        let estimate = trace(&mut operator, &params, &mut |p| {
            problem.report(Phase::Measure(Self::NAME), (p.probes, p.value, p.standard_error));
        })
        .map_err(solver_error)?;
        Ok((name, estimate))
    }

    fn conclude<B: Backend>(
        &self,
        (layer, estimate): Self::Found,
        _: &Solution<'_, '_, B>,
    ) -> Result<RelativeFlatnessOutcome> {
        let HutchinsonEstimate { value, standard_error, probes, .. } = estimate;
        Ok(RelativeFlatnessOutcome { layer, value, standard_error, probes })
    }

    fn summary(outcome: &RelativeFlatnessOutcome) -> Vec<(&'static str, String)> {
        let value = with_error(outcome.value, outcome.standard_error);
        let probes = plural(outcome.probes, "probe");
        vec![("flatness κ", format!("{value} (standard error) of {}  ({probes})", outcome.layer))]
    }
}

impl RelativeFlatness {
    /// The weight that is meant: its name, its elements and its number of rows.
    fn weight(&self, parameters: &Table) -> Option<(String, Range<usize>, usize)> {
        let found = parameters.tensors().iter().rev().find(|tensor| {
            let layer = tensor.name.rsplit_once('.').map_or(tensor.name.as_str(), |(layer, _)| layer);
            tensor.shape.len() > 1 && !tensor.is_empty() && matches(&self.layer, layer)
        });
        found.map(|tensor| (tensor.name.clone(), tensor.range(), tensor.shape[0]))
    }
}

/// `(Fᵀ ⊗ I) H (F ⊗ I)` for the weight in `range` and a factor `F: [rows, rows]`. Its trace is `Σ (F Fᵀ)_{s,s'} tr H_{s,s'}`.
struct OfRows<'a> {
    operator: &'a mut dyn SymmetricOperator,
    range: Range<usize>,
    rows: usize,
    factor: Vec<f64>,
}

impl SymmetricOperator for OfRows<'_> {
    fn dim(&self) -> usize {
        self.range.len()
    }

    fn apply(&mut self, v: &[f64], out: &mut [f64]) -> std::result::Result<(), ApplyError> {
        let Self { operator, range, rows, factor } = self;
        let (rows, columns) = (*rows, range.len() / *rows);
        let mut whole = vec![0.0; operator.dim()];
        let mut product = vec![0.0; operator.dim()];
        let add = |from: &[f64], to: &mut [f64], factor: f64| {
            to.iter_mut().zip(from).for_each(|(to, from)| *to += factor * from);
        };
        let part = &mut whole[range.clone()];
        for (s, t) in (0..rows).flat_map(|s| (0..=s).map(move |t| (s, t))) {
            add(&v[t * columns..][..columns], &mut part[s * columns..][..columns], factor[s * rows + t]);
        }
        operator.apply(&whole, &mut product)?;
        let part = &product[range.clone()];
        out.fill(0.0);
        for (s, t) in (0..rows).flat_map(|s| (0..=s).map(move |t| (s, t))) {
            add(&part[s * columns..][..columns], &mut out[t * columns..][..columns], factor[s * rows + t]);
        }
        Ok(())
    }

    fn is_single(&self) -> bool {
        self.operator.is_single()
    }
}

/// The lower triangle `F: [rows, rows]` with `F Fᵀ = W Wᵀ` (Cholesky), for `W: [rows, columns]`. Pivots that rounding explains are
/// zero: rows that others span add none.
fn root_of_gram(w: &[f64], rows: usize) -> Vec<f64> {
    let columns = w.len() / rows;
    let row = |s: usize| &w[s * columns..][..columns];
    let mut factor = vec![0.0; rows * rows];
    for s in 0..rows {
        for t in 0..=s {
            let gram: f64 = row(s).iter().zip(row(t)).map(|(a, b)| a * b).sum();
            let known: f64 = (0..t).map(|k| factor[s * rows + k] * factor[t * rows + k]).sum();
            let left = gram - known;
            let pivot = factor[t * rows + t];
            factor[s * rows + t] = if s == t {
                let is_spanned = left <= 1e-12 * gram;
                if is_spanned { 0.0 } else { left.sqrt() }
            } else if pivot > 0.0 {
                left / pivot
            } else {
                0.0
            };
        }
    }
    factor
}
