//! One run: a configuration, a data set and, if asked for, a directory from which it can be resumed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sharpness_kernels::Cpu;
use sharpness_network::backend::{Backend, Loss, Shape};
use sharpness_network::{Network, Weights};

use crate::config::{LossName, Precision, RunConfig};
use crate::data::{Dataset, Part, Standardized, class_balanced};
use crate::measures::{Budget, TrackedLambdaMax};
use crate::optimizers::Optimizer;
use crate::seeds::{self, Purpose};
use crate::store::{self, CheckpointEvery, Existing, Journal, Opened, RunDir, RunLayout};
use crate::training::{Observer, Outcome, PartExamples, Progress, TrainState, Trainer, training_pass};
use crate::{Error, Report, Result};

/// Where a run is written, and how often.
#[derive(Clone, Debug, Default)]
pub struct RunOptions {
    /// The directory of the run; if unset, nothing is written.
    pub out: Option<PathBuf>,
    /// What to do with a run that is in that directory already.
    pub existing: Existing,
    /// When checkpoints are written.
    pub checkpoint_every: CheckpointEvery,
    /// The memory that the run may take.
    pub budget: Budget,
}

/// What became of a run.
#[derive(Debug)]
pub enum Run {
    /// It was trained, now or before this call.
    Trained(Box<Trained>),
    /// It had been finished before: the content of its `result.json`.
    Finished(Box<Report>),
}

/// A trained network, in the state in which training left it.
#[derive(Debug)]
pub struct Trained {
    /// What can be said about the training.
    pub report: TrainReport,
    /// The last iterate.
    pub state: TrainState,
    /// The directory, if the run has one. [`RunDir::write_result`] finishes the run.
    pub dir: Option<RunDir>,
}

/// The numbers of a training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrainReport {
    /// How it ended.
    pub outcome: Outcome,
    /// Epochs that have ended.
    pub epochs: u32,
    /// Steps made.
    pub steps: u32,
    /// Accuracy on the training set at the end of the last epoch, from 0 to 1; absent before the first has ended.
    pub train_accuracy: Option<f64>,
    /// Mean loss over the training set then.
    pub train_loss: Option<f64>,
    /// Accuracy on the test set then; absent if the training ended within an epoch and the test set is larger than the training set.
    pub test_accuracy: Option<f64>,
    /// Mean loss over the test set then.
    pub test_loss: Option<f64>,
    /// The mean loss of the last batch whose loss was finite, before its step.
    pub last_batch_loss: Option<f64>,
    /// The time that training took, in seconds, over all processes that worked on it.
    pub seconds: f64,
    /// Parameters of the network.
    pub parameters: usize,
    /// Examples trained on.
    pub train_examples: usize,
    /// Test examples.
    pub test_examples: usize,
    /// λ_max before the first step and at the end of each epoch, where it is measured through training.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lambda_max: Vec<TrackedLambdaMax>,
}

impl TrainReport {
    fn new(outcome: Outcome, progress: &Progress, counts: (usize, usize, usize)) -> Self {
        let epoch = progress.last_epoch.as_ref();
        Self {
            outcome,
            epochs: progress.epoch,
            steps: progress.step,
            train_accuracy: epoch.map(|epoch| epoch.train_accuracy),
            train_loss: epoch.map(|epoch| epoch.train_loss),
            test_accuracy: epoch.and_then(|epoch| epoch.test_accuracy),
            test_loss: epoch.and_then(|epoch| epoch.test_loss),
            last_batch_loss: progress.last_batch_loss,
            seconds: progress.seconds,
            parameters: counts.0,
            train_examples: counts.1,
            test_examples: counts.2,
            lambda_max: progress.lambda_max.clone(),
        }
    }

    /// The median number of products of λ_max through training, without the first one, which has nothing to start from.
    pub fn median_products(&self) -> Option<usize> {
        let mut products: Vec<usize> = self.lambda_max.iter().skip(1).map(|found| found.products).collect();
        products.sort_unstable();
        products.get(products.len() / 2).copied()
    }
}

/// The untrained network of a configuration on a device, with the same one in double precision beside it where `backend` is in
/// single precision.
///
/// # Errors
/// [`Error::Network`] if the architecture cannot be built with these options.
pub fn network<B: Backend>(config: &RunConfig, backend: B) -> Result<Network<B>> {
    let image = config.data.name.shape();
    let shape = Shape::new(image.channels, image.height, image.width);
    let loss = match config.training.loss {
        LossName::CrossEntropy => Loss::SoftmaxCrossEntropy,
        LossName::SquaredError => Loss::SquaredError,
    };
    let model = config.model.model(shape, config.data.name.classes())?;
    let double = (backend.element_bytes() < size_of::<f64>()).then(|| backend.double());
    let network = Network::compile(&model, backend, loss);
    Ok(match double {
        Some(double) => network.with_double(Network::compile(&model, double, loss)),
        None => network,
    })
}

/// The numbers of the examples that a run trains on, sorted.
///
/// # Errors
/// [`Error::SubsetTooLarge`] if the subset cannot be balanced over the classes.
pub fn trained_examples(config: &RunConfig, data: &Dataset) -> Result<Vec<u32>> {
    let labels = data.split(Part::Train).labels();
    match config.data.train_examples {
        None => Ok((0_u32..).take(labels.len()).collect()),
        Some(n) => class_balanced(labels, data.classes(), n, Purpose::Subset.seed(config.data_seed())),
    }
}

/// Trains the network of `config` on `data`, on the threads of the current rayon pool.
///
/// The result depends on `config` alone: not on threads, on `options`, or on interruptions. A training that diverges, or is
/// interrupted by the observer, is no error.
///
/// # Errors
/// [`Error::Config`] if a value is out of range or `data` is another data set than the configuration's; the errors of
/// [`RunDir::open`]; [`Error::DamagedRun`] if a checkpoint or the metrics cannot be read; [`Error::Io`] if a file cannot be
/// written.
pub fn train_run(
    config: &RunConfig,
    data: &Standardized,
    options: &RunOptions,
    observer: &mut dyn Observer,
) -> Result<Run> {
    check_data(config, data)?;
    config.validate(data.dataset().train().len())?;
    match config.precision {
        Precision::F32 => train_on(Cpu::<f32>::new(config.convolution), config, data, options, observer),
        Precision::F64 => train_on(Cpu::<f64>::new(config.convolution), config, data, options, observer),
    }
}

fn check_data(config: &RunConfig, data: &Standardized) -> Result<()> {
    let (name, standardize) = (data.dataset().name(), data.standardization());
    let (key, asked, given) = if name != config.data.name {
        ("data.name", config.data.name.to_string(), name.to_string())
    } else if standardize != config.data.standardize {
        ("data.standardize", config.data.standardize.to_string(), standardize.to_string())
    } else {
        return Ok(());
    };
    Err(Error::Config { key: key.to_owned(), problem: format!("is {asked}, but the data are {given}") })
}

fn train_on<B: Backend>(
    backend: B,
    config: &RunConfig,
    data: &Standardized,
    options: &RunOptions,
    observer: &mut dyn Observer,
) -> Result<Run> {
    let trained = trained_examples(config, data.dataset())?;
    let dir = match &options.out {
        None => None,
        Some(out) => match RunDir::open(out, config, options.existing)? {
            Opened::Finished(report) => return Ok(Run::Finished(report)),
            Opened::Open(dir) => Some(dir),
        },
    };
    let network = network(config, backend)?;
    let counts = (network.parameters().len(), trained.len(), data.dataset().test().len());
    let damage = dir.as_ref().map_or(&[][..], RunDir::damage);
    damage.iter().for_each(|damage| observer.on_damage(damage));
    let (start, mut journal) = match (start(config, &network, dir.as_ref(), options), &dir) {
        (Err(Error::DamagedRun { file, problem, .. }), Some(dir)) if options.existing == Existing::Repair => {
            observer.on_damage(&dir.set_training_aside(file, problem)?);
            start(config, &network, Some(dir), options)?
        }
        (started, _) => started?,
    };
    let (outcome, state) = match start.progress.outcome {
        Some(outcome) => (outcome, start),
        None => Trainer::new(config, &network, data, &trained, start, options.budget)?
            .run(journal.as_mut(), observer)?,
    };
    drop(journal);
    if let Some(dir) = dir.as_ref().filter(|_| outcome != Outcome::Interrupted) {
        write_weights(config, &network, dir, &state.weights)?;
    }
    let report = TrainReport::new(outcome, &state.progress, counts);
    Ok(Run::Trained(Box::new(Trained { report, state, dir })))
}

/// The state in the run's checkpoint, or the beginning; and where the training is written, if it has a directory.
fn start<'d, B: Backend>(
    config: &RunConfig,
    network: &Network<B>,
    dir: Option<&'d RunDir>,
    options: &RunOptions,
) -> Result<(TrainState, Option<Journal<'d>>)> {
    let dims = (network.parameters().len(), network.state().len());
    let checkpoint = dir.map_or(Ok(None), |dir| dir.checkpoint(dims))?;
    let state = checkpoint.unwrap_or_else(|| {
        let weights = Weights::initial(network, Purpose::Weights.seed(config.seed));
        TrainState { weights, momentum: None, eigenvector: None, progress: Progress::default() }
    });
    let journal = dir.map(|dir| Journal::open(dir, options.checkpoint_every, state.progress.epoch));
    Ok((state, journal.transpose()?))
}

/// Writes the final weights, unless they are not finite: a file of such weights could not be read.
fn write_weights<B: Backend>(
    config: &RunConfig,
    network: &Network<B>,
    dir: &RunDir,
    weights: &Weights,
) -> Result<()> {
    if weights.parameters.iter().chain(&weights.state).all(|x| x.is_finite()) {
        // One key only: several would have no fixed order in the file.
        let metadata = BTreeMap::from([("config".to_owned(), config.canonical_json()?)]);
        dir.write_weights(&weights.to_bytes(network, metadata)?)?;
    }
    Ok(())
}

/// The iterate after `state`: one step on the next batch, as the training would make it. The segment between both is what the
/// paper's section 3.5 searches.
///
/// # Errors
/// As [`train_run`], for the configuration and the data.
pub fn next_weights(config: &RunConfig, data: &Standardized, state: &TrainState) -> Result<Weights> {
    check_data(config, data)?;
    config.validate(data.dataset().train().len())?;
    match config.precision {
        Precision::F32 => next_weights_on(Cpu::<f32>::new(config.convolution), config, data, state),
        Precision::F64 => next_weights_on(Cpu::<f64>::new(config.convolution), config, data, state),
    }
}

/// The last iterate of the run in `dir`, finished or stopped, and the one that its training would make next. `data` are those of
/// the run.
///
/// # Errors
/// [`Error::DamagedRun`] if the run has no configuration or no checkpoint, or they cannot be read; those of [`next_weights`].
pub fn last_step(dir: &Path, data: &Standardized) -> Result<(Weights, Weights)> {
    let layout = RunLayout::new(dir);
    let config = store::stored_config(&layout)?;
    let state = match config.precision {
        Precision::F32 => last_state(Cpu::<f32>::default(), &layout, &config),
        Precision::F64 => last_state(Cpu::<f64>::default(), &layout, &config),
    }?;
    let next = next_weights(&config, data, &state)?;
    Ok((state.weights, next))
}

/// The state in the checkpoint of a run.
fn last_state<B: Backend>(backend: B, layout: &RunLayout, config: &RunConfig) -> Result<TrainState> {
    let network = network(config, backend)?;
    store::stored_state(layout, config, (network.parameters().len(), network.state().len()))
}

fn next_weights_on<B: Backend>(
    backend: B,
    config: &RunConfig,
    data: &Standardized,
    state: &TrainState,
) -> Result<Weights> {
    let network = network(config, backend)?;
    let trained = trained_examples(config, data.dataset())?;
    let Progress { epoch, step_in_epoch, step, .. } = state.progress;
    // A run that was stopped after the last step of an epoch resumes with the next one.
    let is_left = step_in_epoch < config.training.steps_per_epoch(trained.len());
    let (epoch, step_in_epoch) = if is_left { (epoch, step_in_epoch) } else { (epoch + 1, 0) };
    let mut order = Vec::new();
    seeds::shuffle(config.seed, epoch, &trained, &mut order);
    let momentum = state.momentum.as_deref();
    let mut optimizer = Optimizer::new(&network, &config.training, &state.weights, momentum);
    let batch = order.chunks(config.training.batch_size).nth(step_in_epoch as usize).unwrap_or_default();
    optimizer.step(&PartExamples::new(data, Part::Train), batch, &training_pass(config, step));
    Ok(optimizer.weights())
}
