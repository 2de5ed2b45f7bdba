//! The report of a measurement. Its field names are those of the JSON that programs read.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sharpness_data::Subset;

use super::eigenvalue::Eigenvalue;
use super::list::{Visitor, each};
use super::measure::Measure;
use crate::columns::ColumnType;
use crate::progress::Memory;

/// The name of what all measures share: the gradient, λ_max and its checks.
pub(super) const LAMBDA_MAX: &str = "lambda_max";

/// The time of a part of a measurement.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// The name of the part.
    pub name: String,
    /// Seconds. Products that measures share are counted for the first of them.
    pub seconds: f64,
    /// Seconds with the products that it shares: what it would take beside λ_max without the other measures.
    pub alone_seconds: f64,
}

/// What was measured at one point of the weights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measurement {
    /// The mean loss over the measured examples, dropout off, batch norm as `batch_norm` says.
    pub loss: f64,
    /// The fraction of the measured examples whose largest output is their label's, in the same pass.
    pub accuracy: f64,
    /// The Euclidean norm of the gradient of `loss`.
    pub gradient_norm: f64,
    /// The Euclidean norm of the parameters; unknown in older reports.
    #[serde(default)]
    pub parameter_norm: Option<f64>,
    /// The number of measured examples.
    pub examples: usize,
    /// How they were chosen from the training set.
    pub subset: Subset,
    /// The statistics that batch norm used: `none` (the network has no batch norm), `batch` or `running`.
    pub batch_norm: String,
    /// Examples that shared batch statistics; the last chunk may be smaller. Absent unless `batch_norm` is `batch`.
    pub batch_norm_chunk: Option<usize>,
    /// The precision of the engine: `f32` or `f64`.
    pub precision: String,
    /// The number of parameters: the dimension of the Hessian.
    pub parameters: usize,
    /// The largest eigenvalue of the Hessian of `loss`, counted with its sign.
    pub lambda_max: Eigenvalue,
    /// The largest eigenvalues, the largest first, if more than one was requested.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub top: Vec<Eigenvalue>,
    /// Chunks of the measured examples.
    pub chunks: usize,
    /// Chunks that stayed linearized between products; the others were recomputed in each.
    pub cached_chunks: usize,
    /// The processes that shared the chunks; absent if it was one alone.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub ranks: usize,
    /// The predicted memory of each process.
    #[serde(default)]
    pub memory: Memory,
    /// The duration of the measurement in seconds.
    pub seconds: f64,
    /// What each part took: `lambda_max`, with the gradient and the checks, and each measure.
    #[serde(default)]
    pub costs: Vec<Cost>,
    /// Vectors in the layout of the parameters, by name: the eigenvectors of the largest eigenvalues, and those of measures. They are not
    /// part of the JSON.
    #[serde(skip)]
    pub vectors: Vec<(String, Vec<f64>)>,
    /// The outcomes of the measures besides λ_max, by name.
    #[serde(flatten)]
    pub outcomes: BTreeMap<String, Value>,
}

const fn one() -> usize {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes fields by reference")]
const fn is_one(ranks: &usize) -> bool {
    *ranks == 1
}

impl Measurement {
    /// The outcome of a measure, if it was requested.
    pub fn outcome<M: Measure>(&self) -> Option<M::Outcome> {
        M::Outcome::deserialize(self.outcomes.get(M::NAME)?).ok()
    }

    /// Whether everything meets the requested tolerances.
    pub fn is_converged(&self) -> bool {
        let mut converged = Converged { measurement: self, all: true };
        each(&mut converged);
        converged.all && [&self.lambda_max].into_iter().chain(&self.top).all(|one| one.converged)
    }

    /// The outcomes of the measures besides λ_max as text: names and lines.
    pub fn summaries(&self) -> Vec<(&'static str, String)> {
        let mut summaries = Summaries { measurement: self, lines: Vec::new() };
        each(&mut summaries);
        summaries.lines
    }

    /// The seconds of all of it, and those of one measurement for each measure; none if there are fewer than two measures.
    pub fn saving(&self) -> Option<(f64, f64)> {
        let shared = self.costs.iter().find(|cost| cost.name == LAMBDA_MAX)?;
        let measures = || self.costs.iter().filter(|cost| cost.name != LAMBDA_MAX);
        let together = shared.seconds + measures().map(|cost| cost.seconds).sum::<f64>();
        let separate: f64 = measures().map(|cost| shared.seconds + cost.alone_seconds).sum();
        (measures().count() > 1).then_some((together, separate))
    }

    /// The columns of a measurement in a table of runs, as keys of its JSON.
    pub fn columns() -> Vec<(String, ColumnType)> {
        use ColumnType::{Double, Integer, Text};
        let plain = |list: &[(&str, ColumnType)]| -> Vec<(String, ColumnType)> {
            list.iter().map(|(name, kind)| ((*name).to_owned(), *kind)).collect()
        };
        let mut columns = plain(&[
            ("loss", Double),
            ("accuracy", Double),
            ("gradient_norm", Double),
            ("parameter_norm", Double),
            ("examples", Integer),
            ("subset", Text),
            ("batch_norm", Text),
            ("batch_norm_chunk", Integer),
            ("precision", Text),
            ("parameters", Integer),
        ]);
        let of_lambda_max = |(name, kind): &(&str, ColumnType)| (format!("lambda_max.{name}"), *kind);
        columns.extend(Eigenvalue::COLUMNS.iter().map(of_lambda_max));
        columns.extend(plain(&[("top", Text)]));
        let mut further = Columns(Vec::new());
        each(&mut further);
        columns.extend(further.0);
        columns.extend(plain(&[
            ("chunks", Integer),
            ("cached_chunks", Integer),
            ("ranks", Integer),
            ("memory.predicted_bytes", Integer),
            ("memory.operator_bytes", Integer),
            ("memory.solver_bytes", Integer),
            ("seconds", Double),
            ("costs", Text),
        ]));
        columns
    }

    /// Whether the accuracy is near that of guessing among `classes`, `1 / classes`: at most twice it, or at most three
    /// binomial standard deviations above it.
    pub fn is_near_chance(&self, classes: usize) -> bool {
        let chance = 1.0 / classes as f64;
        let deviation = (chance * (1.0 - chance) / self.examples as f64).sqrt();
        self.accuracy <= (2.0 * chance).max(chance + 3.0 * deviation)
    }
}

struct Converged<'a> {
    measurement: &'a Measurement,
    all: bool,
}

impl Visitor for Converged<'_> {
    fn visit<M: Measure>(&mut self) {
        self.all &= self.measurement.outcome::<M>().is_none_or(|outcome| M::is_converged(&outcome));
    }
}

struct Summaries<'a> {
    measurement: &'a Measurement,
    lines: Vec<(&'static str, String)>,
}

impl Visitor for Summaries<'_> {
    fn visit<M: Measure>(&mut self) {
        if let Some(outcome) = self.measurement.outcome::<M>() {
            self.lines.extend(M::summary(&outcome));
        }
    }
}

struct Columns(Vec<(String, ColumnType)>);

impl Visitor for Columns {
    fn visit<M: Measure>(&mut self) {
        self.0.extend(M::COLUMNS.iter().map(|(name, kind)| (format!("{}.{name}", M::NAME), *kind)));
    }
}
