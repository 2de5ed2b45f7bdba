//! The loop over epochs and steps.

use std::cell::RefCell;
use std::time::Instant;

use sharpness_network::Network;
use sharpness_network::backend::Backend;

use super::evaluation::Evaluation;
use super::{
    EpochMetrics, Observer, Outcome, PartExamples, Progress, StepReport, TrainState, device_bytes,
    training_pass,
};
use crate::config::RunConfig;
use crate::data::{Part, Standardized};
use crate::measures::{Budget, Tracker};
use crate::optimizers::Optimizer;
use crate::seeds;
use crate::store::Journal;
use crate::{Error, Result};

/// A training under way.
#[derive(Debug)]
pub(crate) struct Trainer<'a, B: Backend> {
    config: &'a RunConfig,
    network: &'a Network<B>,
    data: &'a Standardized,
    /// Numbers of the examples that are trained on.
    trained: &'a [u32],
    /// Numbers of the test examples.
    tested: Vec<u32>,
    /// The examples in the order of this epoch.
    order: Vec<u32>,
    optimizer: Optimizer<'a, B>,
    evaluation: Evaluation<B>,
    tracker: Option<Tracker<'a, B>>,
    progress: Progress,
    /// When this process began, and the seconds before that.
    started: (Instant, f64),
}

impl<'a, B: Backend> Trainer<'a, B> {
    /// A training that resumes at `state`, on the examples `trained` of the training set. What it takes is part of `budget`.
    ///
    /// # Errors
    /// If λ_max is to be measured through training, and the memory does not suffice.
    pub(crate) fn new(
        config: &'a RunConfig,
        network: &'a Network<B>,
        data: &'a Standardized,
        trained: &'a [u32],
        state: TrainState,
        budget: Budget,
    ) -> Result<Self> {
        let TrainState { weights, momentum, eigenvector, progress } = state;
        let budget = budget.less(device_bytes(network, config));
        let tested: Vec<u32> = (0_u32..).take(data.dataset().test().len()).collect();
        Ok(Self {
            optimizer: Optimizer::new(network, &config.training, &weights, momentum.as_deref()),
            evaluation: Evaluation::new(network, trained.len().max(tested.len())),
            tracker: Tracker::new(config, network, data, trained, eigenvector, budget)?,
            order: Vec::with_capacity(trained.len()),
            started: (Instant::now(), progress.seconds),
            config,
            network,
            data,
            trained,
            tested,
            progress,
        })
    }

    /// Trains until there is an outcome, and gives it with the last iterate.
    pub(crate) fn run(
        mut self,
        mut journal: Option<&mut Journal<'_>>,
        observer: &mut dyn Observer,
    ) -> Result<(Outcome, TrainState)> {
        if self.progress.step == 0 && self.track(observer)? {
            return Ok((Outcome::Interrupted, self.snapshot()));
        }
        let outcome = loop {
            let outcome = match self.steps(journal.as_deref_mut(), observer)? {
                Some(outcome) => Some(outcome),
                None => self.end_epoch(journal.as_deref_mut(), observer)?,
            };
            if let Some(outcome) = outcome {
                break outcome;
            }
        };
        self.progress.outcome = (outcome != Outcome::Interrupted).then_some(outcome);
        let state = self.snapshot();
        if let Some(journal) = journal {
            journal.save(&state)?;
        }
        Ok((outcome, state))
    }

    /// The rest of the epoch's steps; an outcome if the training ends within them.
    fn steps(
        &mut self,
        mut journal: Option<&mut Journal<'_>>,
        observer: &mut dyn Observer,
    ) -> Result<Option<Outcome>> {
        seeds::shuffle(self.config.seed, self.progress.epoch, self.trained, &mut self.order);
        let batch_size = self.config.training.batch_size;
        let steps_per_epoch = self.config.training.steps_per_epoch(self.trained.len());
        let examples = PartExamples::new(self.data, Part::Train);
        let done = self.progress.step_in_epoch;
        for (step_in_epoch, batch) in (1_u32..).zip(self.order.chunks(batch_size)).skip(done as usize) {
            let sums = self.optimizer.step(&examples, batch, &training_pass(self.config, self.progress.step));
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
            if observer.should_stop() {
                return Ok(Some(Outcome::Interrupted));
            }
            if let Some(journal) = &mut journal
                && journal.is_due()
            {
                journal.save(&self.snapshot())?;
            }
        }
        Ok(None)
    }

    /// Measures, records and judges the epoch whose steps are done.
    fn end_epoch(
        &mut self,
        mut journal: Option<&mut Journal<'_>>,
        observer: &mut dyn Observer,
    ) -> Result<Option<Outcome>> {
        let train = self.mean(Part::Train);
        if !train.loss.is_finite() {
            return Ok(Some(Outcome::Diverged));
        }
        let epoch = self.progress.epoch + 1;
        let outcome = if train.correct >= self.config.training.target_accuracy {
            Some(Outcome::Converged)
        } else {
            (epoch >= self.config.training.max_epochs).then_some(Outcome::MaxEpochs)
        };
        let is_test_cheap = self.tested.len() <= self.trained.len();
        let test = (outcome.is_some() || is_test_cheap).then(|| self.mean(Part::Test));
        if test.is_some_and(|test| !test.loss.is_finite()) {
            return Ok(Some(Outcome::Diverged));
        }

        if self.track(observer)? {
            return Ok(Some(Outcome::Interrupted));
        }
        let lambda_max = self.progress.lambda_max.last().cloned();
        let seen = self.progress.seen as f64;
        let metrics = EpochMetrics {
            epoch,
            steps: self.progress.step,
            batch_loss: self.progress.loss_sum / seen,
            batch_accuracy: self.progress.correct / seen,
            train_loss: train.loss,
            train_accuracy: train.correct,
            test_loss: test.map(|test| test.loss),
            test_accuracy: test.map(|test| test.correct),
            lambda_max,
        };
        if let Some(journal) = &mut journal {
            journal.append(&metrics)?;
        }
        observer.on_epoch(&metrics);
        let progress = &mut self.progress;
        (progress.epoch, progress.step_in_epoch) = (epoch, 0);
        (progress.loss_sum, progress.correct, progress.seen) = (0.0, 0.0, 0);
        progress.last_epoch = Some(metrics);
        if let Some(journal) = &mut journal
            && outcome.is_none()
            && journal.is_due_after(epoch)
        {
            journal.save(&self.snapshot())?;
        }
        Ok(outcome)
    }

    /// Measures λ_max where it is measured through training. Says whether it was stopped.
    fn track(&mut self, observer: &mut dyn Observer) -> Result<bool> {
        let Some(tracker) = &mut self.tracker else { return Ok(false) };
        let (weights, step) = (self.optimizer.weights(), self.progress.step);
        let observer = RefCell::new(observer);
        let mut on_progress = |progress: &_| observer.borrow_mut().on_measure(progress);
        let stop = || observer.borrow_mut().should_stop();
        match tracker.measure(&weights, step, &mut on_progress, &stop) {
            Ok(found) => self.progress.lambda_max.push(found),
            Err(Error::MeasureStopped) => return Ok(true),
            Err(error) => return Err(error),
        }
        Ok(false)
    }

    /// Mean loss and accuracy over the examples of one part.
    fn mean(&mut self, part: Part) -> sharpness_network::Sums {
        let numbers = match part {
            Part::Train => self.trained,
            Part::Test => &self.tested,
        };
        let at = (self.optimizer.parameters(), self.optimizer.state());
        self.evaluation.mean(self.network, at, &PartExamples::new(self.data, part), numbers)
    }

    fn snapshot(&self) -> TrainState {
        let (started, seconds_before) = self.started;
        let mut progress = self.progress.clone();
        progress.seconds = seconds_before + started.elapsed().as_secs_f64();
        let eigenvector = self.tracker.as_ref().and_then(Tracker::eigenvector);
        let (weights, momentum) = (self.optimizer.weights(), self.optimizer.momentum());
        TrainState { weights, momentum, eigenvector, progress }
    }
}
