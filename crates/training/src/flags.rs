//! The flags of all settings, and the keys of files and recipes that follow from them.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use clap::builder::ValueParser;
use clap::error::Error as ClapError;
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Args as _, Command, FromArgMatches as _};
use toml::{Table, Value};

use crate::columns::ColumnType;
use crate::measures;
use crate::settings::RunConfig;

/// A command whose flags are those of all settings. The id of each is its key, such as `training.batch_size`; its flag is the last
/// name of the key with dashes, `--batch-size`, unless its field names another one.
pub fn command() -> Command {
    let declared = RunConfig::augment_args(Command::new("settings").no_binary_name(true));
    let named = declared.mut_args(|arg| {
        // Without a name of its own, a flag has that of its id.
        let is_key = arg.get_long().is_some_and(|long| long == arg.get_id().as_str());
        let last = arg.get_id().as_str().rsplit('.').next().unwrap_or_default().replace('_', "-");
        if is_key { arg.long(last) } else { arg }
    });
    measures::augment(named)
}

/// The settings given as flags in `matches`, as a table that overlays those of a file. `matches` may be those of a
/// command with only some of the flags of [`command()`].
///
/// # Errors
/// A value that its parser refuses.
pub fn given(matches: &ArgMatches) -> Result<Table, ClapError> {
    let (mut typed, mut ids) = (Vec::new(), Vec::new());
    let mut table = Table::new();
    let command = command();
    for arg in command.get_arguments() {
        let id = arg.get_id().as_str();
        // The command need not have this flag.
        if !matches!(matches.try_contains_id(id), Ok(true))
            || matches.value_source(id) != Some(ValueSource::CommandLine)
        {
            continue;
        }
        if let Ok(Some(value)) = matches.try_get_one::<Value>(id) {
            insert(&mut table, id, value.clone());
        } else if let Some(values) = matches.get_raw(id) {
            let values: Vec<_> = values.map(|value| value.to_string_lossy()).collect();
            typed.push(format!("--{}={}", arg.get_long().unwrap_or(id), values.join(",")));
            ids.push(id.to_owned());
        }
    }
    let config = RunConfig::from_arg_matches(&command.clone().try_get_matches_from(typed)?)?;
    let all = Table::try_from(config).unwrap_or_default();
    for id in ids {
        if let Some(value) = lookup(&all, &id) {
            insert(&mut table, &id, value.clone());
        }
    }
    Ok(table)
}

/// The flag of a setting, with its dashes.
pub fn flag(key: &str) -> Option<String> {
    let command = command();
    let of = |key: &str| command.get_arguments().find(|arg| arg.get_id() == key).and_then(Arg::get_long);
    // A measure has one flag for all of its settings.
    let above = || key.rsplit_once('.').and_then(|(above, _)| of(above));
    of(key).or_else(above).map(|long| format!("--{long}"))
}

/// Every key that a configuration may have, such as `training.learning_rate`, and the type of its values.
pub fn keys() -> &'static BTreeMap<String, ColumnType> {
    static KEYS: LazyLock<BTreeMap<String, ColumnType>> = LazyLock::new(typed_keys);
    &KEYS
}

fn typed_keys() -> BTreeMap<String, ColumnType> {
    let command = command();
    let of_flag = |arg: &Arg| (arg.get_id().to_string(), column_type(arg));
    let mut keys: BTreeMap<String, ColumnType> = command.get_arguments().map(of_flag).collect();
    keys.retain(|key, _| key != "help");
    for (key, value) in measures::keys() {
        let kind = match value {
            Value::Integer(_) => ColumnType::Integer,
            Value::Float(_) => ColumnType::Double,
            Value::Boolean(_) => ColumnType::Boolean,
            _ => ColumnType::Text,
        };
        keys.insert(format!("measure.{key}"), kind);
    }
    keys
}

fn column_type(arg: &Arg) -> ColumnType {
    if arg.get_value_delimiter().is_some() {
        // A list.
        return ColumnType::Text;
    }
    let id = arg.get_value_parser().type_id();
    let is = |kinds: &[clap::builder::ValueParser]| kinds.iter().any(|kind| kind.type_id() == id);
    if is(&[clap::value_parser!(u64).into(), clap::value_parser!(u32).into(), usize_parser()]) {
        ColumnType::Integer
    } else if is(&[f64_parser()]) {
        ColumnType::Double
    } else if is(&[clap::value_parser!(bool)]) {
        ColumnType::Boolean
    } else {
        ColumnType::Text
    }
}

fn usize_parser() -> ValueParser {
    ValueParser::new(|text: &str| text.parse::<usize>())
}

fn f64_parser() -> ValueParser {
    ValueParser::new(|text: &str| text.parse::<f64>())
}

/// The value at a key such as `training.learning_rate`.
pub fn lookup<'t>(table: &'t Table, key: &str) -> Option<&'t Value> {
    match key.split_once('.') {
        None => table.get(key),
        Some((first, rest)) => lookup(table.get(first)?.as_table()?, rest),
    }
}

/// Puts a value at a key such as `training.learning_rate`.
pub fn insert(table: &mut Table, key: &str, value: Value) {
    match key.split_once('.') {
        None => {
            table.insert(key.to_owned(), value);
        }
        Some((first, rest)) => {
            let inner = table.entry(first).or_insert_with(|| Value::Table(Table::new()));
            if let Value::Table(inner) = inner {
                insert(inner, rest, value);
            }
        }
    }
}
