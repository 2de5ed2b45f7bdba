//! The measure of a matrix: its largest eigenvalues and its trace.

use std::marker::PhantomData;

use serde::{Deserialize, Serialize};
use sharpness_network::backend::Backend;

use super::measure::{AtWeights, Definition, Flag, Measure, Solution};
use super::spectrum::{Found, SpectrumOutcome};
use super::target::Target;
use super::trace::RTOL;
use crate::Result;
use crate::columns::ColumnType;
use crate::range::{Probes, within};

/// A matrix that is measured.
pub trait MeasuredMatrix: 'static {
    /// See [`Measure::NAME`].
    const NAME: &'static str;
    /// See [`Measure::HELP`].
    const HELP: &'static str;
    /// See [`Measure::DEFINITION`].
    const DEFINITION: Definition;
    /// See [`Measure::SHARPNESS`].
    const SHARPNESS: &'static [(&'static str, &'static str)];
    /// What it is called in the report.
    const LABEL: &'static str;

    /// The matrix at the weights.
    fn target<B: Backend>(at: &AtWeights<'_, '_, B>) -> Target;

    /// Vectors as long as the parameters that the target and its products hold besides the eigenvectors.
    fn held_vectors() -> usize {
        0
    }
}

/// The measure of the matrix `M`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, bound = "")]
pub struct OfMatrix<M> {
    /// The most probes of the trace; each takes one product.
    #[serde(deserialize_with = "within::<_, Probes>")]
    pub probes: usize,
    #[serde(skip)]
    matrix: PhantomData<M>,
}

impl<M> Default for OfMatrix<M> {
    fn default() -> Self {
        Self { probes: 100, matrix: PhantomData }
    }
}

impl<M: MeasuredMatrix> Measure for OfMatrix<M> {
    const NAME: &'static str = M::NAME;
    const HELP: &'static str = M::HELP;
    const FLAG: Flag = Flag::Optional("PROBES");
    const MAIN: Option<&'static str> = Some("probes");
    const DEFINITION: Definition = M::DEFINITION;
    const SHARPNESS: &'static [(&'static str, &'static str)] = M::SHARPNESS;
    const COLUMNS: &'static [(&'static str, ColumnType)] = SpectrumOutcome::COLUMNS;
    const TRACKED: &'static [(&'static str, i64)] = &[("probes", 10)];

    type Found = Found;
    type Outcome = SpectrumOutcome;

    fn held_vectors(&self, k: usize) -> usize {
        k + M::held_vectors()
    }

    fn products<B: Backend>(&self, at: &mut AtWeights<'_, '_, B>) -> Result<Found> {
        let k = at.problem.subject().settings.top_k;
        M::target(at).find(at, k, (RTOL, self.probes))
    }

    fn conclude<B: Backend>(&self, found: Found, at: &Solution<'_, '_, B>) -> Result<SpectrumOutcome> {
        found.conclude(at)
    }

    fn is_converged(outcome: &SpectrumOutcome) -> bool {
        outcome.is_converged()
    }

    fn summary(outcome: &SpectrumOutcome) -> Vec<(&'static str, String)> {
        outcome.summary(M::LABEL)
    }
}
