//! What a measure is: settings, what it does with products at the weights, what it concludes, and how that is shown.

use serde::Serialize;
use serde::de::DeserializeOwned;
use sharpness_network::Weights;
use sharpness_network::backend::Backend;
use sharpness_network::operators::Curvature;

use super::double::Checked;
use super::eigenvalue::Eigenvalue;
use super::problem::Problem;
use crate::Result;
use crate::columns::ColumnType;

/// How the flag of a measure is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flag {
    /// `--lambda-min`: there is nothing to set.
    Switch,
    /// `--trace` or `--trace=PROBES`: the main setting has a default.
    Optional(&'static str),
    /// `--sam-bound RHO`: the main setting must be given.
    Required(&'static str),
}

/// The weights at which a measure multiplies with the Hessian, which is linearized there.
pub struct AtWeights<'p, 'a, B: Backend> {
    pub(super) problem: &'p Problem<'a, B>,
    pub(super) operator: Curvature<'p, B>,
}

/// The weights and what is known there, once all products are done.
pub struct Solution<'p, 'a, B: Backend> {
    pub(super) problem: &'p Problem<'a, B>,
    pub(super) weights: &'p Weights,
    /// The next iterate of the training, where it is known.
    pub(super) next: Option<&'p Weights>,
    pub(super) loss: f64,
    pub(super) gradient: Vec<f64>,
    pub(super) largest: Checked,
    pub(super) lambda_max: Eigenvalue,
}

/// A measure besides λ_max. Its value holds its settings, the table `[measure.NAME]`.
pub trait Measure: Serialize + DeserializeOwned + Default + 'static {
    /// The name of its table, of its flag (with dashes) and of its outcome.
    const NAME: &'static str;
    /// The help text of its flag.
    const HELP: &'static str;
    /// How its flag is given.
    const FLAG: Flag;
    /// The setting that the flag and a value in place of the table stand for.
    const MAIN: Option<&'static str>;
    /// The columns of its outcome in a table of runs, as keys of its JSON.
    const COLUMNS: &'static [(&'static str, ColumnType)];

    /// What products at the weights give.
    type Found: 'static;
    /// What is reported.
    type Outcome: Serialize + DeserializeOwned;

    /// Multiplies with the Hessian.
    ///
    /// # Errors
    /// Those of the products.
    fn products<B: Backend>(&self, at: &mut AtWeights<'_, '_, B>) -> Result<Self::Found>;

    /// Concludes, once the memory of all products is free again.
    ///
    /// # Errors
    /// Those of further products.
    fn conclude<B: Backend>(&self, found: Self::Found, at: &Solution<'_, '_, B>) -> Result<Self::Outcome>;

    /// Whether it was found to the tolerances that were asked for.
    fn is_converged(outcome: &Self::Outcome) -> bool {
        let _ = outcome;
        true
    }

    /// The outcome for people: names and lines.
    fn summary(outcome: &Self::Outcome) -> Vec<(&'static str, String)>;
}
