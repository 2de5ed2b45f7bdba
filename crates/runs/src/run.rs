//! A run from its settings to its report: train, measure, write the results.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use sharpness_data::Standardized;
use sharpness_network::backend::Backend;
use sharpness_network::{Network, Ranks, Weights};
use sharpness_training::measures::{
    AdamSharpness, BetweenIterates, Iterates, Measure as _, Measurement, Subject, measure,
};
use sharpness_training::optimizers::Preconditioner;
use sharpness_training::settings::RunConfig;
use sharpness_training::{
    Budget, Engine, EpochMetrics, Job, Journal as _, Observer, Outcome, Progress, TrackedLambdaMax,
    TrainState, Visitor, Watch, Work, beside_weights, check_data, predicted_bytes, trained_examples,
    with_engine, with_shared_engine,
};

use crate::damage::Damage;
use crate::from_first::{from_first, state_from_first};
use crate::identity::Identity;
use crate::layout::RunLayout;
use crate::report::{Counts, Report, TrainReport};
use crate::store::{
    CheckpointEvery, Existing, Journal, Opened, RunDir, needs_no_measurement, read_metrics, stored_config,
    stored_state,
};
use crate::{Error, Result};

/// Where a run is written, and how often.
#[derive(Clone, Debug, Default)]
pub struct RunOptions {
    /// The directory of the run; if unset, nothing is written.
    pub out: Option<PathBuf>,
    /// What to do with an existing run in that directory.
    pub existing: Existing,
    /// A finished training of the same steps that also measured λ_max on the way. Its end is taken over instead of training again,
    /// unless the run has begun or the training cannot be read.
    pub tracked: Option<RunLayout>,
    /// When to write checkpoints.
    pub checkpoint_every: CheckpointEvery,
    /// The memory that the run may take.
    pub budget: Budget,
    /// The processes that share the run. Each must call [`complete_run`] with equal arguments; the first alone reads and writes the
    /// directory.
    pub ranks: Ranks,
}

/// An observer of a run on disk.
pub trait RunObserver: Observer {
    /// A damaged file of the run was set aside, and its content will be recomputed.
    fn on_damage(&mut self, damage: &Damage) {
        let _ = damage;
    }
    /// The run starts, resumes after what it did before, or is found to be done. Called once, and while no other process executes
    /// it.
    fn on_start(&mut self, past: &Past<'_>) {
        let _ = past;
    }
    /// Something went wrong that does not concern the run itself.
    fn on_note(&mut self, note: &str) {
        let _ = note;
    }
}

/// What a run did before this process took it up.
#[derive(Clone, Copy, Debug)]
pub struct Past<'p> {
    layout: Option<&'p RunLayout>,
    epochs: u32,
    lambda_max: &'p [TrackedLambdaMax],
}

impl<'p> Past<'p> {
    /// A training that has ended.
    pub(crate) fn finished(layout: &'p RunLayout, training: &'p TrainReport) -> Self {
        Self { layout: Some(layout), epochs: training.epochs, lambda_max: &training.lambda_max }
    }

    /// The metrics of the epochs up to the checkpoint; none if the run was imported without them.
    ///
    /// # Errors
    /// [`Error::DamagedRun`] or [`Error::Io`] if they cannot be read.
    pub fn epochs(&self) -> Result<Vec<EpochMetrics>> {
        // A training that was made here has a checkpoint too.
        let is_left_out = |layout: &RunLayout| !layout.metrics().exists() && !layout.checkpoint().exists();
        match self.layout {
            Some(layout) if !is_left_out(layout) => read_metrics(&layout.metrics(), self.epochs),
            _ => Ok(Vec::new()),
        }
    }

    /// λ_max up to the checkpoint, if it is measured through training.
    pub const fn lambda_max(&self) -> &'p [TrackedLambdaMax] {
        self.lambda_max
    }
}

impl RunObserver for () {}

/// How a run ended.
#[derive(Clone, Debug)]
pub enum Completion {
    /// It is done now.
    Made(Box<Report>),
    /// It was done before.
    Known(Box<Report>),
    /// The observer stopped it. If it has a directory, it is saved and can be resumed.
    Stopped,
}

impl Completion {
    /// The report, unless it was stopped.
    pub fn report(self) -> Option<Report> {
        match self {
            Self::Made(report) | Self::Known(report) => Some(*report),
            Self::Stopped => None,
        }
    }
}

/// Trains the network of `config` on `data`, on the threads of the current rayon pool, and measures it if
/// `is_measured`. A training or measurement that is already done is not repeated.
///
/// The result depends on `config` alone: not on threads, on `options`, or on interruptions. A training that diverges,
/// or is interrupted by the observer, is not an error.
///
/// # Errors
/// [`Config`](sharpness_training::Error::Config) if a setting is out of range or `data` is another data set than the
/// configuration's; [`Memory`](sharpness_training::Error::Memory) if the run does not fit its budget; the errors of
/// [`RunDir::open`]; [`Error::DamagedRun`] if a checkpoint or the metrics cannot be read; [`Error::Io`] if a file cannot be written;
/// those of [`measure`].
pub fn complete_run(
    config: &RunConfig,
    data: &Standardized,
    options: &RunOptions,
    is_measured: bool,
    observer: &mut dyn RunObserver,
) -> Result<Completion> {
    check_data(config, data)?;
    config.validate(data.dataset().train().len())?;
    with_shared_engine(config, &options.ranks, Run { config, data, options, is_measured, observer })?
}

/// The arguments of [`complete_run`].
struct Run<'a> {
    config: &'a RunConfig,
    data: &'a Standardized,
    options: &'a RunOptions,
    is_measured: bool,
    observer: &'a mut dyn RunObserver,
}

impl Visitor for Run<'_> {
    type Output = Result<Completion>;

    fn visit<B: Backend>(self, engine: &Engine<B>) -> Result<Completion> {
        let Self { config, data, options, is_measured, observer } = self;
        let budget = options.budget;
        budget.left(Work::Run { is_kept: options.out.is_some(), is_measured }.least_bytes(engine, config))?;
        let trained = trained_examples(config, data.dataset())?;
        let (dir, finished) = match options.out.as_ref().filter(|_| options.ranks.is_first()) {
            None => (None, None),
            Some(out) => match RunDir::open(out, config, options.existing, is_measured)? {
                Opened::Finished(report) => {
                    observer.on_start(&Past::finished(&RunLayout::new(out), &report.training));
                    (None, Some(report))
                }
                Opened::Open(dir) => (Some(*dir), None),
            },
        };
        if let Some(report) = from_first(&options.ranks, finished)? {
            return Ok(Completion::Known(report));
        }
        let job = Job { config, engine, data, trained: &trained, budget };
        let Some((training, state)) = train(job, dir.as_ref(), options, observer)? else {
            return Ok(Completion::Stopped);
        };
        let known = from_first(&options.ranks, dir.as_ref().map_or(Ok(None), RunDir::measurement)?)?;
        let measurement = if known.is_some() || !is_measured || needs_no_measurement(training.outcome) {
            known
        } else {
            match measure_end(job, &state, options.out.is_some(), observer) {
                Err(Error::Training(sharpness_training::Error::MeasureStopped)) => {
                    return Ok(Completion::Stopped);
                }
                measured => {
                    let measured = measured?;
                    dir.iter().try_for_each(|dir| dir.write_measurement(&measured))?;
                    Some(measured)
                }
            }
        };
        let Identity { training: training_id, run: id } = Identity::of(config)?;
        let report = Report { id, training_id, config: config.clone(), training, measurement };
        Ok(Completion::Made(Box::new(report)))
    }
}

/// Trains, or reads the finished training; `None` if the observer stopped it.
fn train<B: Backend>(
    job: Job<'_, B>,
    dir: Option<&RunDir>,
    options: &RunOptions,
    observer: &mut dyn RunObserver,
) -> Result<Option<(TrainReport, TrainState)>> {
    let Job { config, engine, data, trained, .. } = job;
    let network = &engine.network;
    let (own, mut journal) = if options.ranks.is_first() {
        let (found, journal) = found(&job, dir, options, observer)?;
        (Some(found), journal)
    } else {
        (None, None)
    };
    let (training, start) = state_from_first(&options.ranks, own)?;
    if let Some(training) = training {
        return Ok(Some((training, start)));
    }
    let (outcome, state) = job.train(start, &mut journal, observer)?;
    drop(journal);
    if outcome == Outcome::Interrupted {
        return Ok(None);
    }
    let counts = Counts {
        parameters: network.parameters().len(),
        train_examples: trained.len(),
        test_examples: data.dataset().test().len(),
    };
    let training = TrainReport::new(outcome, &state.progress, counts);
    if let Some(dir) = dir {
        write_weights(config, network, dir, &state.weights)?;
        dir.write_training(&training)?;
    }
    Ok(Some((training, state)))
}

/// The finished training with its last state, or no training and the state from which to resume it.
type Found = (Option<TrainReport>, TrainState);

/// What the directory of the run holds; and its journal, if the training is not finished.
fn found<'d, B: Backend>(
    job: &Job<'_, B>,
    dir: Option<&'d RunDir>,
    options: &RunOptions,
    observer: &mut dyn RunObserver,
) -> Result<(Found, Option<Journal<'d>>)> {
    dir.into_iter().flat_map(RunDir::damage).for_each(|damage| observer.on_damage(damage));
    let is_repaired = options.existing == Existing::Repair;
    if let Some(dir) = dir
        && let Some(training) = dir.training()?
    {
        match dir.final_state(dims(&job.engine.network), training.outcome) {
            Err(Error::DamagedRun { file, problem, .. }) if is_repaired => {
                observer.on_damage(&dir.set_training_aside(file, problem)?);
            }
            state => {
                let state = state?;
                observer.on_start(&Past::finished(dir.layout(), &training));
                return Ok(((Some(training), state), None));
            }
        }
    }
    let (start, journal) = match (start(job, dir, options), dir) {
        (Err(Error::DamagedRun { file, problem, .. }), Some(dir)) if is_repaired => {
            observer.on_damage(&dir.set_training_aside(file, problem)?);
            start(job, Some(dir), options)?
        }
        (started, _) => started?,
    };
    let Progress { epoch: epochs, lambda_max, .. } = &start.progress;
    observer.on_start(&Past { layout: dir.map(RunDir::layout), epochs: *epochs, lambda_max });
    Ok(((None, start), journal))
}

/// The state of the run's checkpoint, or the initial one; and the journal, if the run has a directory.
fn start<'d, B: Backend>(
    job: &Job<'_, B>,
    dir: Option<&'d RunDir>,
    options: &RunOptions,
) -> Result<(TrainState, Option<Journal<'d>>)> {
    let dims = dims(&job.engine.network);
    let checkpoint = dir.map_or(Ok(None), |dir| dir.checkpoint(dims))?;
    let taken_over = match (&checkpoint, dir, &options.tracked) {
        (None, Some(dir), Some(tracked)) => dir.take_over(tracked, dims).ok(),
        _ => None,
    };
    let is_taken_over = taken_over.is_some();
    let state = checkpoint.or(taken_over).unwrap_or_else(|| job.initial_state());
    let mut journal =
        dir.map(|dir| Journal::open(dir, options.checkpoint_every, state.progress.epoch)).transpose()?;
    if let Some(journal) = journal.as_mut().filter(|_| is_taken_over) {
        journal.save(&state)?;
    }
    Ok((state, journal))
}

/// How many parameters and running statistics a network has.
fn dims<B: Backend>(network: &Network<B>) -> (usize, usize) {
    (network.parameters().len(), network.state().len())
}

/// Writes the final weights, unless they are not finite: a file of such weights could not be read.
fn write_weights<B: Backend>(
    config: &RunConfig,
    network: &Network<B>,
    dir: &RunDir,
    weights: &Weights,
) -> Result<()> {
    if weights.parameters.iter().chain(&weights.state).all(|x| x.is_finite()) {
        // A single key, since several would have no fixed order in the file.
        let settings = serde_json::to_string(&crate::identity::leaves(config)?).unwrap_or_default();
        let metadata = BTreeMap::from([("config".to_owned(), settings)]);
        dir.write_weights(&weights.to_bytes(network, metadata)?)?;
    }
    Ok(())
}

/// Measures the final weights of a training.
fn measure_end<B: Backend>(
    job: Job<'_, B>,
    state: &TrainState,
    is_kept: bool,
    observer: &mut dyn RunObserver,
) -> Result<Measurement> {
    let Job { config, engine, data, trained, budget } = job;
    let settings = config.measurement();
    let next = settings.asked.contains_key(BetweenIterates::NAME).then(|| job.next_weights(state));
    let left = budget.less(beside_weights(engine, config));
    let subject = Subject { engine, data, trained, settings: &settings, seed: config.seed, budget: left };
    let is_asked = settings.asked.contains_key(AdamSharpness::NAME);
    let preconditioner = is_asked.then(|| preconditioner(config, state)).flatten();
    let at =
        Iterates { weights: &state.weights, next: next.as_ref(), preconditioner: preconditioner.as_ref() };
    let mut measured = measure(subject, at, &Watch::new(observer))?;
    // A report does not keep them.
    measured.vectors.clear();
    // The training may have taken more.
    let before = predicted_bytes(engine, (config, data), is_kept, budget)?;
    let predicted = &mut measured.memory.predicted_bytes;
    *predicted = (*predicted).max(before);
    Ok(measured)
}

/// How the optimizer of a run scales the gradient at `state`.
fn preconditioner(config: &RunConfig, state: &TrainState) -> Option<Preconditioner> {
    let training = &config.training;
    let Progress { epoch, step_in_epoch, step, .. } = state.progress;
    let of_last_step = epoch.saturating_sub(u32::from(step_in_epoch == 0));
    let rate = training.learning_rate_at(of_last_step, step.saturating_sub(1));
    training.optimizer.settings().preconditioner(&state.optimizer, step, rate)
}

/// The end of a training.
#[derive(Debug)]
pub struct LastStep {
    /// The last iterate.
    pub weights: Weights,
    /// The next one.
    pub next: Weights,
    /// How the optimizer scales the gradient there, if it scales single entries and has taken a step.
    pub preconditioner: Option<Preconditioner>,
}

/// The last iterate of the run in `dir`, finished or stopped, and the next one of its training. `data` are those of the
/// run.
///
/// # Errors
/// [`Error::DamagedRun`] if the run has no configuration or no checkpoint, or they cannot be read;
/// [`Config`](sharpness_training::Error::Config) if `data` are not those of the run.
pub fn last_step(dir: &Path, data: &Standardized) -> Result<LastStep> {
    struct Read<'a> {
        config: &'a RunConfig,
        layout: &'a RunLayout,
        data: &'a Standardized,
    }
    impl Visitor for Read<'_> {
        type Output = Result<LastStep>;

        fn visit<B: Backend>(self, engine: &Engine<B>) -> Self::Output {
            let Self { config, layout, data } = self;
            let state = stored_state(layout, config, dims(&engine.network))?;
            let trained = trained_examples(config, data.dataset())?;
            let job = Job { config, engine, data, trained: &trained, budget: Budget::default() };
            let next = job.next_weights(&state);
            let preconditioner = preconditioner(config, &state);
            Ok(LastStep { weights: state.weights, next, preconditioner })
        }
    }
    let layout = RunLayout::new(dir);
    let stored = stored_config(&layout)?;
    if stored.is_old {
        return Err(Error::OldRun { dir: dir.to_owned() });
    }
    let config = stored.config;
    check_data(&config, data)?;
    config.validate(data.dataset().train().len())?;
    with_engine(&config, Read { config: &config, layout: &layout, data })?
}
