//! `sharpness rescale`: the same function at other weights, with another Hessian, and which measures of sharpness see it.

use std::str::FromStr;

use anyhow::Result;
use clap::Args;
use serde::Serialize;
use sharpness_data::{DatasetName, Part};
use sharpness_network::architectures::Architecture;
use sharpness_network::backend::Backend;
use sharpness_network::{Network, RescaledLayers, Weights};
use sharpness_training::measures::{Iterates, Measurement, Subject, measure};
use sharpness_training::{Engine, Visitor, evaluate, trained_examples, with_engine};

use super::invariance::{self, Invariance};
use crate::exit::{EXIT_CODES, Exit, Usage, is_stopped};
use crate::given_weights::{GivenWeights, Prepared};
use crate::interrupt::Interrupt;
use crate::measuring::Bar;
use crate::output::{line, note, percent, print, print_json, significant};

/// The explanation of the table.
const MEANING: &str = "\nThe same function, at other weights, has another λ_max: by itself λ_max does not decide how it generalizes (Dinh et al. 2017). \
     Nor does any other number that changes. Differences within three times the reported errors, and rounding, are no change.\n";

/// Weights, the layers, and the factors.
#[derive(Args, Debug)]
#[command(after_help = EXIT_CODES)]
pub(super) struct RescaleCommand {
    /// Multiply weight and bias of a layer by this, and divide the weight of the next one by it; a list such as 0.1,10
    /// measures each in turn
    #[arg(long, value_name = "ALPHA", required = true, value_delimiter = ',', allow_negative_numbers = true)]
    alpha: Vec<f64>,

    /// The layers, such as fc1,fc2 [default: the first two with nothing but ReLUs and poolings between them]
    #[arg(long, value_name = "FIRST,SECOND")]
    layers: Option<Layers>,

    #[command(flatten)]
    given: GivenWeights,

    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

/// Two names.
#[derive(Clone, Debug)]
struct Layers(RescaledLayers);

impl FromStr for Layers {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let names = text.split_once(',').map(|(first, second)| (first.trim(), second.trim()));
        let (first, second) = names.ok_or("write two layers, such as fc1,fc2")?;
        Ok(Self(RescaledLayers { multiplied: first.to_owned(), divided: second.to_owned() }))
    }
}

/// The JSON document: one function at several weights.
#[derive(Serialize)]
struct Document {
    arch: Architecture,
    dataset: DatasetName,
    weights: String,
    layers: RescaledLayers,
    /// At the given weights.
    original: Point,
    /// At each α.
    rescaled: Vec<Point>,
    /// Which numbers change.
    invariance: Vec<Invariance>,
}

/// The function at one of its weights.
#[derive(Serialize)]
struct Point {
    alpha: f64,
    test_loss: f64,
    test_accuracy: f64,
    #[serde(flatten)]
    measurement: Measurement,
}

/// Measures at all weights and shows them side by side.
pub(super) fn run(command: &RescaleCommand) -> Result<Exit> {
    command.check()?;
    let place = command.given.prepare()?;
    let made = with_engine(&place.config, Rescale { command, place: &place })?;
    let document = match made {
        Err(error) if is_stopped(&error) => {
            note("stopped; there is no result");
            return Ok(Exit::Interrupted);
        }
        made => made?,
    };
    if command.json {
        print_json(&document)?;
    } else {
        print(&text(&document))?;
    }
    let is_found = document.points().all(|point| point.measurement.is_converged());
    Ok(if is_found { Exit::Done } else { Exit::NotConverged })
}

/// Measures at all weights on an engine.
struct Rescale<'a> {
    command: &'a RescaleCommand,
    place: &'a Prepared,
}

impl Visitor for Rescale<'_> {
    type Output = Result<Document>;

    fn visit<B: Backend>(self, engine: &Engine<B>) -> Result<Document> {
        let Self { command, place: Prepared { config, data, budget } } = self;
        let network = &engine.network;
        let layers = command.layers(network)?;
        let weights = command.given.source.import(network, config)?.weights;
        // All factors are checked before the first is measured.
        let rescaled = command.alpha.iter().map(|alpha| rescale(network, &weights, &layers, *alpha));
        let rescaled = rescaled.collect::<Result<Vec<Weights>>>()?;
        let interrupt = Interrupt::listen()?;
        let (trained, settings) = (trained_examples(config, data.dataset())?, config.measurement());
        let (seed, budget) = (config.seed, *budget);
        let subject = Subject { engine, data, trained: &trained, settings: &settings, seed, budget };
        let point = |alpha: f64, weights: &Weights| -> Result<Point> {
            let measurement = measure(subject, Iterates::only(weights), &Bar::new(&interrupt))?;
            let tested = evaluate(network, data, Part::Test, weights);
            Ok(Point { alpha, test_loss: tested.loss, test_accuracy: tested.correct, measurement })
        };
        let original = point(1.0, &weights)?;
        let points = command.alpha.iter().zip(&rescaled).map(|(alpha, weights)| point(*alpha, weights));
        let rescaled = points.collect::<Result<Vec<Point>>>()?;
        let all: Vec<&Point> = std::iter::once(&original).chain(&rescaled).collect();
        let measurements: Vec<&Measurement> = all.iter().map(|point| &point.measurement).collect();
        let test_losses: Vec<f64> = all.iter().map(|point| point.test_loss).collect();
        Ok(Document {
            invariance: Invariance::all(&measurements, &test_losses),
            arch: config.model.arch,
            dataset: config.data.name,
            weights: command.given.source.path().display().to_string(),
            original,
            rescaled,
            layers,
        })
    }
}

impl RescaleCommand {
    fn check(&self) -> Result<()> {
        self.given.check_single("rescaled weights have no next iterate")?;
        match self.alpha.iter().find(|alpha| !(**alpha > 0.0 && alpha.is_finite())) {
            Some(alpha) => {
                Err(Usage::new(format!("--alpha must be positive and finite, got {alpha:?}")).into())
            }
            None => Ok(()),
        }
    }

    fn layers<B: Backend>(&self, network: &Network<B>) -> Result<RescaledLayers> {
        if let Some(Layers(layers)) = &self.layers {
            return Ok(layers.clone());
        }
        let none = "no two layers of this network have nothing but ReLUs and poolings between them; an mlp or cnn with --activation \
                    relu has such layers, as has vgg11";
        network.rescalable().into_iter().next().ok_or_else(|| Usage::new(none.to_owned()).into())
    }
}

fn rescale<B: Backend>(
    network: &Network<B>,
    weights: &Weights,
    layers: &RescaledLayers,
    alpha: f64,
) -> Result<Weights> {
    let RescaledLayers { multiplied, divided } = layers;
    let flags = format!("--alpha {alpha:?} --layers {multiplied},{divided}");
    network.rescale(weights, layers, alpha).map_err(|error| Usage::new(format!("{flags}: {error}")).into())
}

impl Document {
    fn points(&self) -> impl Iterator<Item = &Point> {
        std::iter::once(&self.original).chain(&self.rescaled)
    }
}

/// The points side by side: a name and a column for each.
fn text(document: &Document) -> String {
    let mut text = String::new();
    let RescaledLayers { multiplied, divided } = &document.layers;
    line(&mut text, "network", &format!("{} on {}", document.arch.name(), document.dataset));
    line(&mut text, "weights", &document.weights);
    line(&mut text, "layers", &format!("{multiplied} times α, {divided} divided by α"));
    text.push('\n');
    let mut rows: Vec<(&str, Vec<String>)> = Vec::new();
    let mut row =
        |name, value: &dyn Fn(&Point) -> String| rows.push((name, document.points().map(value).collect()));
    let name = |point: &Point| {
        if std::ptr::eq(point, &document.original) {
            "original".to_owned()
        } else {
            format!("α = {}", point.alpha)
        }
    };
    row("", &name);
    row("loss", &|point| significant(point.measurement.loss, 6));
    row("accuracy", &|point| percent(point.measurement.accuracy));
    row("test loss", &|point| significant(point.test_loss, 6));
    row("test accuracy", &|point| percent(point.test_accuracy));
    row("λ_max", &|point| significant(point.measurement.lambda_max.value, 5));
    row("residual", &|point| significant(point.measurement.lambda_max.residual, 2));
    row("converged", &|point| if point.measurement.is_converged() { "yes" } else { "no" }.to_owned());
    let width = rows.iter().flat_map(|(_, cells)| cells).map(|cell| cell.chars().count()).max().unwrap_or(0);
    for (name, cells) in &rows {
        let cells: Vec<String> = cells.iter().map(|cell| format!("{cell:>width$}")).collect();
        line(&mut text, name, &cells.join("  "));
    }
    let names: Vec<String> = document.points().map(name).collect();
    text.push_str(&format!("\n{}", invariance::table(&document.invariance, &names)));
    text.push_str(MEANING);
    text
}
