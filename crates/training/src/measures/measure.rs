//! A measure: its settings, its products at the weights, its outcome, and how that is shown.

use serde::Serialize;
use serde::de::DeserializeOwned;
use sharpness_curvature::ProbesParams;
use sharpness_network::backend::Backend;
use sharpness_network::operators::Curvature;
use sharpness_network::{Network, Weights};

use super::double::Checked;
use super::eigenvalue::Eigenvalue;
use super::problem::Problem;
use super::shared_probes::SharedProbes;
use crate::Result;
use crate::columns::ColumnType;
use crate::optimizers::Preconditioner;
use crate::settings::TrainingConfig;

/// The form of a measure's flag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flag {
    /// `--lambda-min`: no settings.
    Switch,
    /// `--trace` or `--trace=PROBES`: the main setting has a default.
    Optional(&'static str),
    /// `--sam-bound RHO`: the main setting must be given.
    Required(&'static str),
}

/// What a measure is, in Markdown: its section of `docs/measures.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Definition {
    /// A title of a few words.
    pub title: &'static str,
    /// The formula, what its symbols mean, and what its outcome holds.
    pub text: &'static str,
    /// The paper or code that it follows.
    pub source: &'static str,
    /// The error that it reports, or that it has none.
    pub error: &'static str,
    /// The cost beyond that of λ_max.
    pub cost: &'static str,
}

/// The weights, with the Hessian linearized there for products.
pub struct AtWeights<'p, 'a, B: Backend> {
    pub(super) problem: &'p Problem<'a, B>,
    pub(super) operator: Curvature<'p, B>,
    pub(super) weights: &'p Weights,
    /// How the run's optimizer scales the gradient, if it does.
    pub(super) preconditioner: Option<&'p Preconditioner>,
    /// Products with random signs, which measures share.
    pub(super) probes: SharedProbes,
    /// Vectors in the layout of the parameters, by name, for [`Measurement::vectors`](super::Measurement::vectors).
    pub(super) vectors: Vec<(String, Vec<f64>)>,
}

/// The weights and what is known about them after all products.
pub struct Solution<'p, 'a, B: Backend> {
    pub(super) problem: &'p Problem<'a, B>,
    pub(super) weights: &'p Weights,
    /// The next iterate of the training, if it is known.
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
    /// The setting that the flag, or a value in place of the table, sets.
    const MAIN: Option<&'static str>;
    /// What it is.
    const DEFINITION: Definition;
    /// The numbers of its outcome that measure sharpness, the larger the sharper: keys of its JSON with their labels.
    const SHARPNESS: &'static [(&'static str, &'static str)];
    /// The columns of its outcome in a table of runs, as keys of its JSON.
    const COLUMNS: &'static [(&'static str, ColumnType)];

    /// The settings with which it is cheap enough to be computed through training, where they differ from the defaults.
    const TRACKED: &'static [(&'static str, i64)] = &[];
    /// The settings that [`Self::filled`] takes from those of the training with the same key.
    const OF_TRAINING: &'static [&'static str] = &[];

    /// The result of the products at the weights.
    type Found: 'static;
    /// The reported outcome.
    type Outcome: Serialize + DeserializeOwned;

    /// Vectors as long as the parameters that it holds besides those of a solver, if `k` eigenvalues are asked for.
    fn held_vectors(&self, k: usize) -> usize {
        let _ = k;
        0
    }

    /// The settings with those filled in that follow from the training.
    #[must_use]
    fn filled(self, training: &TrainingConfig) -> Self {
        let _ = training;
        self
    }

    /// States which estimates it takes from the shared random products.
    fn share_probes<B: Backend>(&self, network: &Network<B>, probes: &mut ProbesParams) {
        let _ = (network, probes);
    }

    /// Computes products with the Hessian.
    ///
    /// # Errors
    /// Those of the products.
    fn products<B: Backend>(&self, at: &mut AtWeights<'_, '_, B>) -> Result<Self::Found>;

    /// Computes the outcome, after the memory of all products is free again.
    ///
    /// # Errors
    /// Those of further products.
    fn conclude<B: Backend>(&self, found: Self::Found, at: &Solution<'_, '_, B>) -> Result<Self::Outcome>;

    /// Whether it meets the requested tolerances.
    fn is_converged(outcome: &Self::Outcome) -> bool {
        let _ = outcome;
        true
    }

    /// The outcome as text: names and lines.
    fn summary(outcome: &Self::Outcome) -> Vec<(&'static str, String)>;
}
