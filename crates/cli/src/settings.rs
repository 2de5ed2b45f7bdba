//! Resolves defaults, file and flags, in this order, to a complete and valid configuration.

use anyhow::Result;
use sharpness_data::{Dataset, DatasetName};
use sharpness_network::architectures::Architecture;
use sharpness_runs::ConfigFile;
use sharpness_training::settings::{MeasureConfig, RunConfig, TrainingConfig};
use sharpness_training::{Error, flags, trained_examples};
use toml::Table;

use crate::args::ExampleCounts;
use crate::exit::Usage;
use crate::output::count;

/// The base, overlaid with the settings of the file and the flags.
///
/// # Errors
/// A missing network or data set; an invalid value in the file or a flag; options of SAM without SAM.
pub(crate) fn configuration(base: &RunConfig, file: Option<&ConfigFile>, given: &Table) -> Result<RunConfig> {
    let is_given = |key: &str| flags::lookup(given, key).is_some() || file.is_some_and(|file| file.has(key));
    if !is_given("model.arch") {
        let names = Architecture::ALL.map(Architecture::name).join(", ");
        return Err(Usage::new(format!("name the network with --arch; there are {names}")).into());
    }
    if !is_given("data.name") {
        let names = DatasetName::ALL.map(DatasetName::as_str).join(", ");
        return Err(Usage::new(format!("name the data set with --dataset; there are {names}")).into());
    }
    let under = file.map_or_else(|| Ok(base.clone()), |file| file.over(base))?;
    let has_options = flags::lookup(given, "training.sam").is_some();
    if has_options && under.training.sam.is_none() && flags::lookup(given, "training.sam.rho").is_none() {
        let message = "--asam, --sam-m and --bn-stats are options of SAM; add --sam-rho RHO to train with it";
        return Err(Usage::new(message.to_owned()).into());
    }
    let config = under.overlaid(given);
    config.map_err(|(key, problem)| named(Error::Config { key, problem }, None))
}

/// Limits the default micro-batch to the batch.
///
/// # Errors
/// A size on the command line that is larger than the batch.
pub(crate) fn fit_micro_batch(training: &mut TrainingConfig, is_asked: bool) -> Result<()> {
    let (batch, asked) = (training.batch_size, training.micro_batch_size);
    if is_asked && asked > batch {
        let message = format!("--micro-batch-size must be at most the batch size {batch}, got {asked}");
        return Err(Usage::new(message).into());
    }
    training.micro_batch_size = asked.min(batch);
    Ok(())
}

/// Checks a configuration against the ranges of its settings and against `dataset`.
///
/// # Errors
/// The first invalid value, with its flag and, if it is in the file, its line.
pub(crate) fn check(config: &RunConfig, dataset: &Dataset, file: Option<&ConfigFile>) -> Result<()> {
    config.validate(dataset.train().len()).map_err(|error| named(error, file))?;
    trained_examples(config, dataset).map_err(|error| named(error, file))?;
    Ok(())
}

/// Checks what can be checked before the data are loaded; `train_examples` is the number of training examples.
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

/// Checks that the network can be built for the images of its data set.
///
/// # Errors
/// As [`check`].
pub(crate) fn check_model(config: &RunConfig) -> Result<()> {
    config.validate_model().map(drop).map_err(|error| named(error, None))
}

/// An error in a setting, with its flag and, if it is in the file, its line.
fn named(error: Error, file: Option<&ConfigFile>) -> anyhow::Error {
    let (key, problem) = match error {
        Error::Config { key, problem } => (key, problem),
        Error::Data(error @ sharpness_data::Error::SubsetTooLarge { .. }) => {
            ("data.train_examples".to_owned(), format!("is too large: {error}"))
        }
        error => return sharpness_runs::Error::from(error).into(),
    };
    let name = flags::flag(&key).unwrap_or_else(|| key.clone());
    let name = match file.and_then(|file| file.place(&key)) {
        Some(place) => format!("{name} ({key} in {place})"),
        None => name,
    };
    Usage::new(format!("{name} {problem}")).into()
}

/// The number of examples that a flag requests, if it is a number.
pub(crate) fn asked_examples(counts: Option<&ExampleCounts>) -> Option<usize> {
    counts.and_then(|counts| counts.0.first().copied()).filter(|count| *count < usize::MAX)
}

/// Limits the default number of measured examples to the available ones.
///
/// Returns a note if the default was too large.
///
/// # Errors
/// A requested number that is too large.
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
        let problem = format!("must be at most {available}, the number of training examples, got {asked}");
        return Err(named(Error::Config { key: "measure.examples".to_owned(), problem }, file));
    }
    measure.examples = available;
    Ok(Some(format!("measuring on all {} training examples", count(available))))
}
