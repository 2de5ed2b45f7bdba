//! Settings of which one kind out of several applies, such as those of an optimizer: a table whose `name` says which.

use clap::{ArgMatches, Args, Command};
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize as _, Deserializer};
use toml::{Table, Value};

/// The key that names the kind.
pub(crate) const NAME: &str = "name";

type OfFlags<T> = Box<dyn Fn(&ArgMatches) -> Result<T, clap::Error>>;
/// Its error is the key and what is wrong with it.
type OfTable<T> = Box<dyn Fn(Table) -> Result<T, (String, String)>>;

/// A kind of settings `T`: its name, its flags, and how its settings are read.
pub struct Kind<T> {
    name: &'static str,
    augment: fn(Command) -> Command,
    of_flags: OfFlags<T>,
    of_table: OfTable<T>,
}

impl<T: 'static> Kind<T> {
    /// The kind `name`, whose settings are `S`.
    pub(crate) fn new<S: Args + DeserializeOwned + 'static>(name: &'static str, wrap: fn(S) -> T) -> Self {
        Self {
            name,
            augment: S::augment_args,
            of_flags: Box::new(move |matches| S::from_arg_matches(matches).map(wrap)),
            of_table: Box::new(move |table| {
                let settings = serde_path_to_error::deserialize(Value::Table(table)).map_err(|error| {
                    let path = error.path().to_string();
                    (path, error.into_inner().message().to_owned())
                });
                settings.map(wrap)
            }),
        }
    }
}

/// Settings with a kind.
pub trait Tagged: Sized + 'static {
    /// The key of the table: `training.optimizer`.
    const KEY: &'static str;
    /// The flag that names the kind, without dashes.
    const FLAG: &'static str;
    /// Its help text.
    const HELP: &'static str;

    /// All kinds, the default first.
    fn kinds() -> Vec<Kind<Self>>;
}

/// Adds the flags of all kinds. A flag that several kinds have is added once.
pub(crate) fn augment<T: Tagged>(command: Command) -> Command {
    let kinds = T::kinds();
    let names: Vec<&'static str> = kinds.iter().map(|kind| kind.name).collect();
    let default = names.first().copied().unwrap_or_default();
    let name = clap::Arg::new(format!("{}.{NAME}", T::KEY)).long(T::FLAG).value_name("NAME").help(T::HELP);
    let heading = command.get_next_help_heading().unwrap_or("Options").to_owned();
    let mut command = command.arg(name.default_value(default).value_parser(names));
    for kind in &kinds {
        let own = (kind.augment)(Command::new(kind.name).next_help_heading(&heading));
        for arg in own.get_arguments() {
            if !command.get_arguments().any(|other| other.get_id() == arg.get_id()) {
                // In help after the flags before it, not by its place in the command of its kind.
                let place = command.get_arguments().count();
                command = command.arg(arg.clone().display_order(place));
            }
        }
    }
    command
}

/// The settings that flags and their defaults give.
pub(crate) fn of_flags<T: Tagged>(matches: &ArgMatches) -> Result<T, clap::Error> {
    let name = matches.get_one::<String>(&format!("{}.{NAME}", T::KEY));
    let mut kinds = T::kinds().into_iter();
    let kind = kinds.find(|kind| name.is_some_and(|name| name == kind.name));
    let missing = || clap::Error::raw(clap::error::ErrorKind::MissingRequiredArgument, T::HELP);
    (kind.ok_or_else(missing)?.of_flags)(matches)
}

/// Reads a table. Without a `name` it is of the default kind.
///
/// # Errors
/// The key within the table, and what is wrong with it.
pub(crate) fn of_table<T: Tagged>(mut table: Table) -> Result<T, (String, String)> {
    let kinds = T::kinds();
    let names = || kinds.iter().map(|kind| kind.name).collect::<Vec<_>>().join(", ");
    let kind = match table.remove(NAME) {
        None => kinds.first(),
        Some(Value::String(name)) => kinds.iter().find(|kind| kind.name == name),
        Some(_) => None,
    };
    let kind = kind.ok_or_else(|| (NAME.to_owned(), format!("must be one of {}", names())))?;
    (kind.of_table)(table)
}

/// As [`of_table`], for a field.
pub(crate) fn deserialize<'de, T: Tagged, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    let table = Table::deserialize(deserializer)?;
    of_table(table).map_err(|(key, problem)| D::Error::custom(format!("{key} {problem}")))
}
