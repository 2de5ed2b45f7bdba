//! `sharpness measure`: measures the curvature at existing weights.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;
use serde::Serialize;
use sharpness_data::{DatasetName, Standardization};
use sharpness_network::architectures::Architecture;
use sharpness_network::backend::Backend;
use sharpness_network::{Imported, Network, Origin, Weights, vectors_to_bytes};
use sharpness_runs::{LastStep, last_step, write_file};
use sharpness_study::figures::write_measured;
use sharpness_training::measures::{
    AdamSharpness, Iterates, Measure as _, Measurement, Subject, SubsetSize, measure, subset_sizes,
};
use sharpness_training::optimizers::Preconditioner;
use sharpness_training::{Engine, Visitor, peak_bytes, trained_examples, with_shared_engine};

use crate::exit::{EXIT_CODES, Exit, Usage, is_stopped};
use crate::given_weights::{GivenWeights, Prepared};
use crate::interrupt::Interrupt;
use crate::measuring::Bar;
use crate::output::{Align, Table, bytes, count, line, measurement, note, print, print_json, significant};
use crate::ranks;

/// What is measured, and how.
#[derive(Args, Debug)]
#[command(after_help = EXIT_CODES)]
pub(super) struct MeasureCommand {
    #[command(flatten)]
    given: GivenWeights,
    #[command(flatten)]
    files: FileArgs,

    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

/// Files to write.
#[derive(Args, Debug)]
#[command(next_help_heading = "Files")]
struct FileArgs {
    /// Write the eigenvectors of the largest eigenvalues, and the diagonal if it is measured, with the network's names, as `eigenvector.0.fc1.weight`
    #[arg(long, value_name = "FILE")]
    vectors: Option<PathBuf>,

    /// Draw the measured density and layers into this directory
    #[arg(long, value_name = "DIR")]
    plots: Option<PathBuf>,
}

/// The JSON document: what was measured, and where.
#[derive(Serialize)]
struct Document {
    arch: Architecture,
    dataset: DatasetName,
    standardize: Standardization,
    weights: String,
    /// How its tensors were paired; none for the checkpoint of a run.
    #[serde(flatten)]
    origin: Option<Origin>,
    /// Reasons to doubt that these are the intended weights.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
    seed: u64,
    /// The peak memory of the process, if the system reports it.
    peak_bytes: Option<usize>,
    #[serde(flatten)]
    measurement: Measurement,
    /// λ_max at several numbers of examples, if requested.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    subset_sizes: Vec<SubsetSize>,
}

/// The results at the weights.
struct Measured {
    measurement: Measurement,
    subset_sizes: Vec<SubsetSize>,
    origin: Option<Origin>,
    warnings: Vec<String>,
}

/// Weights, and the next iterate of their training.
struct Given {
    weights: Weights,
    next: Option<Weights>,
    preconditioner: Option<Preconditioner>,
    origin: Option<Origin>,
}

/// Measures and reports.
pub(super) fn run(command: &MeasureCommand) -> Result<Exit> {
    let prepared = command.given.prepare()?;
    ranks::check_work(&prepared.config, prepared.data.dataset().train().labels())?;
    let measured =
        with_shared_engine(&prepared.config, &ranks::ranks(), Measure { command, prepared: &prepared })?;
    let Measured { measurement, subset_sizes, origin, warnings } = match measured {
        Err(error) if is_stopped(&error) => {
            note("stopped; there is no result");
            return Ok(Exit::Interrupted);
        }
        measured => measured?,
    };
    let config = prepared.config;
    let exit = if measurement.is_converged() { Exit::Done } else { Exit::NotConverged };
    if let Some(dir) = command.files.plots.as_ref().filter(|_| ranks::ranks().is_first()) {
        let title = format!("{} on {}", config.model.arch.name(), config.data.name);
        let files = write_measured(&measurement, &title, dir)?;
        if files.is_empty() {
            note("nothing to draw: --plots draws --density and --per-layer");
        }
        files.iter().for_each(|file| note(&format!("wrote {}", file.display())));
    }
    let document = Document {
        arch: config.model.arch,
        dataset: config.data.name,
        standardize: config.data.standardize,
        weights: command.given.source.path().display().to_string(),
        origin,
        warnings,
        seed: config.seed,
        peak_bytes: peak_bytes(),
        measurement,
        subset_sizes,
    };
    if command.json {
        print_json(&document)?
    } else {
        print(&text(&document))?
    }
    Ok(exit)
}

/// Measures on an engine.
struct Measure<'a> {
    command: &'a MeasureCommand,
    prepared: &'a Prepared,
}

impl Visitor for Measure<'_> {
    type Output = Result<Measured>;

    fn visit<B: Backend>(self, engine: &Engine<B>) -> Result<Measured> {
        let Self { command, prepared: Prepared { config, data, budget } } = self;
        let Given { weights, next, preconditioner, origin } =
            command.given_weights(&engine.network, self.prepared)?;
        ranks::check_weights(&[weights.parameters.as_slice(), &weights.state].concat())?;
        let interrupt = Interrupt::listen()?;
        let trained = trained_examples(config, data.dataset())?;
        let (settings, seed, budget) = (config.measurement(), config.seed, *budget);
        let subject = Subject { engine, data, trained: &trained, settings: &settings, seed, budget };
        let preconditioner = preconditioner.as_ref();
        let at = Iterates { weights: &weights, next: next.as_ref(), preconditioner };
        let measurement = measure(subject, at, &Bar::new(&interrupt))?;
        if let Some(path) = command.files.vectors.as_ref().filter(|_| ranks::ranks().is_first()) {
            write_vectors(path, &engine.network, &measurement)?;
        }
        let sizes = command.sizes(trained.len())?;
        let subset_sizes = subset_sizes(subject, &weights, &sizes, &Bar::new(&interrupt))?;
        let source = &command.given.source;
        let doubt = source.doubt(&engine.network, &weights, &measurement, data.dataset().classes());
        Ok(Measured { measurement, subset_sizes, warnings: Vec::from_iter(doubt), origin })
    }
}

impl MeasureCommand {
    /// The weights to measure at, with the next iterate if the way to it is searched, and the optimizer's scales if they matter.
    fn given_weights<B: Backend>(&self, network: &Network<B>, prepared: &Prepared) -> Result<Given> {
        let source = &self.given.source;
        let is_scaled = prepared.config.measure.asked.contains_key(AdamSharpness::NAME);
        if let Some(run) = source.run.as_ref().filter(|_| source.between_iterates || is_scaled) {
            let LastStep { weights, next, preconditioner } = last_step(run, &prepared.data)?;
            let next = source.between_iterates.then_some(next);
            return Ok(Given { weights, next, preconditioner, origin: None });
        }
        let Imported { weights, origin } = source.import(network, &prepared.config)?;
        Ok(Given { weights, next: None, preconditioner: None, origin: Some(origin) })
    }

    /// The numbers of examples to compare; none if only one is requested.
    fn sizes(&self, available: usize) -> Result<Vec<usize>> {
        let counts = self.given.counts();
        if counts.len() < 2 {
            return Ok(Vec::new());
        }
        match counts.iter().find(|count| (available + 1..usize::MAX).contains(*count) || **count == 0) {
            Some(count) => {
                let message = format!("--examples must be from 1 to {available}, or all, got {count}");
                Err(Usage::new(message).into())
            }
            None => Ok(counts.iter().map(|count| *count.min(&available)).collect()),
        }
    }
}

/// Writes the vectors of a measurement, with the eigenvalues as metadata.
fn write_vectors<B: Backend>(path: &Path, network: &Network<B>, measured: &Measurement) -> Result<()> {
    let top =
        if measured.top.is_empty() { std::slice::from_ref(&measured.lambda_max) } else { &measured.top };
    let values: Vec<f64> = top.iter().map(|one| one.value).collect();
    let metadata = BTreeMap::from([("eigenvalues".to_owned(), serde_json::to_string(&values)?)]);
    let bytes = vectors_to_bytes(network.parameters(), &measured.vectors, metadata)?;
    Ok(write_file(path, &bytes)?)
}

fn text(document: &Document) -> String {
    let mut text = String::new();
    let (arch, dataset) = (document.arch.name(), document.dataset);
    line(&mut text, "network", &format!("{arch} on {dataset} (standardize {})", document.standardize));
    line(&mut text, "weights", &document.weights);
    for warning in &document.warnings {
        line(&mut text, "WARNING", warning);
    }
    measurement(&mut text, &document.measurement);
    text.push_str(&sizes_text(&document.subset_sizes));
    let peak = document.peak_bytes.map_or_else(String::new, |peak| format!("{} at most, ", bytes(peak)));
    let predicted = bytes(document.measurement.memory.predicted_bytes);
    line(&mut text, "memory", &format!("{peak}{predicted} predicted"));
    text
}

/// A table of λ_max by the number of examples.
fn sizes_text(sizes: &[SubsetSize]) -> String {
    if sizes.is_empty() {
        return String::new();
    }
    let mut table = Table::new([
        ("examples", Align::Right),
        ("subsets", Align::Right),
        ("λ_max", Align::Right),
        ("spread", Align::Right),
        ("lowest", Align::Right),
        ("highest", Align::Right),
    ]);
    for SubsetSize { examples, lambda_max, mean, deviation } in sizes {
        let values = || lambda_max.iter().map(|one| one.value);
        let lowest = values().fold(f64::INFINITY, f64::min);
        let highest = values().fold(f64::NEG_INFINITY, f64::max);
        table.push([
            count(*examples),
            lambda_max.len().to_string(),
            significant(*mean, 5),
            deviation.map_or_else(String::new, |deviation| significant(deviation, 2)),
            significant(lowest, 5),
            significant(highest, 5),
        ]);
    }
    format!("\n{}\n", table.render())
}
