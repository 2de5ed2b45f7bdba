//! The loop over epochs and steps.

use std::time::Instant;

use sharpness_data::{Part, PartExamples, Standardized};
use sharpness_network::backend::Backend;
use sharpness_network::op::{BatchNorm, Dropout, Pass};
use sharpness_network::{Sums, Weights};

use crate::engine::Engine;
use crate::evaluation::Evaluation;
use crate::measures::{AdamSharpness, Measure as _, Tracked, Tracker};
use crate::memory::Budget;
use crate::observer::{Observer, Watch};
use crate::progress::{EpochMetrics, Outcome, Progress, StepReport, TrainState};
use crate::seeds::{self, Purpose};
use crate::settings::RunConfig;
use crate::step::{Moment, Optimizer};
use crate::training_bytes::device_bytes;
use crate::{Error, Result};

/// Where a training records its progress; `()` records nothing.
pub trait Journal {
    /// The error of writing.
    type Error: From<Error>;

    /// Appends the metrics of an epoch, durably.
    ///
    /// # Errors
    /// Those of writing.
    fn append(&mut self, metrics: &EpochMetrics) -> std::result::Result<(), Self::Error>;

    /// Whether a checkpoint is due after a step.
    fn is_due(&self) -> bool;

    /// Whether a checkpoint is due after `epoch` epochs.
    fn is_due_after(&self, epoch: u32) -> bool;

    /// Replaces the checkpoint.
    ///
    /// # Errors
    /// Those of writing.
    fn save(&mut self, state: &TrainState) -> std::result::Result<(), Self::Error>;
}

impl Journal for () {
    type Error = Error;

    fn append(&mut self, _: &EpochMetrics) -> Result<()> {
        Ok(())
    }

    fn is_due(&self) -> bool {
        false
    }

    fn is_due_after(&self, _: u32) -> bool {
        false
    }

    fn save(&mut self, _: &TrainState) -> Result<()> {
        Ok(())
    }
}

/// An optional journal.
impl<J: Journal> Journal for Option<J> {
    type Error = J::Error;

    fn append(&mut self, metrics: &EpochMetrics) -> std::result::Result<(), J::Error> {
        self.as_mut().map_or(Ok(()), |journal| journal.append(metrics))
    }

    fn is_due(&self) -> bool {
        self.as_ref().is_some_and(J::is_due)
    }

    fn is_due_after(&self, epoch: u32) -> bool {
        self.as_ref().is_some_and(|journal| journal.is_due_after(epoch))
    }

    fn save(&mut self, state: &TrainState) -> std::result::Result<(), J::Error> {
        self.as_mut().map_or(Ok(()), |journal| journal.save(state))
    }
}

/// What is trained: a network on the examples that its configuration takes from a data set.
#[derive(Debug)]
pub struct Job<'a, B: Backend> {
    /// Every choice.
    pub config: &'a RunConfig,
    /// The network of this configuration.
    pub engine: &'a Engine<B>,
    /// The data set of this configuration.
    pub data: &'a Standardized,
    /// The indices of the training examples: [`trained_examples`](crate::trained_examples).
    pub trained: &'a [u32],
    /// The memory of the process, which the training is a part of.
    pub budget: Budget,
}

// Derived impls would ask for `B: Copy`.
impl<B: Backend> Clone for Job<'_, B> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<B: Backend> Copy for Job<'_, B> {}

impl<B: Backend> Job<'_, B> {
    /// The state before the first step.
    pub fn initial_state(&self) -> TrainState {
        let weights = Weights::initial(&self.engine.network, Purpose::Weights.seed(self.config.seed));
        TrainState { weights, optimizer: Vec::new(), eigenvector: None, progress: Progress::default() }
    }

    /// Trains from `state` until there is an outcome, and returns it with the last iterate. A training that diverges,
    /// or that the observer interrupts, is not an error.
    ///
    /// The result depends on the configuration and the state alone: not on threads, memory, or interruptions.
    ///
    /// # Errors
    /// Those of the journal; if λ_max is to be measured through training, [`Error::Memory`] and those of the measurement.
    pub fn train<J: Journal>(
        &self,
        state: TrainState,
        journal: &mut J,
        observer: &mut dyn Observer,
    ) -> std::result::Result<(Outcome, TrainState), J::Error> {
        if let Some(outcome) = state.progress.outcome {
            return Ok((outcome, state));
        }
        Trainer::new(*self, state)?.run(journal, observer)
    }

    /// The iterate after `state`: one step on the next batch, exactly as in the training. The paper's section 3.5
    /// searches the segment between both.
    pub fn next_weights(&self, state: &TrainState) -> Weights {
        let Self { config, engine, data, trained, .. } = *self;
        let Progress { epoch, step_in_epoch, step, .. } = state.progress;
        // A run that was stopped after the last step of an epoch resumes with the next one.
        let is_left = step_in_epoch < config.training.steps_per_epoch(trained.len());
        let (epoch, step_in_epoch) = if is_left { (epoch, step_in_epoch) } else { (epoch + 1, 0) };
        let mut order = Vec::new();
        seeds::shuffle(config.seed, epoch, trained, &mut order);
        let mut optimizer =
            Optimizer::new(&engine.network, &config.training, &state.weights, &state.optimizer);
        let batch = order.chunks(config.training.batch_size).nth(step_in_epoch as usize).unwrap_or_default();
        optimizer.step(&PartExamples::new(data, Part::Train), batch, &moment(config, epoch, step));
        optimizer.weights()
    }
}

/// The step `step` in the epoch `epoch`, both counted from 0, with statistics of the batch and the dropout masks of the
/// step.
pub(crate) fn moment(config: &RunConfig, epoch: u32, step: u32) -> Moment {
    let seed = Purpose::Dropout.seed(config.seed);
    let dropout = (config.model.dropout > 0.0).then_some(Dropout { seed, step });
    let pass = Pass { batch_norm: BatchNorm::Batch, dropout };
    Moment { step, learning_rate: config.training.learning_rate_at(epoch, step), pass }
}

/// A training under way.
#[derive(Debug)]
struct Trainer<'a, B: Backend> {
    job: Job<'a, B>,
    /// The indices of the test examples.
    tested: Vec<u32>,
    /// The examples in the order of this epoch.
    order: Vec<u32>,
    optimizer: Optimizer<'a, B>,
    evaluation: Evaluation<B>,
    tracker: Option<Tracker<'a, B>>,
    progress: Progress,
    /// When this process started, and the training time before that in seconds.
    started: (Instant, f64),
}

impl<'a, B: Backend> Trainer<'a, B> {
    /// A training that resumes at `state`.
    fn new(job: Job<'a, B>, state: TrainState) -> Result<Self> {
        let Job { config, engine, data, trained, budget } = job;
        let TrainState { weights, optimizer, eigenvector, progress } = state;
        let budget = budget.less(device_bytes(&engine.network, config));
        let tested: Vec<u32> = (0_u32..).take(data.dataset().test().len()).collect();
        Ok(Self {
            optimizer: Optimizer::new(&engine.network, &config.training, &weights, &optimizer),
            evaluation: Evaluation::new(&engine.network, trained.len().max(tested.len())),
            tracker: Tracker::new(Tracked { config, engine, data, trained, budget }, eigenvector)?,
            order: Vec::with_capacity(trained.len()),
            started: (Instant::now(), progress.seconds),
            job,
            tested,
            progress,
        })
    }

    fn run<J: Journal>(
        mut self,
        journal: &mut J,
        observer: &mut dyn Observer,
    ) -> std::result::Result<(Outcome, TrainState), J::Error> {
        if self.progress.step == 0 && self.track(observer)? {
            return Ok((Outcome::Interrupted, self.snapshot()));
        }
        let outcome = loop {
            let outcome = match self.steps(journal, observer)? {
                Some(outcome) => Some(outcome),
                None => self.end_epoch(journal, observer)?,
            };
            if let Some(outcome) = outcome {
                break outcome;
            }
        };
        self.progress.outcome = (outcome != Outcome::Interrupted).then_some(outcome);
        let state = self.snapshot();
        journal.save(&state)?;
        Ok((outcome, state))
    }

    /// The rest of the epoch's steps; an outcome if the training ends within them.
    fn steps<J: Journal>(
        &mut self,
        journal: &mut J,
        observer: &mut dyn Observer,
    ) -> std::result::Result<Option<Outcome>, J::Error> {
        let Job { config, data, trained, .. } = self.job;
        seeds::shuffle(config.seed, self.progress.epoch, trained, &mut self.order);
        let batch_size = config.training.batch_size;
        let steps_per_epoch = config.training.steps_per_epoch(trained.len());
        let examples = PartExamples::new(data, Part::Train);
        // The measurement after the last step may have been interrupted.
        if self.track_step(observer)? {
            return Ok(Some(Outcome::Interrupted));
        }
        let done = self.progress.step_in_epoch;
        // Taken out, since measurements borrow all of `self`; each epoch refills it.
        let order = std::mem::take(&mut self.order);
        for (step_in_epoch, batch) in (1_u32..).zip(order.chunks(batch_size)).skip(done as usize) {
            let moment = moment(config, self.progress.epoch, self.progress.step);
            let sums = self.optimizer.step(&examples, batch, &moment);
            if !sums.loss.is_finite() {
                return Ok(Some(Outcome::Diverged));
            }
            let loss = sums.loss / batch.len() as f64;
            let progress = &mut self.progress;
            progress.step_in_epoch = step_in_epoch;
            progress.step += 1;
            progress.loss_sum += sums.loss;
            progress.correct += sums.correct;
            progress.seen += batch.len() as u64;
            progress.last_batch_loss = Some(loss);
            let (epoch, step) = (progress.epoch + 1, progress.step);
            observer.on_step(&StepReport { epoch, step_in_epoch, steps_per_epoch, step, loss });
            let should_stop = self.job.engine.network.ranks().any(observer.should_stop());
            if should_stop || self.track_step(observer)? {
                return Ok(Some(Outcome::Interrupted));
            }
            if journal.is_due() {
                journal.save(&self.snapshot())?;
            }
        }
        self.order = order;
        Ok(None)
    }

    /// Evaluates, records and judges an epoch after its steps.
    fn end_epoch<J: Journal>(
        &mut self,
        journal: &mut J,
        observer: &mut dyn Observer,
    ) -> std::result::Result<Option<Outcome>, J::Error> {
        let Job { config, trained, .. } = self.job;
        let train = self.mean(Part::Train);
        if !train.loss.is_finite() {
            return Ok(Some(Outcome::Diverged));
        }
        let epoch = self.progress.epoch + 1;
        let outcome = if train.correct >= config.training.target_accuracy {
            Some(Outcome::Converged)
        } else {
            (epoch >= config.training.max_epochs).then_some(Outcome::MaxEpochs)
        };
        let is_test_cheap = self.tested.len() <= trained.len();
        let test = (outcome.is_some() || is_test_cheap).then(|| self.mean(Part::Test));
        if test.is_some_and(|test| !test.loss.is_finite()) {
            return Ok(Some(Outcome::Diverged));
        }

        let every = config.training.through_every.unwrap_or_default();
        if every.is_epoch(epoch) && self.track(observer)? {
            return Ok(Some(Outcome::Interrupted));
        }
        let last = self.progress.lambda_max.last();
        let lambda_max = last.filter(|tracked| tracked.step == self.progress.step).cloned();
        let seen = self.progress.seen as f64;
        let metrics = EpochMetrics {
            epoch,
            steps: self.progress.step,
            batch_loss: Some(self.progress.loss_sum / seen),
            batch_accuracy: Some(self.progress.correct / seen),
            train_loss: train.loss,
            train_accuracy: train.correct,
            test_loss: test.map(|test| test.loss),
            test_accuracy: test.map(|test| test.correct),
            lambda_max,
        };
        journal.append(&metrics)?;
        observer.on_epoch(&metrics);
        let progress = &mut self.progress;
        (progress.epoch, progress.step_in_epoch) = (epoch, 0);
        (progress.loss_sum, progress.correct, progress.seen) = (0.0, 0.0, 0);
        progress.last_epoch = Some(metrics);
        if outcome.is_none() && journal.is_due_after(epoch) {
            journal.save(&self.snapshot())?;
        }
        Ok(outcome)
    }

    /// Measures λ_max after the last step if it is due and not measured yet. Returns whether it was stopped.
    fn track_step(&mut self, observer: &mut dyn Observer) -> Result<bool> {
        let step = self.progress.step;
        let is_due = self.job.config.training.through_every.is_some_and(|every| every.is_step(step));
        let is_done = self.progress.lambda_max.last().is_some_and(|tracked| tracked.step == step);
        if is_due && !is_done { self.track(observer) } else { Ok(false) }
    }

    /// Measures λ_max if it is measured through training. Returns whether it was stopped.
    fn track(&mut self, observer: &mut dyn Observer) -> Result<bool> {
        let Some(tracker) = &mut self.tracker else { return Ok(false) };
        let (weights, step) = (self.optimizer.weights(), self.progress.step);
        let training = &self.job.config.training;
        let is_scaled = training.through_measures.iter().any(|name| name == AdamSharpness::NAME);
        let preconditioner = is_scaled.then(|| {
            let rate = training.learning_rate_at(self.progress.epoch, step.saturating_sub(1));
            training.optimizer.settings().preconditioner(&self.optimizer.state_vectors(), step, rate)
        });
        let at = (&weights, preconditioner.flatten());
        let measured = tracker.measure((at.0, at.1.as_ref()), step, &Watch::new(observer));
        match measured {
            Ok(found) => {
                observer.on_lambda_max(&found);
                self.progress.lambda_max.push(found);
            }
            Err(Error::MeasureStopped) => return Ok(true),
            Err(error) => return Err(error),
        }
        Ok(false)
    }

    /// Mean loss and accuracy over the examples of one part.
    fn mean(&mut self, part: Part) -> Sums {
        let numbers = match part {
            Part::Train => self.job.trained,
            Part::Test => &self.tested,
        };
        let at = (self.optimizer.parameters(), self.optimizer.statistics());
        let examples = PartExamples::new(self.job.data, part);
        self.evaluation.mean(&self.job.engine.network, at, &examples, numbers)
    }

    fn snapshot(&self) -> TrainState {
        let (started, seconds_before) = self.started;
        let mut progress = self.progress.clone();
        progress.seconds = seconds_before + started.elapsed().as_secs_f64();
        let eigenvector = self.tracker.as_ref().and_then(Tracker::eigenvector);
        let (weights, optimizer) = (self.optimizer.weights(), self.optimizer.state_vectors());
        TrainState { weights, optimizer, eigenvector, progress }
    }
}
