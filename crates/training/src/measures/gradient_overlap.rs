//! How much of the gradient lies along the top eigenvectors.

use serde::{Deserialize, Serialize};
use sharpness_network::backend::Backend;

use super::measure::{AtWeights, Definition, Flag, Measure, Solution};
use super::problem::norm;
use crate::Result;
use crate::columns::ColumnType;
use crate::number::percent;

/// The overlap of the gradient with the top eigenvectors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GradientOverlap {}

/// Shares of the squared gradient.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GradientOverlapOutcome {
    /// `(gᵀ u)² / ‖g‖²` for each eigenvector found, the largest eigenvalue first; zeros for a zero gradient.
    pub shares: Vec<f64>,
    /// Their sum: the share of the squared gradient in the span of the eigenvectors.
    pub total: f64,
}

impl Measure for GradientOverlap {
    const NAME: &'static str = "gradient_overlap";
    const HELP: &'static str =
        "Compute how much of the gradient lies along the top eigenvectors, as many as --top-k";
    const FLAG: Flag = Flag::Switch;
    const MAIN: Option<&'static str> = None;
    const DEFINITION: Definition = Definition {
        title: "Gradient overlap",
        text: "(gᵀu)²/‖g‖² for the gradient g and each of the top eigenvectors u of H (`--top-k`), and their sum: the share of the squared gradient in the top eigenspace.",
        source: "Gur-Ari, Roberts, Dyer 2018, arXiv 1812.04754",
        error: "none; an eigenvector is as accurate as its residual over the gap to the next eigenvalue",
        cost: "none",
    };
    const SHARPNESS: &'static [(&'static str, &'static str)] = &[("total", "gradient in top eigenspace")];
    const COLUMNS: &'static [(&'static str, ColumnType)] =
        &[("shares", ColumnType::Text), ("total", ColumnType::Double)];

    type Found = ();
    type Outcome = GradientOverlapOutcome;

    fn products<B: Backend>(&self, _: &mut AtWeights<'_, '_, B>) -> Result<()> {
        Ok(())
    }

    fn conclude<B: Backend>(&self, (): (), at: &Solution<'_, '_, B>) -> Result<GradientOverlapOutcome> {
        let length = norm(&at.gradient);
        let along = |vector: &[f64]| vector.iter().zip(&at.gradient).map(|(u, g)| u * g).sum::<f64>();
        let share = |vector: &[f64]| if length > 0.0 { (along(vector) / length).powi(2) } else { 0.0 };
        let shares: Vec<f64> = at.largest.solved.pairs.iter().map(|pair| share(&pair.vector)).collect();
        Ok(GradientOverlapOutcome { total: shares.iter().sum(), shares })
    }

    fn summary(outcome: &GradientOverlapOutcome) -> Vec<(&'static str, String)> {
        let shares: Vec<String> = outcome.shares.iter().map(|share| percent(*share)).collect();
        let total = percent(outcome.total);
        vec![(
            "gradient",
            format!("{total} of its square along the top eigenvectors ({})", shares.join(", ")),
        )]
    }
}
