//! `sharpness measure`: the curvature at weights that exist.

use anyhow::Result;
use clap::Args;
use serde::Serialize;
use sharpness_experiments::config::{Precision, RunConfig};
use sharpness_experiments::data::{DatasetName, Standardization, Standardized};
use sharpness_experiments::kernels::Cpu;
use sharpness_experiments::measures::{
    Budget, MeasureProgress, Measurement, SubsetSize, peak_bytes, subset_sizes,
};
use sharpness_experiments::network::architectures::Architecture;
use sharpness_experiments::network::backend::Backend;
use sharpness_experiments::network::{Imported, Network, Origin, Weights};
use sharpness_experiments::{Error, last_step, network, trained_examples};

use crate::exit::{EXIT_CODES, Exit, Usage};
use crate::given_weights::{GivenWeights, Prepared};
use crate::interrupt::Interrupt;
use crate::measuring::{TEMPLATE, measure_at, show};
use crate::output::{
    Align, Progress, Table, bytes, count, line, measurement, note, print, print_json, significant,
};

/// What is measured, and how.
#[derive(Args, Debug)]
#[command(after_help = EXIT_CODES)]
pub(super) struct MeasureCommand {
    #[command(flatten)]
    given: GivenWeights,

    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

/// What was measured, and where.
#[derive(Serialize)]
struct Document {
    arch: Architecture,
    dataset: DatasetName,
    standardize: Standardization,
    weights: String,
    /// Where its tensors went; none for the checkpoint of a run.
    #[serde(flatten)]
    origin: Option<Origin>,
    /// Reasons to doubt that these are the weights meant.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
    seed: u64,
    /// The most memory that the process has had, where the system tells it.
    peak_bytes: Option<usize>,
    #[serde(flatten)]
    measurement: Measurement,
    /// λ_max at several numbers of examples, where they are asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    subset_sizes: Vec<SubsetSize>,
}

/// What comes of the weights.
struct Measured {
    measurement: Measurement,
    subset_sizes: Vec<SubsetSize>,
    origin: Option<Origin>,
    warnings: Vec<String>,
}

/// Weights, and the next ones that their training would make.
struct Iterates {
    weights: Weights,
    next: Option<Weights>,
    origin: Option<Origin>,
}

/// Measures and reports.
pub(super) fn run(command: &MeasureCommand) -> Result<Exit> {
    let Prepared { config, data, budget } = command.given.prepare()?;
    let method = config.convolution;
    let measured = match config.precision {
        Precision::F32 => command.measure_on(Cpu::<f32>::new(method), &config, &data, budget),
        Precision::F64 => command.measure_on(Cpu::<f64>::new(method), &config, &data, budget),
    };
    let Measured { measurement, subset_sizes, origin, warnings } = match measured {
        Err(error) if matches!(error.downcast_ref(), Some(Error::MeasureStopped)) => {
            note("stopped; there is no result");
            return Ok(Exit::Interrupted);
        }
        measured => measured?,
    };
    let exit = if measurement.is_converged() { Exit::Done } else { Exit::NotConverged };
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

impl MeasureCommand {
    /// The weights to measure at, and the next iterate if the way to it is searched.
    fn iterates<B: Backend>(
        &self,
        network: &Network<B>,
        config: &RunConfig,
        data: &Standardized,
    ) -> Result<Iterates> {
        if let Some(run) = self.given.source.run.as_ref().filter(|_| self.given.source.between_iterates) {
            let (last, next) = last_step(run, data)?;
            return Ok(Iterates { weights: last, next: Some(next), origin: None });
        }
        let Imported { weights, origin } = self.given.source.import(network, config)?;
        Ok(Iterates { weights, next: None, origin: Some(origin) })
    }

    fn measure_on<B: Backend>(
        &self,
        backend: B,
        config: &RunConfig,
        data: &Standardized,
        budget: Budget,
    ) -> Result<Measured> {
        let network = network(config, backend)?;
        let Iterates { weights, next, origin } = self.iterates(&network, config, data)?;
        let interrupt = Interrupt::listen()?;
        let place = (config, data);
        let measured = measure_at(&network, place, (&weights, next.as_ref()), budget, &interrupt)?;
        let sizes = self.sizes(trained_examples(config, data.dataset())?.len())?;
        let mut bar = Progress::new(TEMPLATE);
        let mut observer = |progress: &MeasureProgress| show(&mut bar, progress);
        let stop = || interrupt.is_raised();
        let sizes = subset_sizes(&network, place, &weights, &sizes, budget, &mut observer, &stop)?;
        let doubt = self.given.source.doubt(&network, &weights, &measured, data.dataset().classes());
        Ok(Measured { measurement: measured, subset_sizes: sizes, warnings: Vec::from_iter(doubt), origin })
    }

    /// The numbers of examples to compare: none where one is asked for.
    fn sizes(&self, available: usize) -> Result<Vec<usize>> {
        let counts = self.given.measure.counts();
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

/// How far λ_max moves with the examples.
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
