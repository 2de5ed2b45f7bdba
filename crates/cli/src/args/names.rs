//! Parsers of fixed lists of names.

use clap::builder::{PossibleValuesParser, TypedValueParser};
use sharpness_data::DatasetName;
use sharpness_network::architectures::Architecture;

/// A parser that accepts a fixed list of names, which help texts and completions show.
pub(crate) fn one_of<T>(
    choices: impl IntoIterator<Item = (&'static str, T)>,
) -> impl TypedValueParser<Value = T>
where
    T: Copy + Send + Sync + 'static,
{
    let choices: Vec<(&'static str, T)> = choices.into_iter().collect();
    let names: Vec<&'static str> = choices.iter().map(|(name, _)| *name).collect();
    PossibleValuesParser::new(names).try_map(move |given| {
        let choice = choices.iter().find(|(name, _)| *name == given);
        choice.map(|(_, value)| *value).ok_or_else(|| format!("unknown name '{given}'"))
    })
}

/// Accepts the data sets' names.
pub(crate) fn dataset_parser() -> impl TypedValueParser<Value = DatasetName> {
    one_of(DatasetName::ALL.map(|name| (name.as_str(), name)))
}

/// Accepts the architectures' names.
pub(crate) fn architecture_parser() -> impl TypedValueParser<Value = Architecture> {
    one_of(Architecture::ALL.map(|arch| (arch.name(), arch)))
}
