//! The flags that subcommands share, as they are typed: nothing is checked here but the form of each value.
//!
//! Every flag of a setting is optional, so that a default, a file and a flag can be laid over each other: see
//! [`crate::settings`].

mod bench;
mod data;
mod engine;
mod measure;
mod model;
mod training;
mod weights;

use std::str::FromStr;

use clap::builder::{PossibleValuesParser, TypedValueParser};

pub(crate) use bench::task_parser;
pub(crate) use data::{DataArgs, dataset_parser};
pub(crate) use engine::{EngineArgs, MemoryArg};
pub(crate) use measure::{ExampleCounts, MeasureArgs};
pub(crate) use model::{ArchArg, ModelArgs, architecture_parser};
pub(crate) use training::{TrainingArgs, loss_parser};
pub(crate) use weights::WeightsArgs;

/// A parser that accepts a fixed list of names, which help texts and completions show.
fn one_of<T>(choices: impl IntoIterator<Item = (&'static str, T)>) -> impl TypedValueParser<Value = T>
where
    T: Copy + Send + Sync + 'static,
{
    let choices: Vec<(&'static str, T)> = choices.into_iter().collect();
    let names: Vec<&'static str> = choices.iter().map(|(name, _)| *name).collect();
    PossibleValuesParser::new(names).try_map(move |given| {
        let choice = choices.iter().find(|(name, _)| *name == given);
        choice.map(|(_, value)| *value).ok_or_else(|| format!("'{given}' is no choice"))
    })
}

/// A list of whole numbers, separated by commas.
#[derive(Clone, Debug)]
pub(crate) struct Widths(pub(crate) Vec<usize>);

impl FromStr for Widths {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let width = |part: &str| {
            let part = part.trim();
            part.parse().map_err(|_| format!("'{part}' is no whole number; an example is 256,256"))
        };
        text.split(',').map(width).collect::<Result<_, _>>().map(Self)
    }
}
