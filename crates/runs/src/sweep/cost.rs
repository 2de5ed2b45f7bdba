//! Estimates how long runs will take from one timed step of each kind and from finished runs of the same network.

use std::time::Duration;

use sharpness_data::{Dataset, Standardized};
use sharpness_network::Weights;
use sharpness_network::backend::Backend;
use sharpness_training::bench::{Bench, Task};
use sharpness_training::settings::RunConfig;
use sharpness_training::{Budget, Engine, Visitor, Watch, training_bytes, with_engine};

use crate::Result;
use crate::report::Report;

/// The estimated cost of a run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cost {
    /// Of one step of training.
    pub step: Duration,
    /// Of one epoch: its steps, and the evaluation at its end, which takes about a third of the time of a step on as many examples.
    pub epoch: Duration,
    /// Epochs until the target accuracy; known only from other runs.
    pub epochs: Option<f64>,
}

impl Cost {
    /// The whole training, if the number of epochs is known.
    pub fn training(&self) -> Option<Duration> {
        self.epochs.map(|epochs| self.epoch.mul_f64(epochs))
    }
}

/// Timed steps, and finished runs.
#[derive(Debug, Default)]
pub struct Costs {
    done: Vec<Report>,
    timed: Vec<(RunConfig, Duration)>,
}

impl Costs {
    /// What is known from finished runs.
    pub const fn from_done(done: Vec<Report>) -> Self {
        Self { done, timed: Vec::new() }
    }

    /// The cost of a run, on the threads of the current rayon pool. Times a step on random images unless one of its
    /// kind was already timed.
    ///
    /// # Errors
    /// If the network does not fit in memory.
    pub fn of(&mut self, config: &RunConfig) -> Result<Cost> {
        let kind = kind(config);
        let known = self.timed.iter().find(|(timed, _)| *timed == kind).map(|(_, step)| *step);
        let step = match known {
            Some(step) => step,
            None => {
                let step = with_engine(&kind, TimeStep(&kind))??;
                self.timed.push((kind.clone(), step));
                step
            }
        };
        let step = step.mul_f64(config.training.batch_size as f64 / kind.training.batch_size as f64);
        let examples = config.data.trained_examples();
        let steps = f64::from(config.training.steps_per_epoch(examples));
        // SAM evaluates two gradients in a step.
        let share = if config.training.sam.is_some() { 1.0 / 6.0 } else { 1.0 / 3.0 };
        Ok(Cost { step, epoch: step.mul_f64(steps * (1.0 + share)), epochs: self.epochs(config) })
    }

    /// Epochs until the target. For small steps, training follows the gradient flow, so the number of epochs is
    /// proportional to batch size over step size; it is scaled from the finished run of the same network that is
    /// nearest in this ratio.
    fn epochs(&self, config: &RunConfig) -> Option<f64> {
        let ratio = |config: &RunConfig| config.training.batch_size as f64 / config.training.learning_rate;
        let distance = |other: &RunConfig| (ratio(config) / ratio(other)).ln().abs();
        let same = self.done.iter().filter(|report| {
            let other = &report.config;
            (&other.model.arch, &other.data) == (&config.model.arch, &config.data)
                && other.training.target_accuracy.total_cmp(&config.training.target_accuracy).is_eq()
        });
        let nearest = same.min_by(|a, b| distance(&a.config).total_cmp(&distance(&b.config)))?;
        let epochs = f64::from(nearest.training.epochs) * ratio(config) / ratio(&nearest.config);
        Some(epochs.clamp(1.0, f64::from(config.training.max_epochs)))
    }
}

/// The configuration without the settings that do not affect the cost of an example in a step.
fn kind(config: &RunConfig) -> RunConfig {
    let mut kind = config.clone();
    kind.seed = 0;
    kind.training.learning_rate = 1e-3;
    kind.training.max_epochs = 1;
    kind.training.batch_size = kind.training.batch_size.min(kind.training.micro_batch_size);
    kind.data.train_examples = None;
    if let Some(sam) = &mut kind.training.sam {
        sam.rho = 0.05;
    }
    kind.measure = RunConfig::new(config.data.name, config.model.arch).measure;
    kind
}

/// The time of one step on random images, after a warm-up.
struct TimeStep<'a>(&'a RunConfig);

impl Visitor for TimeStep<'_> {
    type Output = Result<Duration>;

    fn visit<B: Backend>(self, engine: &Engine<B>) -> Result<Duration> {
        let Self(config) = self;
        let budget = Budget::default();
        budget.left(training_bytes(&engine.network, config, false))?;
        let weights = Weights::initial(&engine.network, config.seed);
        let dataset = Dataset::random(config.data.name, config.training.batch_size, config.seed);
        let data = Standardized::new(dataset, config.data.standardize);
        let mut nobody = ();
        let watcher = &Watch::new(&mut nobody);
        let bench = Bench { engine, data: &data, weights: &weights, config, budget, watcher };
        bench.prepare(Task::Step, |again| {
            again()?;
            Ok(Duration::from_secs_f64(again()?.seconds))
        })
    }
}
