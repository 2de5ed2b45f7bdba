//! Times a training step, an epoch, a Hessian-vector product and λ_max.
//!
//! A repetition does what `train` and `measure` do with the same settings, on weights and buffers that are allocated
//! beforehand. It returns its results with its time, so that they can be compared with those of another program.

use std::time::Instant;

use serde::Serialize;
use sharpness_curvature::{SymmetricOperator as _, eigenpairs};
use sharpness_data::{Part, PartExamples, Standardized};
use sharpness_network::Weights;
use sharpness_network::backend::Backend;

use crate::engine::Engine;
use crate::measures::{Iterates, Problem, Subject, measure, norm, solver_error};
use crate::memory::Budget;
use crate::observer::Watcher;
use crate::progress::MeasureProgress;
use crate::settings::{BoundRtol, MeasureConfig, RunConfig};
use crate::step::Optimizer;
use crate::trainer::moment;
use crate::{Error, Result, trained_examples};

/// What is timed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Task {
    /// One step of training on one batch, including the loading of its images.
    Step,
    /// All steps of an epoch, without an evaluation.
    Epoch,
    /// One Hessian-vector product over the measured examples. The chunks that fit in memory are linearized beforehand.
    Hvp,
    /// λ_max by its residual alone, as other programs stop: the linearization and all products.
    LambdaMaxResidual,
    /// A whole measurement of λ_max, as by `measure`: also shown to be the largest, and checked in double precision.
    LambdaMax,
}

impl Task {
    /// All of them, the shortest first.
    pub const ALL: [Self; 5] = [Self::Step, Self::Epoch, Self::Hvp, Self::LambdaMaxResidual, Self::LambdaMax];

    /// The name as users write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Step => "step",
            Self::Epoch => "epoch",
            Self::Hvp => "hvp",
            Self::LambdaMaxResidual => "lambda-max-residual",
            Self::LambdaMax => "lambda-max",
        }
    }
}

/// One repetition of a task.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Repetition {
    /// How long it took.
    pub seconds: f64,
    /// What it computed.
    #[serde(flatten)]
    pub computed: Computed,
}

/// The numbers that a task computes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Computed {
    /// Of [`Task::Step`] and [`Task::Epoch`].
    Training {
        /// Examples of the step or epoch.
        examples: usize,
        /// Their mean loss, each before its step.
        loss: f64,
    },
    /// Of [`Task::Hvp`]: the product of the Hessian `H` with the unit vector `u` along the gradient `g`.
    Product {
        /// Measured examples.
        examples: usize,
        /// Their mean loss.
        loss: f64,
        /// `‖g‖`.
        gradient_norm: f64,
        /// `‖H u‖`.
        product_norm: f64,
        /// `uᵀ H u`.
        curvature: f64,
        /// Chunks of the measured examples.
        chunks: usize,
        /// Chunks that stay linearized between products.
        cached_chunks: usize,
    },
    /// Of [`Task::LambdaMaxResidual`] and [`Task::LambdaMax`].
    LambdaMax {
        /// Measured examples.
        examples: usize,
        /// The eigenvalue.
        value: f64,
        /// Its residual.
        residual: f64,
        /// Hessian-vector products that it took.
        products: usize,
        /// Whether the requested tolerances are met: the residual's, and for [`Task::LambdaMax`] the bound's.
        converged: bool,
        /// Whether it was shown to be the largest, within `bound_rtol`.
        certified: bool,
        /// Chunks of the measured examples.
        chunks: usize,
        /// Chunks that stay linearized between products.
        cached_chunks: usize,
    },
}

/// The subject of the tasks.
pub struct Bench<'a, B: Backend> {
    /// The network.
    pub engine: &'a Engine<B>,
    /// The examples.
    pub data: &'a Standardized,
    /// The weights at which training starts and curvature is measured.
    pub weights: &'a Weights,
    /// The settings of training and of the measurement.
    pub config: &'a RunConfig,
    /// The memory of the process.
    pub budget: Budget,
    /// Watches measurements.
    pub watcher: &'a dyn Watcher,
}

/// Runs a task once.
pub type Again<'a> = dyn FnMut() -> Result<Repetition> + 'a;

impl<B: Backend> Bench<'_, B> {
    /// Prepares `task` and calls `run` with a function that runs it once. Training continues from repetition to
    /// repetition: batch `k` is the next `batch_size` examples in the order of the data, starting over at their end.
    ///
    /// # Errors
    /// Those of `run`; those of [`measure`] and [`trained_examples`].
    pub fn prepare<T, E: From<Error>>(
        &self,
        task: Task,
        run: impl FnOnce(&mut Again<'_>) -> std::result::Result<T, E>,
    ) -> std::result::Result<T, E> {
        let examples = trained_examples(self.config, self.data.dataset())?;
        match task {
            Task::Step => run(&mut self.training(&examples, 1)),
            Task::Epoch => {
                let steps = examples.len().div_ceil(self.config.training.batch_size);
                run(&mut self.training(&examples, steps))
            }
            Task::Hvp => self.products(&examples, run),
            Task::LambdaMaxResidual => run(&mut || self.lambda_max_residual(&examples)),
            Task::LambdaMax => run(&mut || self.lambda_max(&examples)),
        }
    }

    /// What is measured.
    fn subject<'s>(&'s self, trained: &'s [u32], settings: &'s MeasureConfig) -> Subject<'s, B> {
        let Self { engine, data, config, budget, .. } = *self;
        Subject { engine, data, trained, settings, seed: config.seed, budget }
    }

    /// A function that takes the next `steps` steps. The last batch before the end of the examples may be smaller.
    fn training(&self, examples: &[u32], steps: usize) -> impl FnMut() -> Result<Repetition> {
        let mut optimizer = Optimizer::new(&self.engine.network, &self.config.training, self.weights, &[]);
        let source = PartExamples::new(self.data, Part::Train);
        let batch_size = self.config.training.batch_size;
        let mut batches = examples.chunks(batch_size).cycle().zip(0_u32..);
        move || {
            let (mut sum, mut count) = (0.0, 0);
            let start = Instant::now();
            for (batch, step) in batches.by_ref().take(steps) {
                sum += optimizer.step(&source, batch, &moment(self.config, 0, step)).loss;
                count += batch.len();
            }
            let seconds = start.elapsed().as_secs_f64();
            let computed = Computed::Training { examples: count, loss: sum / count as f64 };
            Ok(Repetition { seconds, computed })
        }
    }

    fn products<T, E: From<Error>>(
        &self,
        examples: &[u32],
        run: impl FnOnce(&mut Again<'_>) -> std::result::Result<T, E>,
    ) -> std::result::Result<T, E> {
        let settings = self.config.measurement();
        let problem = Problem::new(self.subject(examples, &settings), self.watcher)?;
        let mut operator = problem.linearize(self.weights, "the given weights")?;
        let gradient_norm = norm(operator.gradient());
        // A gradient of zeros has no direction; its product is zero.
        let scale = if gradient_norm > 0.0 { 1.0 / gradient_norm } else { 0.0 };
        let along: Vec<f64> = operator.gradient().iter().map(|x| x * scale).collect();
        let mut product = vec![0.0; along.len()];
        let (chunks, cached_chunks) = operator.chunks();
        run(&mut || {
            let start = Instant::now();
            operator
                .apply(&along, &mut product)
                .map_err(|error| solver_error(sharpness_curvature::Error::Operator(error)))?;
            let seconds = start.elapsed().as_secs_f64();
            let computed = Computed::Product {
                examples: problem.count(),
                loss: operator.loss(),
                gradient_norm,
                product_norm: norm(&product),
                curvature: along.iter().zip(&product).map(|(u, p)| u * p).sum(),
                chunks,
                cached_chunks,
            };
            Ok(Repetition { seconds, computed })
        })
    }

    /// λ_max as peers compute it: without a bound, and without a product in double precision.
    fn lambda_max_residual(&self, examples: &[u32]) -> Result<Repetition> {
        let settings = MeasureConfig { bound_rtol: BoundRtol::off(), ..self.config.measurement() };
        let start = Instant::now();
        let problem = Problem::new(self.subject(examples, &settings), self.watcher)?;
        let mut operator = problem.linearize(self.weights, "the given weights")?;
        let params = problem.params_from_gradient(&operator);
        let solved = eigenpairs(&mut operator, &params, &mut |progress| {
            self.watcher.report(&MeasureProgress::lambda_max(progress, problem.memory()));
        })
        .map_err(solver_error)?;
        let seconds = start.elapsed().as_secs_f64();
        let (chunks, cached_chunks) = operator.chunks();
        let computed = Computed::LambdaMax {
            examples: problem.count(),
            value: solved.pairs[0].value,
            residual: solved.pairs[0].residual,
            products: solved.products,
            converged: solved.converged(),
            certified: false,
            chunks,
            cached_chunks,
        };
        Ok(Repetition { seconds, computed })
    }

    fn lambda_max(&self, examples: &[u32]) -> Result<Repetition> {
        let settings = self.config.measurement();
        let start = Instant::now();
        let measured =
            measure(self.subject(examples, &settings), Iterates::only(self.weights), self.watcher)?;
        let seconds = start.elapsed().as_secs_f64();
        let found = measured.lambda_max;
        let computed = Computed::LambdaMax {
            examples: measured.examples,
            value: found.value,
            residual: found.residual,
            products: found.products,
            converged: found.converged,
            certified: found.certified,
            chunks: measured.chunks,
            cached_chunks: measured.cached_chunks,
        };
        Ok(Repetition { seconds, computed })
    }
}
