//! `sharpness train`: trains a network until it fits, and measures it.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;
use serde::Serialize;
use sharpness_experiments::config::{ConfigFile, RunConfig};
use sharpness_experiments::data::{Dataset, DatasetName, Locations, Standardized};
use sharpness_experiments::measures::{Budget, peak_bytes};
use sharpness_experiments::network::architectures::Architecture;
use sharpness_experiments::store::{CheckpointEvery, Existing, RunLayout, run_config};
use sharpness_experiments::training::Outcome;
use sharpness_experiments::{Report, RunOptions, Work, check_memory, complete_run};

use crate::args::{ArchArg, DataArgs, EngineArgs, MeasureArgs, ModelArgs, TrainingArgs};
use crate::exit::{self, EXIT_CODES, Exit, SIGNALS, Usage};
use crate::interrupt::Interrupt;
use crate::output::{count, duration_secs, line, measurement, note, percent, print, print_json, significant};
use crate::program::Suggestion;
use crate::settings::{check, check_one_size, check_settings, fit_examples, fit_micro_batch};
use crate::watch::Watch;

/// A run, and where it is kept.
#[derive(Args, Debug)]
#[command(after_help = format!("{EXIT_CODES}\n\n{SIGNALS}"))]
pub(super) struct TrainCommand {
    #[command(flatten)]
    arch: ArchArg,
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    data: DataArgs,
    #[command(flatten)]
    training: TrainingArgs,
    #[command(flatten)]
    measure: MeasureArgs,
    #[command(flatten)]
    engine: EngineArgs,
    #[command(flatten)]
    run: RunArgs,
}

/// Where a run comes from, is kept, and what of it is printed.
#[derive(Args, Debug)]
#[command(next_help_heading = "Run")]
struct RunArgs {
    /// Read settings from a TOML file such as a run's config.toml; flags go before it
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Keep the run in this directory [default: write nothing]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,

    /// Resume the run in the directory of --out, or start it if there is none yet
    #[arg(long, requires = "out")]
    resume: bool,

    /// Save after every N epochs
    #[arg(long, value_name = "N", requires = "out", value_parser = clap::value_parser!(u32).range(1..))]
    checkpoint_epochs: Option<u32>,

    /// Save when the last save is this many seconds old [default: 60]
    #[arg(long, value_name = "S", requires = "out")]
    checkpoint_seconds: Option<u64>,

    /// Also search λ_max at eight points on the way to the next iterate
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    between_iterates: Option<bool>,

    /// Also measure λ_max before the first step and at the end of each epoch, to this relative residual
    #[arg(long, value_name = "TOL", allow_negative_numbers = true)]
    through_training: Option<f64>,

    /// Train only
    #[arg(long)]
    no_measure: bool,

    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

/// What came out, for programs.
#[derive(Serialize)]
struct Document<'a> {
    #[serde(flatten)]
    report: &'a Report,
    /// The most memory that the process has had, where the system tells it.
    peak_bytes: Option<usize>,
}

/// Trains, measures and reports.
pub(super) fn run(command: &TrainCommand) -> Result<Exit> {
    let interrupt = Interrupt::listen()?;
    command.engine.start_threads()?;
    check_one_size(&command.measure)?;
    let file = command.file()?;
    let mut config = command.config(file.as_ref())?;
    check_settings(&config, config.data.name.train_examples(), file.as_ref())?;
    let budget = command.engine.memory.budget().less(config.data.name.bytes());
    let (is_kept, is_measured) = (command.run.out.is_some(), !command.run.no_measure);
    check_memory(&config, Work::Run { is_kept, is_measured }, budget)?;
    let dataset = Dataset::load(config.data.name, &Locations::of_process(command.data.data_dir.clone()))?;
    check(&config, &dataset, file.as_ref())?;
    let available = config.data.train_examples.unwrap_or(dataset.train().len());
    let is_asked_for = command.measure.asked_examples().is_some()
        || file.as_ref().is_some_and(|file| file.has("measure.examples"));
    let fitted = fit_examples(&mut config.measure, available, is_asked_for, file.as_ref())?;
    if let Some(text) = fitted.filter(|_| is_measured) {
        note(&text);
    }

    let data = Standardized::new(dataset, config.data.standardize);
    let mut watch = Watch::new(&interrupt, &config);
    let completion = complete_run(&config, &data, &command.options(budget), is_measured, &mut watch)?;
    drop(watch);
    let Some(report) = completion.report() else {
        note(&command.how_to_resume());
        return Ok(Exit::Interrupted);
    };
    if command.run.json {
        print_json(&Document { report: &report, peak_bytes: peak_bytes() })?;
    } else {
        let mut text = report_text(&report);
        text.push_str(&command.where_kept());
        print(&text)?;
    }
    Ok(exit::of_report(&report))
}

impl TrainCommand {
    /// The file with settings: the one that is named, or that of the run to resume if no network is named.
    fn file(&self) -> Result<Option<ConfigFile>> {
        if let Some(path) = &self.run.config {
            return Ok(Some(ConfigFile::read(path)?));
        }
        match &self.run.out {
            Some(out) if self.run.resume && self.arch.arch.is_none() => Ok(run_config(&RunLayout::new(out))?),
            _ => Ok(None),
        }
    }

    /// Defaults, the file and the flags in one.
    fn config(&self, file: Option<&ConfigFile>) -> Result<RunConfig> {
        let has = |key: &str| file.is_some_and(|file| file.has(key));
        if self.arch.arch.is_none() && !has("model.arch") {
            let names = Architecture::ALL.map(Architecture::name).join(", ");
            return Err(Usage::new(format!("name the network with --arch; there are {names}")).into());
        }
        if self.data.dataset.is_none() && !has("data.name") {
            let names = DatasetName::ALL.map(DatasetName::as_str).join(", ");
            return Err(Usage::new(format!("name the data set with --dataset; there are {names}")).into());
        }
        let arch = self.arch.arch.unwrap_or(Architecture::Mlp);
        let mut config = RunConfig::new(self.data.dataset.unwrap_or(DatasetName::Digits), arch);
        if let Some(file) = file {
            if self.run.config.is_none() {
                // The file is that of a run, which may be older than this key.
                config.data.seed = None;
            }
            config = file.over(&config)?;
        }
        config.model.arch = self.arch.arch.unwrap_or(config.model.arch);
        self.model.apply(&mut config.model);
        self.data.apply(&mut config.data);
        self.training.apply(&mut config.training)?;
        fit_micro_batch(&mut config.training, self.training.micro_batch_size)?;
        self.measure.apply(&mut config.measure);
        config.measure.between_iterates =
            self.run.between_iterates.unwrap_or(config.measure.between_iterates);
        config.measure.through_training = self.run.through_training.or(config.measure.through_training);
        self.engine.apply(&mut config);
        Ok(config)
    }

    fn options(&self, budget: Budget) -> RunOptions {
        let (epochs, seconds) = (self.run.checkpoint_epochs, self.run.checkpoint_seconds);
        let checkpoint_every = if epochs.or(seconds.map(|_| 0)).is_some() {
            CheckpointEvery { epochs, seconds }
        } else {
            CheckpointEvery::default()
        };
        let existing = if self.run.resume { Existing::Resume } else { Existing::Refuse };
        RunOptions { out: self.run.out.clone(), existing, checkpoint_every, budget }
    }

    /// What to say after Ctrl-C.
    fn how_to_resume(&self) -> String {
        let Some(out) = &self.run.out else {
            return "stopped; nothing is kept, because the run has no directory (--out DIR)".to_owned();
        };
        let mut again = Suggestion::new("train").with_path("--out", out).with("--resume");
        if let Some(folder) = &self.data.data_dir {
            again = again.with_path("--data-dir", folder);
        }
        if let Some(threads) = self.engine.threads {
            again = again.with(&format!("--threads {threads}"));
        }
        if self.run.no_measure {
            again = again.with("--no-measure");
        }
        format!("stopped and saved in {}; resume it with:\n  {again}", out.display())
    }

    fn where_kept(&self) -> String {
        let Some(out) = &self.run.out else {
            return "\nNothing was written; --out DIR keeps the run.\n".to_owned();
        };
        let again = Suggestion::new("measure").with_path("--run", out);
        format!(
            "\nKept in {}; measure it again, otherwise, with:\n  {again} --top-k 5 --lambda-min\n",
            display(out)
        )
    }
}

fn display(path: &Path) -> String {
    path.display().to_string()
}

/// A run as people read it.
pub(super) fn report_text(report: &Report) -> String {
    let (config, training) = (&report.config, &report.training);
    let mut text = String::new();
    let network = format!(
        "{} on {}, {} parameters, seed {}",
        config.model.arch.name(),
        config.data.name,
        count(training.parameters),
        config.seed
    );
    line(&mut text, "run", &network);
    let target = percent(config.training.target_accuracy);
    let end = match training.outcome {
        Outcome::Converged => format!("reached the target ({target})"),
        Outcome::MaxEpochs => format!("ended below the target ({target})"),
        Outcome::Diverged => "DIVERGED (the loss is not finite; try a smaller --lr)".to_owned(),
        Outcome::Interrupted => "was stopped".to_owned(),
    };
    let time = duration_secs(training.seconds);
    let work = format!("{end} after {} epochs, {} steps, {time}", training.epochs, training.steps);
    line(&mut text, "training", &work);
    for (name, accuracy, loss, examples) in [
        ("train accuracy", training.train_accuracy, training.train_loss, training.train_examples),
        ("test accuracy", training.test_accuracy, training.test_loss, training.test_examples),
    ] {
        if let (Some(accuracy), Some(loss)) = (accuracy, loss) {
            let value = percent(accuracy);
            line(
                &mut text,
                name,
                &format!("{value}   loss {} on {} examples", significant(loss, 4), count(examples)),
            );
        }
    }
    if let (Some(last), Some(products)) = (training.lambda_max.last(), training.median_products()) {
        let (value, count) = (significant(last.value, 4), training.lambda_max.len());
        let each = format!("last {value} of {count} through training, {products} products each (median)");
        line(&mut text, "λ_max", &each);
    }
    if let Some(loss) = training.last_batch_loss.filter(|_| training.outcome == Outcome::Diverged) {
        line(&mut text, "last loss", &significant(loss, 4));
    }
    if let Some(measured) = &report.measurement {
        // Writing to a string cannot fail.
        let _ = writeln!(text);
        measurement(&mut text, measured);
    }
    text
}
