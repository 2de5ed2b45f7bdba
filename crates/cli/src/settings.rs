//! From flags and files to a configuration that is complete and in range: defaults, then the file, then the flags.

use anyhow::{Context as _, Result};
use sharpness_experiments::config::{
    BnStats, ConfigFile, DataConfig, MeasureConfig, RunConfig, SamConfig, TrainingConfig,
};
use sharpness_experiments::data::Dataset;
use sharpness_experiments::network::architectures::ModelConfig;
use sharpness_experiments::{Error, trained_examples};

use crate::args::{DataArgs, EngineArgs, MeasureArgs, ModelArgs, TrainingArgs};
use crate::exit::Usage;
use crate::output::count;

/// The flags of the keys of a configuration.
const FLAGS: [(&str, &str); 27] = [
    ("seed", "--seed"),
    ("data.train_examples", "--train-examples"),
    ("data.seed", "--data-seed"),
    ("model.hidden", "--hidden"),
    ("model.dropout", "--dropout"),
    ("model.width_divisor", "--width-divisor"),
    ("training.learning_rate", "--lr"),
    ("training.batch_size", "--batch-size"),
    ("training.micro_batch_size", "--micro-batch-size"),
    ("training.momentum", "--momentum"),
    ("training.nesterov", "--nesterov"),
    ("training.weight_decay", "--weight-decay"),
    ("training.sam.rho", "--sam-rho"),
    ("training.sam.m", "--sam-m"),
    ("training.target_accuracy", "--target-accuracy"),
    ("training.max_epochs", "--max-epochs"),
    ("measure.examples", "--examples"),
    ("measure.chunk", "--bn-chunk"),
    ("measure.top_k", "--top-k"),
    ("measure.rtol", "--rtol"),
    ("measure.max_products", "--max-products"),
    ("measure.bound_rtol", "--bound-rtol"),
    ("measure.trace", "--trace"),
    ("measure.sam_bound", "--sam-bound"),
    ("measure.through_training", "--through-training"),
    ("data.name", "--dataset"),
    ("model.arch", "--arch"),
];
/// More threads than this are a mistake on any machine.
pub(crate) const MOST_THREADS: usize = 1024;

/// Sets a value that a flag was given for.
fn set<T: Clone>(to: &mut T, given: Option<&T>) {
    if let Some(given) = given {
        given.clone_into(to);
    }
}

impl DataArgs {
    /// Replaces what flags were given for.
    pub(crate) fn apply(&self, data: &mut DataConfig) {
        set(&mut data.name, self.dataset.as_ref());
        set(&mut data.standardize, self.standardize.as_ref());
        data.train_examples = self.train_examples.or(data.train_examples);
        data.seed = self.data_seed.or(data.seed);
    }
}

impl ModelArgs {
    /// Replaces what flags were given for.
    pub(crate) fn apply(&self, model: &mut ModelConfig) {
        set(&mut model.activation, self.activation.as_ref());
        set(&mut model.hidden, self.hidden.as_ref().map(|widths| &widths.0));
        set(&mut model.dropout, self.dropout.as_ref());
        set(&mut model.width_divisor, self.width_divisor.as_ref());
    }
}

impl EngineArgs {
    /// Replaces what flags were given for.
    pub(crate) fn apply(&self, config: &mut RunConfig) {
        set(&mut config.seed, self.seed.as_ref());
        set(&mut config.precision, self.precision.as_ref());
        set(&mut config.convolution, self.convolution.as_ref());
    }

    /// Makes the engine work with the given number of threads.
    ///
    /// # Errors
    /// A number that no machine has, or instructions that this one has not.
    pub(crate) fn start_threads(&self) -> Result<()> {
        sharpness_experiments::kernels::simd::detect().map_err(|error| Usage::new(error.to_string()))?;
        // This thread works too: small tasks are not worth the way to another thread and back.
        let mut pool = rayon::ThreadPoolBuilder::new().use_current_thread();
        if let Some(threads) = self.threads {
            if threads == 0 || threads > MOST_THREADS {
                return Err(
                    Usage::new(format!("--threads must be from 1 to {MOST_THREADS}, got {threads}")).into()
                );
            }
            pool = pool.num_threads(threads);
        }
        pool.build_global().context(
            "cannot start the threads; ask for fewer with --threads, or raise the limits on processes (ulimit -u) and memory \
             (ulimit -v)",
        )
    }
}

impl MeasureArgs {
    /// Replaces what flags were given for.
    pub(crate) fn apply(&self, measure: &mut MeasureConfig) {
        set(&mut measure.examples, self.examples.as_ref().and_then(|counts| counts.0.first()));
        set(&mut measure.subset, self.subset.as_ref());
        set(&mut measure.bn, self.bn.as_ref());
        measure.chunk = self.bn_chunk.or(measure.chunk);
        set(&mut measure.top_k, self.top_k.as_ref());
        set(&mut measure.lambda_min, self.lambda_min.as_ref());
        set(&mut measure.rtol, self.rtol.as_ref());
        set(&mut measure.max_products, self.max_products.as_ref());
        set(&mut measure.bound_rtol, self.bound_rtol.as_ref());
        measure.trace = self.trace.or(measure.trace);
        measure.sam_bound = self.sam_bound.or(measure.sam_bound);
    }
}

impl TrainingArgs {
    /// Replaces what flags were given for.
    ///
    /// # Errors
    /// An option of SAM without SAM.
    pub(crate) fn apply(&self, training: &mut TrainingConfig) -> Result<()> {
        set(&mut training.loss, self.loss.as_ref());
        set(&mut training.learning_rate, self.lr.as_ref());
        set(&mut training.batch_size, self.batch_size.as_ref());
        set(&mut training.momentum, self.momentum.as_ref());
        set(&mut training.nesterov, self.nesterov.as_ref());
        set(&mut training.weight_decay, self.weight_decay.as_ref());
        set(&mut training.target_accuracy, self.target_accuracy.as_ref());
        set(&mut training.max_epochs, self.max_epochs.as_ref());
        set(&mut training.micro_batch_size, self.micro_batch_size.as_ref());
        if let Some(rho) = self.sam_rho {
            let default = SamConfig { rho, adaptive: false, m: None, bn_stats: BnStats::First };
            training.sam.get_or_insert(default).rho = rho;
        }
        match &mut training.sam {
            Some(sam) => {
                set(&mut sam.adaptive, self.asam.as_ref());
                set(&mut sam.bn_stats, self.bn_stats.as_ref());
                sam.m = self.sam_m.or(sam.m);
                Ok(())
            }
            None if self.asam.is_some() || self.sam_m.is_some() || self.bn_stats.is_some() => {
                let message =
                    "--asam, --sam-m and --bn-stats are options of SAM; add --sam-rho RHO to train with it";
                Err(Usage::new(message.to_owned()).into())
            }
            None => Ok(()),
        }
    }
}

/// Fits the micro-batch to the batch: the whole of it, in pieces where it is large and no size was asked for.
///
/// # Errors
/// A size that was asked for on the command line and is larger than the batch.
pub(crate) fn fit_micro_batch(training: &mut TrainingConfig, flag: Option<usize>) -> Result<()> {
    let batch = training.batch_size;
    if let Some(asked) = flag.filter(|asked| *asked > batch) {
        let message = format!("--micro-batch-size must be at most the batch size {batch}, got {asked}");
        return Err(Usage::new(message).into());
    }
    training.micro_batch_size = training.micro_batch_size.min(batch);
    Ok(())
}

/// Refuses a configuration with a value out of range, or that `dataset` does not allow.
///
/// # Errors
/// The first such value, with the flag that sets it and its place in the file, if it is there.
pub(crate) fn check(config: &RunConfig, dataset: &Dataset, file: Option<&ConfigFile>) -> Result<()> {
    config.validate(dataset.train().len()).map_err(|error| named(error, file))?;
    trained_examples(config, dataset).map_err(|error| named(error, file))?;
    Ok(())
}

/// Refuses what needs no data to be seen, before they are loaded; `train_examples` is how many there are.
///
/// # Errors
/// As [`check`].
pub(crate) fn check_settings(
    config: &RunConfig,
    train_examples: usize,
    file: Option<&ConfigFile>,
) -> Result<()> {
    config.validate(train_examples).map_err(|error| named(error, file))
}

/// Refuses a network that cannot be built, or not for the images of its data set.
///
/// # Errors
/// As [`check`].
pub(crate) fn check_model(config: &RunConfig) -> Result<()> {
    config.validate_model().map(drop).map_err(|error| named(error, None))
}

/// An error of a setting, with the flag that sets it and its place in the file, if it is there.
fn named(error: Error, file: Option<&ConfigFile>) -> anyhow::Error {
    let (key, problem) = match error {
        Error::Config { key, problem } => (key, problem),
        error @ Error::SubsetTooLarge { .. } => {
            ("data.train_examples".to_owned(), format!("is too large: {error}"))
        }
        error => return error.into(),
    };
    let flag = FLAGS.iter().find(|(of, _)| **of == *key);
    let name = flag.map_or(key.as_str(), |(_, flag)| flag);
    let name = match file.and_then(|file| file.place(&key)) {
        Some(place) => format!("{name} ({key} in {place})"),
        None => name.to_owned(),
    };
    Usage::new(format!("{name} {problem}")).into()
}

/// Refuses several numbers of examples where one is measured.
///
/// # Errors
/// Several numbers.
pub(crate) fn check_one_size(measure: &MeasureArgs) -> Result<()> {
    match &measure.examples {
        Some(counts) if counts.0.len() > 1 => {
            let message = "--examples takes one number here; `sharpness measure` compares several";
            Err(Usage::new(message.to_owned()).into())
        }
        _ => Ok(()),
    }
}

/// Fits the number of measured examples to those that there are.
///
/// Gives a note where the default was too large.
///
/// # Errors
/// A number that was asked for and is too large.
pub(crate) fn fit_examples(
    measure: &mut MeasureConfig,
    available: usize,
    is_asked_for: bool,
    file: Option<&ConfigFile>,
) -> Result<Option<String>> {
    if measure.examples <= available {
        return Ok(None);
    }
    if is_asked_for {
        let asked = measure.examples;
        let problem =
            format!("must be at most {available}, the training examples that there are, got {asked}");
        return Err(named(Error::Config { key: "measure.examples".to_owned(), problem }, file));
    }
    measure.examples = available;
    Ok(Some(format!("measuring on all {} training examples", count(available))))
}
