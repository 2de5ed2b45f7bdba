//! `sharpness info ARCH`: layers, shapes, parameters, operations and memory.

use std::fmt::Write as _;

use anyhow::Result;
use clap::Args;
use serde::Serialize;
use sharpness_data::DatasetName;
use sharpness_network::architectures::Architecture;
use sharpness_network::backend::{Backend, Shape};
use sharpness_network::op::TapeKind;
use sharpness_training::settings::RunConfig;
use sharpness_training::{Engine, Visitor, with_engine};

use crate::args::{ModelScope, SettingFlags, architecture_parser, dataset_parser, start_threads};
use crate::exit::{Exit, Usage};
use crate::output::{Align, Table, bytes, count, print, print_json, significant};
use crate::settings::check_model;

/// Examples of a batch whose memory is shared among them.
const BATCH: usize = 100;

/// An architecture and the size of its images.
#[derive(Args, Debug)]
pub(super) struct InfoCommand {
    /// The architecture
    #[arg(value_name = "ARCH", value_parser = architecture_parser())]
    arch: Architecture,

    /// The data set that determines the size of the images [default: cifar10]
    #[arg(long, value_name = "NAME", value_parser = dataset_parser())]
    dataset: Option<DatasetName>,

    #[command(flatten)]
    model: SettingFlags<ModelScope>,

    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

/// The facts of a network in f32.
#[derive(Serialize)]
struct Facts {
    arch: &'static str,
    dataset: DatasetName,
    input: [usize; 3],
    classes: usize,
    parameters: usize,
    state: usize,
    flops_per_example: u64,
    training_bytes_per_example: usize,
    product_bytes_per_example: usize,
    layers: Vec<LayerFacts>,
}

/// One row of the table of layers.
#[derive(Serialize)]
struct LayerFacts {
    name: String,
    kind: &'static str,
    output: [usize; 3],
    parameters: usize,
    flops: u64,
}

/// Prints the facts.
pub(super) fn run(command: &InfoCommand) -> Result<Exit> {
    // Scratch memory depends on the number of threads.
    start_threads(None)?;
    let facts = facts(command)?;
    if command.json {
        print_json(&facts)?
    } else {
        print(&text(&facts))?
    }
    Ok(Exit::Done)
}

fn facts(command: &InfoCommand) -> Result<Facts> {
    let dataset = command.dataset.unwrap_or(DatasetName::Cifar10);
    let config = RunConfig::new(dataset, command.arch).overlaid(&command.model.table);
    let config = config.map_err(|(key, problem)| Usage::new(format!("{key} {problem}")))?;
    check_model(&config)?;
    Ok(with_engine(&config, Describe(&config))?)
}

/// Collects the facts of a network.
struct Describe<'a>(&'a RunConfig);

impl Visitor for Describe<'_> {
    type Output = Facts;

    fn visit<B: Backend>(self, engine: &Engine<B>) -> Facts {
        let Self(config) = self;
        let network = &engine.network;
        let dimensions = |shape: Shape| [shape.channels(), shape.height(), shape.width()];
        let layers = network.layers().into_iter().map(|layer| LayerFacts {
            name: layer.name,
            kind: layer.kind,
            output: dimensions(layer.output),
            parameters: layer.parameters,
            flops: layer.flops,
        });
        let layers: Vec<LayerFacts> = layers.collect();
        Facts {
            arch: config.model.arch.name(),
            dataset: config.data.name,
            input: dimensions(network.input()),
            classes: network.classes(),
            parameters: network.parameters().len(),
            state: network.state().len(),
            flops_per_example: layers.iter().map(|layer| layer.flops).sum(),
            training_bytes_per_example: network.tape_bytes(BATCH, TapeKind::Gradient) / BATCH,
            product_bytes_per_example: (network.tape_bytes(BATCH, TapeKind::Products)
                + network.tangent_bytes(BATCH))
                / BATCH,
            layers,
        }
    }
}

fn text(facts: &Facts) -> String {
    let columns = [
        ("layer", Align::Left),
        ("kind", Align::Left),
        ("output", Align::Right),
        ("parameters", Align::Right),
        ("MFLOP", Align::Right),
    ];
    let mut table = Table::new(columns);
    for layer in &facts.layers {
        let none = |text: String, is_none| if is_none { "-".to_owned() } else { text };
        table.push([
            layer.name.clone(),
            layer.kind.to_owned(),
            shape(layer.output),
            none(count(layer.parameters), layer.parameters == 0),
            none(mega(layer.flops), layer.flops == 0),
        ]);
    }
    let mut text = table.render();
    // Writing to a string cannot fail.
    let _ = write!(
        text,
        "\n{} for the images of {} ({}, {} classes)\n\
         parameters                    {}\n\
         running statistics            {}\n\
         operations of one example     {} MFLOP (forward; a multiplication and an addition are two)\n\
         memory of one example in f32  {} to train, {} for a Hessian-vector product\n",
        facts.arch,
        facts.dataset,
        shape(facts.input),
        facts.classes,
        count(facts.parameters),
        count(facts.state),
        mega(facts.flops_per_example),
        bytes(facts.training_bytes_per_example),
        bytes(facts.product_bytes_per_example),
    );
    text
}

fn shape([channels, height, width]: [usize; 3]) -> String {
    if height * width == 1 { channels.to_string() } else { format!("{channels}x{height}x{width}") }
}

fn mega(flops: u64) -> String {
    significant(flops as f64 / 1e6, 3)
}
