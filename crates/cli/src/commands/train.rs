//! `sharpness train`: trains a network until it fits, and measures it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;
use serde::Serialize;
use sharpness_data::{Dataset, DatasetName, Locations, Standardized};
use sharpness_network::architectures::Architecture;
use sharpness_runs::{
    CheckpointEvery, Completion, ConfigFile, Existing, Report, RunLayout, RunOptions, Trackers, complete_run,
    run_config,
};
use sharpness_study::figures::{write_measured, write_through_training};
use sharpness_training::settings::{ALL_EXAMPLES, RunConfig};
use sharpness_training::{Budget, Work, check_memory, peak_bytes};

use super::report_text::report_text;
use crate::args::{MachineArgs, RunScope, SettingFlags, TrackArgs, start_threads};
use crate::exit::{self, EXIT_CODES, Exit, SIGNALS};
use crate::interrupt::Interrupt;
use crate::output::{note, plural, print, print_json};
use crate::program::Suggestion;
use crate::ranks;
use crate::settings::{check, check_settings, configuration, fit_examples, fit_micro_batch};
use crate::watch::Watch;

/// A run, and where to keep it.
#[derive(Args, Debug)]
#[command(after_help = format!("{EXIT_CODES}\n\n{SIGNALS}"))]
pub(super) struct TrainCommand {
    #[command(flatten)]
    settings: SettingFlags<RunScope>,
    #[command(flatten)]
    machine: MachineArgs,
    #[command(flatten)]
    run: RunArgs,
}

/// Where settings come from, where to keep the run, and what to print.
#[derive(Args, Debug)]
#[command(next_help_heading = "Run")]
struct RunArgs {
    /// Read settings from a TOML file, such as a run's config.toml; flags take precedence
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Keep the run in this directory [default: write nothing]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,

    /// Resume the run in the directory of --out, or start it if there is none
    #[arg(long, requires = "out")]
    resume: bool,

    /// Save after every N epochs
    #[arg(long, value_name = "N", requires = "out", value_parser = clap::value_parser!(u32).range(1..))]
    checkpoint_epochs: Option<u32>,

    /// Save after the first step that ends this many seconds after the last save [default: 60]
    #[arg(long, value_name = "S", requires = "out")]
    checkpoint_seconds: Option<u64>,

    /// Look for data sets in this directory first
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,

    /// Train only
    #[arg(long)]
    no_measure: bool,

    /// Draw what was measured through training, the density and the layers into this directory
    #[arg(long, value_name = "DIR")]
    plots: Option<PathBuf>,

    #[command(flatten)]
    track: TrackArgs,

    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

/// The JSON document.
#[derive(Serialize)]
struct Document<'a> {
    #[serde(flatten)]
    report: &'a Report,
    /// The peak memory of the process, if the system reports it.
    peak_bytes: Option<usize>,
}

/// Trains, measures and reports.
pub(super) fn run(command: &TrainCommand) -> Result<Exit> {
    let interrupt = Interrupt::listen()?;
    start_threads(command.machine.threads)?;
    let file = command.file()?;
    let mut config = command.config(file.as_ref())?;
    check_settings(&config, config.data.name.train_examples(), file.as_ref())?;
    let budget = command.machine.memory.budget().less(config.data.name.bytes());
    let (is_kept, is_measured) = (command.run.out.is_some(), !command.run.no_measure);
    check_memory(&config, Work::Run { is_kept, is_measured }, budget)?;
    let dataset = Dataset::load(config.data.name, &Locations::of_process(command.run.data_dir.clone()))?;
    check(&config, &dataset, file.as_ref())?;
    let available = config.data.train_examples.unwrap_or(dataset.train().len());
    let is_asked_for = config.measure.examples != ALL_EXAMPLES
        && (command.settings.has("measure.examples")
            || file.as_ref().is_some_and(|file| file.has("measure.examples")));
    let fitted = fit_examples(&mut config.measure, available, is_asked_for, file.as_ref())?;
    if let Some(text) = fitted.filter(|_| is_measured) {
        note(&text);
    }

    let data = Standardized::new(dataset, config.data.standardize);
    ranks::check_work(&config, data.dataset().train().labels())?;
    note_idle_ranks(&config);
    let trackers = command.run.track.start();
    let ended = command.complete((&config, &data), (budget, &interrupt), &trackers);
    let ended = ended.and_then(|completion| command.show(completion));
    TrackArgs::finish(trackers, |target| {
        let again = Suggestion::new("train").with_path("--out", command.run.out.as_ref()?);
        Some(again.with("--resume --track").with_file(Path::new(target)))
    });
    ended
}

/// Says if a step has fewer parts than there are ranks.
fn note_idle_ranks(config: &RunConfig) {
    let (training, ranks) = (&config.training, ranks::ranks().size());
    let group = training.sam.as_ref().and_then(|sam| sam.m).unwrap_or(training.batch_size);
    let (part, flag) = match training.batch_size.div_ceil(group) {
        1 => (training.micro_batch(), "--micro-batch-size"),
        _ => (group, "--sam-m"),
    };
    let parts = training.batch_size.div_ceil(part.max(1));
    if parts < ranks {
        note(&format!(
            "{ranks} processes share the {} of a step; a smaller {flag} makes more parts, and another training",
            plural(parts, "part")
        ));
    }
}

/// Draws what was measured.
fn plot(report: &Report, dir: &Path) -> Result<()> {
    let config = &report.config;
    let title = format!("{} on {}", config.model.arch.name(), config.data.name);
    let mut files = write_through_training(report, &title, dir)?;
    if let Some(measured) = &report.measurement {
        files.extend(write_measured(measured, &title, dir)?);
    }
    if files.is_empty() {
        note("nothing to draw: --plots draws --through-training, --density and --per-layer");
    }
    files.iter().for_each(|file| note(&format!("wrote {}", file.display())));
    Ok(())
}

impl TrainCommand {
    /// The file with settings: the given one, or that of the run to resume if no network is given.
    fn file(&self) -> Result<Option<ConfigFile>> {
        if let Some(path) = &self.run.config {
            return Ok(Some(ConfigFile::read(path)?));
        }
        match &self.run.out {
            Some(out) if self.run.resume && !self.settings.has("model.arch") => {
                Ok(run_config(&RunLayout::new(out))?)
            }
            _ => Ok(None),
        }
    }

    /// The defaults, overlaid with the file and the flags.
    fn config(&self, file: Option<&ConfigFile>) -> Result<RunConfig> {
        let base = RunConfig::new(DatasetName::Digits, Architecture::Mlp);
        let mut config = configuration(&base, file, &self.settings.table)?;
        fit_micro_batch(&mut config.training, self.settings.has("training.micro_batch_size"))?;
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
        let ranks = ranks::ranks();
        RunOptions { out: self.run.out.clone(), existing, tracked: None, checkpoint_every, budget, ranks }
    }

    /// Executes the run, and tracks it.
    fn complete(
        &self,
        (config, data): (&RunConfig, &Standardized),
        (budget, interrupt): (Budget, &Interrupt),
        trackers: &Trackers,
    ) -> Result<Completion> {
        let mut watch = Watch::new(interrupt, config);
        let mut tracked = trackers.watch(config, &BTreeSet::new(), &mut watch)?;
        let is_measured = !self.run.no_measure;
        let completion = complete_run(config, data, &self.options(budget), is_measured, &mut tracked);
        tracked.end(&completion);
        Ok(completion?)
    }

    /// Prints the report, or how to resume a run that was stopped.
    fn show(&self, completion: Completion) -> Result<Exit> {
        let Some(report) = completion.report() else {
            note(&self.how_to_resume());
            return Ok(Exit::Interrupted);
        };
        if let Some(dir) = self.run.plots.as_ref().filter(|_| ranks::ranks().is_first()) {
            plot(&report, dir)?;
        }
        if self.run.json {
            print_json(&Document { report: &report, peak_bytes: peak_bytes() })?;
        } else {
            let mut text = report_text(&report);
            text.push_str(&self.where_kept());
            print(&text)?;
        }
        Ok(exit::of_report(&report))
    }

    /// The message after Ctrl-C.
    fn how_to_resume(&self) -> String {
        let Some(out) = &self.run.out else {
            return "stopped; nothing is kept, because no --out DIR was given".to_owned();
        };
        let mut again = Suggestion::new("train").with_path("--out", out).with("--resume");
        if let Some(folder) = &self.run.data_dir {
            again = again.with_path("--data-dir", folder);
        }
        if let Some(threads) = self.machine.threads {
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
