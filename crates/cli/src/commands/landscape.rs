//! `sharpness landscape`: the loss around weights, with its quadratic prediction.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use serde::Serialize;
use sharpness_data::{DatasetName, Standardization};
use sharpness_network::Imported;
use sharpness_network::architectures::Architecture;
use sharpness_network::backend::Backend;
use sharpness_study::figures::{landscape_notes, landscape_table, landscape_view};
use sharpness_training::landscape::{Directions, Landscape, Plane, PlaneSettings, Values};
use sharpness_training::measures::Subject;
use sharpness_training::{Engine, Visitor, trained_examples, with_engine};

use crate::args::{AroundScope, one_of};
use crate::exit::{EXIT_CODES, Exit, is_stopped};
use crate::given_weights::{GivenWeights, Prepared};
use crate::interrupt::Interrupt;
use crate::measuring::Bar;
use crate::output::{line, note, percent, print, print_json, significant};
use crate::points;

/// Weights, directions, and where the result goes.
#[derive(Args, Debug)]
#[command(after_help = EXIT_CODES)]
pub(super) struct LandscapeCommand {
    #[command(flatten)]
    given: GivenWeights<AroundScope>,

    #[command(flatten)]
    plane: PlaneArgs,

    /// Write table (CSV), numbers (JSON), picture (SVG and PNG), an interactive page (HTML) and the directions (safetensors)
    /// into this directory; a command that was stopped resumes there
    #[arg(long, value_name = "DIR", default_value = "landscape")]
    out: PathBuf,

    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

/// What of the loss is shown.
#[derive(Args, Debug)]
#[command(next_help_heading = "Landscape")]
struct PlaneArgs {
    /// Along eigenvectors of the largest eigenvalues; the gradient g, and Hg; or random directions with filter normalization
    /// (Li et al. 2018)
    #[arg(long, value_name = "HOW", default_value = "eigenvectors",
        value_parser = one_of(Directions::ALL.map(|how| (how.as_str(), how))))]
    directions: Directions,

    /// One direction or two
    #[arg(long, value_name = "1|2", default_value_t = 1)]
    dimensions: usize,

    /// The largest coordinate, in multiples of the directions [default: 1 for random directions; otherwise three times the
    /// distance at which the quadratic term reaches the loss]
    #[arg(long, value_name = "R", allow_negative_numbers = true)]
    radius: Option<f64>,

    /// Points along each direction; an odd number includes the weights [default: 51, or 25 in two dimensions]
    #[arg(long, value_name = "N")]
    points: Option<usize>,
}

impl PlaneArgs {
    fn settings(&self) -> PlaneSettings {
        let Self { directions, dimensions, radius, points } = *self;
        PlaneSettings {
            directions,
            dimensions,
            radius,
            points: points.unwrap_or(if dimensions == 1 { 51 } else { 25 }),
        }
    }
}

/// The JSON document: the weights, and the loss around them.
#[derive(Serialize)]
struct Document {
    arch: Architecture,
    dataset: DatasetName,
    standardize: Standardization,
    weights: String,
    seed: u64,
    #[serde(flatten)]
    landscape: Landscape,
}

/// The document with its files.
#[derive(Serialize)]
struct Printed<'a> {
    #[serde(flatten)]
    document: &'a Document,
    files: &'a [String],
}

/// Computes, writes and reports.
pub(super) fn run(command: &LandscapeCommand) -> Result<Exit> {
    command.given.check_single("a landscape is around given weights")?;
    let prepared = command.given.prepare()?;
    let config = &prepared.config;
    let landscape = match with_engine(config, Compute { command, prepared: &prepared })? {
        Err(error) if is_stopped(&error) => {
            note(&format!("stopped; the same command resumes in {}", command.out.display()));
            return Ok(Exit::Interrupted);
        }
        landscape => landscape?,
    };
    let (arch, dataset) = (config.model.arch, config.data.name);
    let document = Document {
        arch,
        dataset,
        standardize: config.data.standardize,
        weights: command.given.source.path().display().to_string(),
        seed: config.seed,
        landscape,
    };
    let title = format!("The loss of {} on {dataset} around {}", arch.name(), document.weights);
    let view = landscape_view(&title, &document.landscape);
    let text = format!("{}\n", serde_json::to_string_pretty(&document)?);
    let files = view.write(&command.out, "landscape", &landscape_table(&document.landscape)?, &text)?;
    let files: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
    if command.json {
        print_json(&Printed { document: &document, files: &files })?;
    } else {
        print(&summary(&document, &files))?;
    }
    let rtol = config.measure.rtol;
    Ok(if document.landscape.is_converged(rtol) { Exit::Done } else { Exit::NotConverged })
}

/// What decides the numbers, besides the settings.
#[derive(Serialize)]
struct Request<'a> {
    weights_sha256: &'a str,
    seed: u64,
    plane: PlaneSettings,
}

/// Computes on an engine.
struct Compute<'a> {
    command: &'a LandscapeCommand,
    prepared: &'a Prepared,
}

impl Visitor for Compute<'_> {
    type Output = Result<Landscape>;

    fn visit<B: Backend>(self, engine: &Engine<B>) -> Result<Landscape> {
        let Self { command, prepared: Prepared { config, data, budget } } = self;
        let (network, dir) = (&engine.network, &command.out);
        let Imported { weights, origin } = command.given.source.import(network, config)?;
        let interrupt = Interrupt::listen()?;
        let trained = trained_examples(config, data.dataset())?;
        let (plane, seed, budget) = (command.plane.settings(), config.seed, *budget);
        let request = Request { weights_sha256: &origin.sha256, seed, plane };
        let settings = plane.measurement(&config.measurement());
        let subject = Subject { engine, data, trained: &trained, settings: &settings, seed, budget };
        let bar = Bar::new(&interrupt);
        plane.check()?;
        let mut journal = points::journal(dir, "landscape", (config, &request))?;
        let names: Vec<String> = (1..=plane.dimensions).map(|i| format!("direction-{i}")).collect();
        let known = names.iter().map(|name| points::known_vector(&journal, (dir, name), network));
        let known: Option<Vec<Vec<f64>>> = known.collect();
        let is_known = known.is_some();
        let plane = Plane::new(subject, &weights, plane, known, &bar)?;
        if !is_known {
            for (name, vector) in names.iter().zip(plane.vectors()) {
                points::keep_vector(&mut journal, (dir, name), network, vector)?;
            }
        }
        bar.bar().borrow_mut().clear();
        let numbers =
            points::all(&mut journal, ("landscape", plane.len()), |point| Ok(plane.value(point)?.numbers()))?;
        let values: Vec<Values> = numbers.into_iter().map(Values::of_numbers).collect();
        Ok(plane.landscape(&values))
    }
}

fn summary(document: &Document, files: &[String]) -> String {
    let Document { arch, dataset, weights, landscape, .. } = document;
    let mut text = String::new();
    line(
        &mut text,
        "network",
        &format!("{} on {dataset} (standardize {})", arch.name(), document.standardize),
    );
    line(&mut text, "weights", weights);
    line(&mut text, "loss", &significant(landscape.quadratic.loss, 6));
    line(&mut text, "accuracy", &percent(landscape.accuracy));
    for (place, note) in landscape_notes(landscape).iter().enumerate() {
        line(&mut text, if place == 0 { "landscape" } else { "" }, note);
    }
    for (place, file) in files.iter().enumerate() {
        line(&mut text, if place == 0 { "files" } else { "" }, file);
    }
    text
}
