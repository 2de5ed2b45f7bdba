//! Independent computations of losses at moved weights, for the measures that move them: whole batches on a tape of their own, dense
//! matrices, in double precision.

use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution as _, StandardNormal};
use sharpness_curvature::SymmetricOperator as _;
use sharpness_kernels::Cpu;
use sharpness_network::architectures::{Architecture, ModelConfig};
use sharpness_network::backend::{Accumulate, Activation, Device as _, View};
use sharpness_network::op::{BatchNorm, Pass, TapeKind};
use sharpness_network::operators::{Chunks, Curvature, Matrix};
use sharpness_network::{HostBatch, Sums, Weights};
use sharpness_training::measures::{Measure, Measurement};
use sharpness_training::settings::MeasureConfig;
use toml::Value;

use crate::measures_problem::{MEMORY, Problem, Subsample};

/// Measured examples.
pub(crate) const EXAMPLES: usize = 60;

/// A network at weights some steps of gradient descent from the beginning, and all that is known of its loss on the measured examples,
/// which are one chunk.
pub(crate) struct Moved {
    pub(crate) problem: Problem<Cpu<f64>>,
    pub(crate) examples: Subsample,
    pub(crate) pass: Pass,
}

/// A network without and one with batch norm, with a smooth activation: the Hessian says nothing of the kinks of others.
pub(crate) fn networks() -> [Moved; 2] {
    let activation = Activation::Gelu;
    let mlp = ModelConfig { hidden: vec![8], activation, ..ModelConfig::new(Architecture::Mlp) };
    let cnn = ModelConfig { width_divisor: 8, activation, ..ModelConfig::new(Architecture::CnnBn) };
    [mlp, cnn].map(|model| Moved::new(&model))
}

pub(crate) fn config(measure: &str, settings: &str) -> MeasureConfig {
    let settings: Value = toml::from_str::<toml::Table>(&format!("x = {settings}")).unwrap()["x"].clone();
    MeasureConfig {
        examples: EXAMPLES,
        chunk: Some(EXAMPLES),
        asked: [(measure.to_owned(), settings)].into(),
        ..MeasureConfig::default()
    }
}

impl Moved {
    fn new(model: &ModelConfig) -> Self {
        let mut problem = Problem::new(Cpu::<f64>::default(), model);
        let indices = config("trace", "2").subset.indices(problem.train.len(), EXAMPLES, 0);
        let examples = Subsample::of(&problem.data, &indices);
        let pass = Pass { batch_norm: BatchNorm::Batch, dropout: None };
        // No weight is 0, as biases are at the beginning.
        let mut random = ChaCha8Rng::seed_from_u64(5);
        problem.weights.parameters.iter_mut().for_each(|w| {
            let noise: f64 = StandardNormal.sample(&mut random);
            *w += 0.03 * noise;
        });
        let mut moved = Self { problem, examples, pass };
        for _ in 0..60 {
            let (_, gradient) = moved.gradient(&moved.weights().parameters);
            let parameters = &mut moved.problem.weights.parameters;
            parameters.iter_mut().zip(&gradient).for_each(|(w, g)| *w -= 0.3 * g);
        }
        moved
    }

    pub(crate) fn weights(&self) -> &Weights {
        &self.problem.weights
    }

    /// The outcome of a measure with these settings.
    pub(crate) fn outcome<M: Measure>(&self, settings: &str) -> M::Outcome {
        self.measure::<M>(settings).outcome::<M>().unwrap()
    }

    pub(crate) fn measure<M: Measure>(&self, settings: &str) -> Measurement {
        self.problem.measure(&config(M::NAME, settings), MEMORY).unwrap()
    }

    /// The mean loss and the accuracy of all measured examples, or of one of them.
    pub(crate) fn value(&self, parameters: &[f64], one: Option<u32>) -> Sums {
        self.sums(parameters, one, None)
    }

    pub(crate) fn loss(&self, parameters: &[f64]) -> f64 {
        self.value(parameters, None).loss
    }

    pub(crate) fn gradient(&self, parameters: &[f64]) -> (f64, Vec<f64>) {
        self.gradient_of(parameters, None)
    }

    pub(crate) fn gradient_of(&self, parameters: &[f64], one: Option<u32>) -> (f64, Vec<f64>) {
        let mut gradient = vec![0.0; parameters.len()];
        let loss = self.sums(parameters, one, Some(&mut gradient)).loss;
        (loss, gradient)
    }

    fn sums(&self, parameters: &[f64], one: Option<u32>, gradient: Option<&mut Vec<f64>>) -> Sums {
        let network = &self.problem.engine.network;
        let (source, all) = self.examples.source();
        let numbers = one.map_or_else(|| all.to_vec(), |one| vec![one]);
        let count = numbers.len() as f64;
        let mut tape = network.tape(numbers.len(), TapeKind::Gradient);
        HostBatch::default().load(network, &mut tape, source, &numbers);
        let (at, state) = (network.upload(parameters), network.upload(&self.weights().state));
        let mut out = network.upload(parameters);
        let sums =
            network.gradient(&at, &state, &self.pass, &mut tape, 1.0 / count, Accumulate::Set, &mut out);
        if let Some(gradient) = gradient {
            *gradient = network.backend().download(View::new(&out, 0, parameters.len()));
        }
        Sums { loss: sums.loss / count, correct: sums.correct / count }
    }

    /// The rows of the Hessian at the weights.
    pub(crate) fn hessian(&self) -> Vec<Vec<f64>> {
        let chunks = Chunks { examples: EXAMPLES, memory_bytes: 1 << 28 };
        let network = &self.problem.engine.network;
        let source = self.examples.source();
        let mut operator =
            Curvature::new(network, Matrix::Hessian, self.weights(), self.pass, source, chunks, &|| false)
                .unwrap();
        let dim = network.parameters().len();
        let row = |i| {
            let mut unit = vec![0.0; dim];
            unit[i] = 1.0;
            let mut row = vec![0.0; dim];
            operator.apply(&unit, &mut row).unwrap();
            row
        };
        (0..dim).map(row).collect()
    }

    /// The largest `f(w + a)` of random points `a` within `rho` in the span of `directions`, whose boundary holds half of them.
    pub(crate) fn brute_force(
        &self,
        rho: f64,
        directions: &[Vec<f64>],
        scale: impl Fn(f64) -> f64,
        f: impl Fn(&[f64]) -> f64,
    ) -> f64 {
        let mut random = ChaCha8Rng::seed_from_u64(11);
        let mut largest = f64::NEG_INFINITY;
        for trial in 0..300 {
            let mut sum = vec![0.0; self.weights().parameters.len()];
            for direction in directions {
                let factor: f64 = StandardNormal.sample(&mut random);
                let length = norm(direction);
                sum.iter_mut().zip(direction).for_each(|(s, d)| *s += factor * d / length);
            }
            let length = rho * if trial % 2 == 0 { 1.0 } else { f64::from(trial) / 300.0 } / norm(&sum);
            let moved = self.weights().parameters.iter().zip(&sum).map(|(w, s)| w + length * s * scale(*w));
            largest = largest.max(f(&moved.collect::<Vec<_>>()));
        }
        largest
    }
}

pub(crate) fn norm(x: &[f64]) -> f64 {
    dot(x, x).sqrt()
}

pub(crate) fn dot(x: &[f64], y: &[f64]) -> f64 {
    x.iter().zip(y).map(|(x, y)| x * y).sum()
}

/// `w + factor · direction`.
pub(crate) fn along(w: &[f64], factor: f64, direction: &[f64]) -> Vec<f64> {
    w.iter().zip(direction).map(|(w, d)| w + factor * d).collect()
}

pub(crate) fn times(matrix: &[Vec<f64>], vector: &[f64]) -> Vec<f64> {
    matrix.iter().map(|row| dot(row, vector)).collect()
}

/// Random directions.
pub(crate) fn random_directions(dim: usize, count: usize) -> Vec<Vec<f64>> {
    let mut random = ChaCha8Rng::seed_from_u64(13);
    let mut one = |_| (0..dim).map(|_| StandardNormal.sample(&mut random)).collect();
    (0..count).map(&mut one).collect()
}

#[track_caller]
pub(crate) fn assert_close(label: &str, own: f64, expected: f64, tolerance: f64) {
    let error = (own - expected).abs();
    assert!(error <= tolerance, "{label}: {own} instead of {expected}, off by {error:e}");
}
