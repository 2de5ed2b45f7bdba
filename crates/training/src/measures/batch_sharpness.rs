//! The curvature that minibatches see along their own gradients, and the noise of their gradients.

use rand::seq::SliceRandom as _;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use serde::{Deserialize, Serialize};
use sharpness_curvature::SymmetricOperator as _;
use sharpness_network::Weights;
use sharpness_network::backend::Backend;
use sharpness_network::operators::{Chunks, Curvature, Matrix};

use super::estimate::Estimate;
use super::measure::{AtWeights, Definition, Flag, Measure, Solution};
use super::problem::{Problem, norm, solver_error};
use crate::Result;
use crate::columns::ColumnType;
use crate::number::{plural, significant, with_error};
use crate::progress::Phase;
use crate::range::{Count, optional, within};
use crate::settings::TrainingConfig;

/// The size of batches if it is not known how the network was trained.
const BATCH_SIZE: usize = 100;
/// Added to the seed of a measurement for the batches.
const STREAM: u64 = 0x0ba7_c4e5;

/// Batch sharpness.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BatchSharpness {
    /// The number of batches.
    #[serde(deserialize_with = "within::<_, Count>")]
    pub batches: usize,
    /// Examples of a batch [default: the batch size of the training; 100 for weights of an unknown training].
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "optional::<_, Count>")]
    pub batch_size: Option<usize>,
}

impl Default for BatchSharpness {
    fn default() -> Self {
        Self { batches: 50, batch_size: None }
    }
}

/// What batches see.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct BatchSharpnessOutcome {
    /// `E gᵀ H g / E ‖g‖²` with the gradient and the Hessian of the same batch.
    pub value: f64,
    /// Its standard error over the batches, to first order; null for one batch.
    pub standard_error: Option<f64>,
    /// `tr C`, the trace of the covariance of single gradients; null if a batch holds all measured examples.
    pub noise: Option<Estimate>,
    /// `tr C / ‖∇L‖²`, the gradient-noise scale, with its error to first order.
    pub noise_scale: Option<Estimate>,
    /// Examples of a batch.
    pub batch_size: usize,
    /// The number of batches.
    pub batches: usize,
}

/// What one batch sees.
#[derive(Clone, Copy, Debug)]
struct Seen {
    /// `gᵀ H g`.
    curvature: f64,
    /// `‖g‖²`.
    square: f64,
}

impl Measure for BatchSharpness {
    const NAME: &'static str = "batch_sharpness";
    const HELP: &'static str = "Estimate the curvature of batches along their own gradients, and the gradient-noise scale, from this many batches [default of BATCHES: 50]";
    const FLAG: Flag = Flag::Optional("BATCHES");
    const MAIN: Option<&'static str> = Some("batches");
    const DEFINITION: Definition = Definition {
        title: "Batch sharpness and gradient noise",
        text: "E gᵀ H g / E ‖g‖² over batches, with the gradient g and the Hessian H of the same batch of `batch_size` measured examples (that of the training if unset); SGD drives it towards 2/η. From the same gradients: tr C, the trace of the covariance of single gradients (divided by N - 1), and the noise scale tr C / ‖∇L‖². Batches are drawn without replacement; once all examples are used, they are shuffled again. With batch statistics, a batch is normalized by its own.",
        source: "batch sharpness: Andreyev and Beneventano 2024, arXiv 2412.20553; noise: McCandlish et al. 2018, arXiv 1812.06162, appendix A.1",
        error: "the standard error over the batches; for quotients to first order",
        cost: "a gradient and a product of each batch: with 50 batches of 100, as much as one product over 5,000 examples",
    };
    const SHARPNESS: &'static [(&'static str, &'static str)] = &[
        ("value", "batch sharpness"),
        ("noise.value", "tr of gradient covariance"),
        ("noise_scale.value", "gradient-noise scale"),
    ];
    const COLUMNS: &'static [(&'static str, ColumnType)] = &[
        ("value", ColumnType::Double),
        ("standard_error", ColumnType::Double),
        ("noise.value", ColumnType::Double),
        ("noise.standard_error", ColumnType::Double),
        ("noise_scale.value", ColumnType::Double),
        ("noise_scale.standard_error", ColumnType::Double),
        ("batch_size", ColumnType::Integer),
        ("batches", ColumnType::Integer),
    ];
    const TRACKED: &'static [(&'static str, i64)] = &[("batches", 20)];
    const OF_TRAINING: &'static [&'static str] = &["batch_size"];

    type Found = ();
    type Outcome = BatchSharpnessOutcome;

    fn filled(mut self, training: &TrainingConfig) -> Self {
        self.batch_size = self.batch_size.or(Some(training.batch_size));
        self
    }

    fn products<B: Backend>(&self, _: &mut AtWeights<'_, '_, B>) -> Result<()> {
        Ok(())
    }

    fn conclude<B: Backend>(&self, (): (), at: &Solution<'_, '_, B>) -> Result<BatchSharpnessOutcome> {
        let count = at.problem.count();
        let batch_size = self.batch_size.unwrap_or(BATCH_SIZE).min(count);
        let batches = if batch_size == count { 1 } else { self.batches };
        let mut seen = Vec::with_capacity(batches);
        for batch in draw(at.problem.numbers(), batch_size, batches, at.problem.subject().seed) {
            seen.push(one_batch(at.problem, at.weights, &batch)?);
            at.problem.report(Phase::Measure(Self::NAME), (seen.len(), f64::NAN, f64::NAN));
        }
        let curvatures: Vec<f64> = seen.iter().map(|one| one.curvature).collect();
        let squares: Vec<f64> = seen.iter().map(|one| one.square).collect();
        let (value, standard_error) = ratio(&curvatures, &squares);
        let whole = norm(&at.gradient).powi(2);
        let noise = (batch_size < count).then(|| {
            // E ‖g‖² - ‖∇L‖² = tr C (1/m - 1/N) for batches without replacement.
            let factor = 1.0 / (1.0 / batch_size as f64 - 1.0 / count as f64);
            let samples: Vec<f64> = squares.iter().map(|square| factor * (square - whole)).collect();
            Estimate::of_mean(&samples)
        });
        let scaled = |noise: Estimate| Estimate {
            value: noise.value / whole,
            standard_error: noise.standard_error / whole,
        };
        let noise_scale = noise.filter(|_| whole > 0.0).map(scaled);
        Ok(BatchSharpnessOutcome { value, standard_error, noise, noise_scale, batch_size, batches })
    }

    fn summary(outcome: &BatchSharpnessOutcome) -> Vec<(&'static str, String)> {
        let value = match outcome.standard_error {
            Some(error) => format!("{} (standard error)", with_error(outcome.value, error)),
            None => significant(outcome.value, 6),
        };
        let work = format!(
            "{} of {}",
            plural(outcome.batches, "batch").replace("batchs", "batches"),
            outcome.batch_size
        );
        let mut lines = vec![("batches", format!("gᵀHg / ‖g‖² {value}  ({work})"))];
        if let Some((noise, scale)) = outcome.noise.zip(outcome.noise_scale) {
            let [noise, scale] = [noise, scale].map(|one| with_error(one.value, one.standard_error));
            lines.push(("", format!("gradient noise tr C {noise}, noise scale tr C / ‖∇L‖² {scale}")));
        }
        lines
    }
}

/// Batches of measured examples: disjoint until all are used; all of them in their own order.
fn draw(numbers: &[u32], size: usize, batches: usize, seed: u64) -> Vec<Vec<u32>> {
    if size == numbers.len() {
        return vec![numbers.to_vec()];
    }
    let mut rng = ChaCha8Rng::seed_from_u64(seed.wrapping_add(STREAM));
    let mut order: Vec<u32> = numbers.to_vec();
    let mut drawn = Vec::with_capacity(batches);
    while drawn.len() < batches {
        order.shuffle(&mut rng);
        let left = batches - drawn.len();
        drawn.extend(order.chunks_exact(size).take(left).map(<[u32]>::to_vec));
    }
    drawn
}

/// The gradient and the curvature along it of one batch.
fn one_batch<B: Backend>(problem: &Problem<'_, B>, weights: &Weights, batch: &[u32]) -> Result<Seen> {
    let stop = || problem.is_stopped();
    let chunks = Chunks { examples: problem.chunk(), memory_bytes: usize::MAX };
    let (network, pass, examples) = (problem.network(), *problem.pass(), (problem.examples() as &_, batch));
    let failed =
        |error: sharpness_network::Error| solver_error(sharpness_curvature::Error::Operator(error.into()));
    let mut operator =
        Curvature::new(network, Matrix::Hessian, weights, pass, examples, chunks, &stop).map_err(failed)?;
    let gradient = operator.gradient().to_vec();
    let mut product = vec![0.0; gradient.len()];
    operator
        .apply(&gradient, &mut product)
        .map_err(|error| solver_error(sharpness_curvature::Error::Operator(error)))?;
    let curvature = gradient.iter().zip(&product).map(|(g, hg)| g * hg).sum();
    Ok(Seen { curvature, square: norm(&gradient).powi(2) })
}

/// The quotient of two means over the same batches, and its standard error by the delta method.
fn ratio(above: &[f64], below: &[f64]) -> (f64, Option<f64>) {
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let (divisor, value) = (mean(below), mean(above) / mean(below));
    let deviations: Vec<f64> =
        above.iter().zip(below).map(|(above, below)| (above - value * below) / divisor).collect();
    let error = (above.len() > 1).then(|| Estimate::of_mean(&deviations).standard_error);
    (value, error)
}
