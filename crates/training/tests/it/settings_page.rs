//! `docs/settings.md` lists every setting with its key, flag, values, default and help text.

use std::collections::BTreeMap;
use std::error::Error as _;
use std::fmt::Write as _;
use std::path::Path;

use clap::Arg;
use sharpness_data::DatasetName;
use sharpness_network::architectures::Architecture;
use sharpness_training::measures::{self, Measure};
use sharpness_training::settings::RunConfig;
use sharpness_training::{ColumnType, flags};
use toml::{Table, Value};

/// If set, the page is written rather than compared.
const WRITE: &str = "SHARPNESS_WRITE_SETTINGS";

const INTRODUCTION: &str = "\
# Settings

<!-- Generated from the settings' declarations by `cargo xtask settings`. -->

Every choice on which the result of a run depends. A setting is given by its flag or by its key in a file of settings, in TOML:
`training.batch_size = 200`, or `batch_size = 200` below `[training]`. Recipes take the same keys. Flags take precedence over files.

In TOML, names are strings (`\"pixel\"`). A default in parentheses is that of an optional table, such as `[training.sam]`: it applies
once any setting of the table is given, and without one the table is absent.
";

/// A line of the page: the cells of its table.
type Row = [String; 5];

#[test]
fn the_page_of_settings_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/settings.md");
    let page = page();
    if std::env::var_os(WRITE).is_some() {
        std::fs::write(&path, page).unwrap();
        return;
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default().replace("\r\n", "\n");
    let differing = page.lines().zip(committed.lines()).find(|(new, old)| new != old);
    assert!(
        committed == page,
        "docs/settings.md is out of date at {differing:?}; run `cargo xtask settings`"
    );
}

#[test]
fn the_page_has_a_row_for_each_key() {
    let page = page();
    for key in flags::keys().keys() {
        assert!(page.contains(&format!("| `{key}` |")), "{key} is missing");
    }
}

fn page() -> String {
    let command = flags::command();
    let mut headings = Vec::new();
    for heading in command.get_arguments().filter_map(Arg::get_help_heading) {
        if !headings.contains(&heading) {
            headings.push(heading);
        }
    }
    let mut page = INTRODUCTION.to_owned();
    for heading in headings {
        write!(page, "\n## {heading}\n\n| key | flag | values | default | meaning |\n").unwrap();
        page.push_str("| --- | --- | --- | --- | --- |\n");
        for arg in command.get_arguments().filter(|arg| arg.get_help_heading() == Some(heading)) {
            for row in std::iter::once(row(arg)).chain(rows_of_measure(arg)) {
                writeln!(page, "| {} |", row.map(|cell| cell.replace('|', "\\|")).join(" | ")).unwrap();
            }
        }
    }
    page
}

fn row(arg: &Arg) -> Row {
    let key = arg.get_id().as_str();
    let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
    [format!("`{key}`"), format!("`{}`", usage(arg)), values(arg), default(arg), help.replace('\n', " ")]
}

/// `--lr <ETA>` or `--nesterov[=BOOL]`.
fn usage(arg: &Arg) -> String {
    let flag = arg.get_long().unwrap_or_default();
    let name = arg.get_value_names().and_then(<[_]>::first).map(ToString::to_string).unwrap_or_default();
    let is_optional = arg.get_num_args().is_some_and(|count| count.min_values() == 0);
    if is_optional { format!("--{flag}[={name}]") } else { format!("--{flag} <{name}>") }
}

/// What the parser of a flag accepts.
fn values(arg: &Arg) -> String {
    let names: Vec<String> =
        arg.get_possible_values().iter().map(|value| format!("`{}`", value.get_name())).collect();
    let kind = flags::keys()[arg.get_id().as_str()];
    if let Some(measure) = of_measure(arg) {
        return measure.values();
    }
    if kind == ColumnType::Boolean {
        return "`true`, `false`".to_owned();
    }
    if !names.is_empty() {
        return names.join(", ");
    }
    let refused = match kind {
        ColumnType::Integer => "0",
        ColumnType::Double => "nan",
        ColumnType::Boolean | ColumnType::Text => "?",
    };
    let range = range(kind, refusal(arg, refused));
    if arg.get_value_delimiter().is_some() { format!("list: {range}") } else { range }
}

/// What a number or a text must be, by the message that refuses another one.
fn range(kind: ColumnType, refusal: Option<String>) -> String {
    let word = match kind {
        ColumnType::Integer => "whole number",
        ColumnType::Double => "number",
        ColumnType::Boolean | ColumnType::Text => "text",
    };
    let rule = refusal.unwrap_or_default();
    let rule = rule.split(", got ").next().unwrap_or_default();
    let rule = rule.strip_prefix("must be ").or_else(|| rule.strip_prefix("expected ")).unwrap_or_default();
    match rule.strip_prefix("a ") {
        Some(complete) => complete.to_owned(),
        None if rule.is_empty() => word.to_owned(),
        None => format!("{word}, {rule}"),
    }
}

/// Why the parser of a flag refuses a value, without the value; none if it accepts it.
fn refusal(arg: &Arg, value: &str) -> Option<String> {
    let flag = format!("--{}={value}", arg.get_long().unwrap_or_default());
    let error = flags::command().try_get_matches_from([flag]).err()?;
    let message = error.source()?.to_string();
    Some(message.split(", got ").next().unwrap_or_default().to_owned())
}

/// The default as TOML.
fn default(arg: &Arg) -> String {
    let key = arg.get_id().as_str();
    let texts: Vec<String> =
        arg.get_default_values().iter().map(|text| toml(&text.to_string_lossy())).collect();
    let Some(first) = texts.first() else { return "unset".to_owned() };
    let text = if arg.get_value_delimiter().is_some() {
        format!("[{}]", first.trim_matches('"'))
    } else {
        first.clone()
    };
    let defaults = Table::try_from(RunConfig::new(DatasetName::Digits, Architecture::Mlp)).unwrap();
    let is_in_optional_table =
        key.rsplit_once('.').is_some_and(|(table, _)| flags::lookup(&defaults, table).is_none());
    if is_in_optional_table { format!("(`{text}`)") } else { format!("`{text}`") }
}

/// A value that was typed on a command line.
fn toml(text: &str) -> String {
    text.parse::<Value>().map_or_else(|_| Value::from(text).to_string(), |value| value.to_string())
}

/// A measure besides λ_max: its main setting, its defaults, and why it refuses a value of a setting.
struct OfMeasure {
    name: &'static str,
    main: Option<&'static str>,
    defaults: Table,
    refusal: fn(&str, Value) -> Option<String>,
}

impl OfMeasure {
    fn values(&self) -> String {
        match self.main {
            Some(main) => format!("`true`, a value of `{main}`, or a table"),
            None => "`true`, `false`".to_owned(),
        }
    }
}

fn of_measure(arg: &Arg) -> Option<OfMeasure> {
    struct All(Vec<OfMeasure>);
    impl measures::Visitor for All {
        fn visit<M: Measure>(&mut self) {
            // Settings that are unset by default follow from the training.
            let training = RunConfig::new(DatasetName::Digits, Architecture::Mlp).training;
            let defaults = Table::try_from(M::default().filled(&training)).unwrap();
            let refusal = |setting: &str, value| {
                let table = Table::from_iter([(setting.to_owned(), value)]);
                let asked = BTreeMap::from([(M::NAME.to_owned(), Value::Table(table))]);
                measures::asked::<M>(&asked).err().map(|(_, problem)| problem)
            };
            self.0.push(OfMeasure { name: M::NAME, main: M::MAIN, defaults, refusal });
        }
    }
    let mut all = All(Vec::new());
    measures::each(&mut all);
    let name = arg.get_id().as_str().strip_prefix("measure.")?;
    all.0.into_iter().find(|measure| measure.name == name)
}

/// The settings of a measure, which share its flag.
fn rows_of_measure(arg: &Arg) -> Vec<Row> {
    let Some(OfMeasure { name, main, defaults, refusal }) = of_measure(arg) else { return Vec::new() };
    let row = |(setting, value): (&String, &Value)| {
        let key = format!("measure.{name}.{setting}");
        let is_main = main == Some(setting.as_str());
        let flag = if is_main { format!("`{}`", usage(arg)) } else { String::new() };
        let range = |kind, refused| range(kind, refusal(setting, refused));
        let values = match value {
            Value::Boolean(_) => "`true`, `false`".to_owned(),
            Value::Integer(_) => range(ColumnType::Integer, 0.into()),
            Value::Float(_) => range(ColumnType::Double, f64::NAN.into()),
            Value::Array(_) => format!("list: {}", range(ColumnType::Double, vec![f64::NAN].into())),
            _ => range(ColumnType::Text, "?".into()),
        };
        let meaning =
            format!("{} of `measure.{name}`", if is_main { "The main setting" } else { "A setting" });
        [format!("`{key}`"), flag, values, format!("(`{value}`)"), meaning]
    };
    defaults.iter().map(row).collect()
}
