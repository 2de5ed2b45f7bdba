//! `sharpness runs`: lists, shows, compares, exports and tracks the runs of a store.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::{Args, Subcommand, ValueEnum};
use serde::Serialize;
use serde_json::Value;
use sharpness_runs::{
    Column, EpochTable, Provenance, Report, RunLayout, RunStatus, RunStore, RunTable, Start, TrackerTarget,
    differences,
};

use super::choice::Choice;
use super::report_text::report_text;
use super::status_word::status_word;
use super::track;
use crate::exit::{EXIT_CODES, Exit, Usage};
use crate::output::{
    Align, Table, duration_secs, line, note, percent, plural, print, print_bytes, print_json, significant,
};

/// The runs of a store.
#[derive(Args, Debug)]
#[command(after_help = EXIT_CODES)]
pub(super) struct RunsCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand, Debug)]
enum Action {
    /// List the runs
    List {
        #[command(flatten)]
        choice: Choice,
        /// Print one JSON document
        #[arg(long)]
        json: bool,
    },
    /// Show a finished run, its settings, results and provenance
    Show {
        /// The run: its name, or the start of it
        run: String,
        /// The store
        #[arg(long, value_name = "DIR", default_value = "runs")]
        store: PathBuf,
        /// Print one JSON document
        #[arg(long)]
        json: bool,
    },
    /// Show how two runs differ
    Compare {
        /// The runs: their names, or the starts of them
        #[arg(num_args = 2)]
        runs: Vec<String>,
        /// The store
        #[arg(long, value_name = "DIR", default_value = "runs")]
        store: PathBuf,
        /// Print one JSON document
        #[arg(long)]
        json: bool,
    },
    /// Write the finished runs as a table, with all settings and results
    Export {
        #[command(flatten)]
        choice: Choice,
        /// Write the epochs of the runs instead, one row each: the losses and accuracies through training
        #[arg(long)]
        epochs: bool,
        /// The format
        #[arg(long, value_name = "FORMAT", value_enum, default_value_t = Format::Csv)]
        format: Format,
        /// Print one JSON document, as --format json does
        #[arg(long, conflicts_with = "format")]
        json: bool,
    },
    /// Add the runs of tables written by `runs export` to a store: a sweep then skips them. Their weights are not in a table
    Import {
        /// The tables (CSV or Parquet)
        #[arg(required = true, value_name = "FILE")]
        tables: Vec<PathBuf>,
        /// A table of their epochs, written by `runs export --epochs`; repeatable
        #[arg(long, value_name = "FILE")]
        epochs: Vec<PathBuf>,
        /// The store
        #[arg(long, value_name = "DIR", default_value = "runs")]
        store: PathBuf,
        /// Print one JSON document
        #[arg(long)]
        json: bool,
    },
    /// Show the finished runs in TensorBoard (tensorboard=DIR) or MLflow (mlflow=URL#EXPERIMENT); can be repeated at any time
    Track {
        /// The trackers
        #[arg(required = true, value_name = "TRACKER=PLACE", value_parser = str::parse::<TrackerTarget>)]
        targets: Vec<TrackerTarget>,
        #[command(flatten)]
        choice: Choice,
        /// Print one JSON document
        #[arg(long)]
        json: bool,
    },
}

/// A run and its provenance.
#[derive(Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    report: &'a Report,
    provenance: &'a Provenance,
}

/// Two runs, and the settings that differ, each with both values.
#[derive(Serialize)]
struct Compared<'a> {
    settings: Vec<String>,
    runs: [&'a Report; 2],
}

/// How a table is written.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    /// Comma-separated values with a line of names
    Csv,
    /// A list of objects
    Json,
    /// A Parquet file, with typed columns
    Parquet,
}

/// Runs the action.
pub(super) fn run(command: RunsCommand) -> Result<Exit> {
    match command.action {
        Action::List { choice, json } => list(&choice, json)?,
        Action::Show { run, store, json } => {
            let store = RunStore::existing(store)?;
            let (report, layout) = done(&store, &run)?;
            let provenance = Provenance::read(&layout.provenance()).unwrap_or_else(|error| {
                note(&format!("{} is shown without what made it: {error}", report.id));
                Provenance::default()
            });
            if json {
                print_json(&Shown { report: &report, provenance: &provenance })?;
            } else {
                print(&format!("{}{}", report_text(&report), provenance_text(&provenance)))?;
            }
        }
        Action::Compare { runs, store, json } => {
            let store = RunStore::existing(store)?;
            let found = runs.iter().map(|run| done(&store, run)).collect::<Result<Vec<_>>>()?;
            if let [(a, _), (b, _)] = &found[..] {
                let compared = Compared { settings: differences(&a.config, &b.config)?, runs: [a, b] };
                if json { print_json(&compared)? } else { print(&comparison(&compared))? }
            }
        }
        Action::Export { choice, epochs, format, json } => {
            let format = if json { Format::Json } else { format };
            if epochs { export_epochs(&choice, format)? } else { export_runs(&choice, format)? }
        }
        Action::Import { tables, epochs, store, json } => {
            import(&tables, &epochs, &RunStore::new(store), json)?;
        }
        Action::Track { targets, choice, json } => {
            let (store, reports) = (RunStore::existing(choice.store())?, choice.reports()?);
            return track::run(&targets, (&store, &reports), json);
        }
    }
    Ok(Exit::Done)
}

fn list(choice: &Choice, json: bool) -> Result<()> {
    if json {
        return print_json(&choice.reports()?);
    }
    let (reports, others) = choice.runs()?;
    let mut table = Table::new([
        ("run", Align::Left),
        ("network", Align::Left),
        ("data", Align::Left),
        ("learning rate", Align::Right),
        ("batch size", Align::Right),
        ("seed", Align::Right),
        ("epochs", Align::Right),
        ("test accuracy", Align::Right),
        ("λ_max", Align::Right),
        ("time", Align::Right),
    ]);
    for Report { id, config, training, measurement, .. } in &reports {
        let lambda = measurement.as_ref().map(|measured| significant(measured.lambda_max.value, 4));
        table.push([
            id.clone(),
            config.model.arch.name().to_owned(),
            config.data.name.to_string(),
            config.training.learning_rate.to_string(),
            config.training.batch_size.to_string(),
            config.seed.to_string(),
            training.epochs.to_string(),
            training.test_accuracy.map_or_else(String::new, percent),
            lambda.unwrap_or_else(|| format!("{:?}", training.outcome).to_lowercase()),
            duration_secs(training.seconds),
        ]);
    }
    let mut text = if reports.is_empty() { String::new() } else { table.render() };
    for (id, status) in others.iter().filter(|_| !choice.is_filtered()) {
        let more = match status {
            RunStatus::Started(epochs) => format!(", {} so far", plural(*epochs as usize, "epoch")),
            RunStatus::Failed(problem) | RunStatus::Damaged(problem) => format!(": {problem}"),
            RunStatus::Running => {
                let holder = RunStore::new(choice.store()).holder(id);
                holder.map_or_else(String::new, |holder| format!(", {holder}"))
            }
            _ => String::new(),
        };
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{id}  {}{more}", status_word(status));
    }
    print(&text)
}

/// The report and the directory of the only run whose name, or whose training's name, begins with `start`.
fn done(store: &RunStore, start: &str) -> Result<(Report, RunLayout)> {
    let place = store.dir().display();
    let (mut meant, mut unfinished, mut damaged) = (Vec::new(), Vec::new(), None);
    for id in store.trainings()? {
        let (found, layout) = (store.reports(&id), store.training(&id));
        let is_of_directory = id.starts_with(start);
        if found.is_empty() && is_of_directory {
            unfinished.push(id);
        }
        for report in found {
            match report {
                Ok(report) if is_of_directory || report.id.starts_with(start) => {
                    meant.push((report, layout.clone()));
                }
                Err(error) if is_of_directory || has_measurement(&layout, start) => damaged = Some(error),
                _ => {}
            }
        }
    }
    match (&meant[..], &unfinished[..], damaged) {
        ([only], [], _) => Ok(only.clone()),
        ([], [], Some(damage)) => Err(damage.into()),
        ([], [id], _) => Err(Usage::new(format!("the run {id} in {place} is not done yet")).into()),
        ([], [], None) => Err(Usage::new(format!(
            "no run in {place} begins with '{start}'; list them with `sharpness runs list`"
        ))
        .into()),
        (several, unfinished, _) => {
            let names = several.iter().map(|(report, _)| &report.id).chain(unfinished);
            let names = names.map(String::as_str).collect::<Vec<_>>().join(", ");
            Err(Usage::new(format!("several runs in {place} begin with '{start}': {names}")).into())
        }
    }
}

/// Whether a training has a measurement whose name begins with `start`, readable or not.
fn has_measurement(layout: &RunLayout, start: &str) -> bool {
    let entries = std::fs::read_dir(layout.measurements()).into_iter().flatten().flatten();
    entries.into_iter().any(|entry| entry.file_name().to_string_lossy().starts_with(start))
}

/// The provenance of a run: two lines for each start.
fn provenance_text(provenance: &Provenance) -> String {
    let mut text = String::new();
    for start in &provenance.starts {
        let Start { version, commit, command, host, processor, instruction_set, threads, backend, .. } =
            start;
        let commit = commit.as_ref().map_or_else(String::new, |commit| format!(" ({commit:.12})"));
        let place = [host, processor].into_iter().flatten().cloned().collect::<Vec<_>>().join(", ");
        let threads = plural(*threads, "thread");
        line(&mut text, "made by", &format!("sharpness {version}{commit} on {place}"));
        line(&mut text, "", &format!("{backend}, {instruction_set}, {threads}: {}", command.join(" ")));
    }
    text
}

fn comparison(Compared { settings, runs: [a, b] }: &Compared<'_>) -> String {
    let mut text = String::new();
    line(&mut text, "runs", &format!("{} and {}", a.id, b.id));
    line(&mut text, "settings", if settings.is_empty() { "the same" } else { "" });
    for difference in settings {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "  {difference}");
    }
    let mut table = Table::new([
        ("result", Align::Left),
        ("first", Align::Right),
        ("second", Align::Right),
        ("difference", Align::Right),
    ]);
    let lambda = |report: &Report| report.measurement.as_ref().map(|measured| measured.lambda_max.value);
    for (name, a, b) in [
        ("test accuracy", a.training.test_accuracy, b.training.test_accuracy),
        ("train loss", a.training.train_loss, b.training.train_loss),
        ("epochs", Some(f64::from(a.training.epochs)), Some(f64::from(b.training.epochs))),
        ("λ_max", lambda(a), lambda(b)),
    ] {
        let shown = |value: Option<f64>| value.map_or_else(String::new, |value| significant(value, 5));
        let difference = a.zip(b).map(|(a, b)| b - a);
        table.push([name.to_owned(), shown(a), shown(b), shown(difference)]);
    }
    let _ = write!(text, "\n{}", table.render());
    text
}

/// What became of the runs of tables.
#[derive(Serialize)]
struct Imported {
    imported: usize,
    known: usize,
}

fn import(tables: &[PathBuf], epochs: &[PathBuf], store: &RunStore, json: bool) -> Result<()> {
    let mut counts = Imported { imported: 0, known: 0 };
    let mut trainings = BTreeMap::new();
    for path in epochs {
        let failed = || format!("cannot import {}", path.display());
        trainings.extend(EpochTable::read(path)?.epochs().with_context(failed)?);
    }
    for path in tables {
        let table = RunTable::read(path)?;
        let failed = || format!("cannot import {}", path.display());
        for (report, start) in table.reports().with_context(failed)?.iter().zip(table.starts()) {
            let epochs = trainings.get(&report.training_id).map_or(&[][..], Vec::as_slice);
            let is_new = store.import(report, start.as_ref(), epochs).with_context(failed)?;
            *(if is_new { &mut counts.imported } else { &mut counts.known }) += 1;
        }
    }
    if json {
        return print_json(&counts);
    }
    let mut text = String::new();
    line(&mut text, "imported", &plural(counts.imported, "run"));
    line(&mut text, "known", &plural(counts.known, "run"));
    print(&text)
}

fn export_runs(choice: &Choice, format: Format) -> Result<()> {
    let mut table = RunTable::default();
    let store = RunStore::existing(choice.store())?;
    for report in choice.reports()? {
        let provenance = Provenance::read(&store.training(&report.training_id).provenance());
        let starts = provenance.map(|provenance| provenance.starts).unwrap_or_default();
        if let Err(error) = table.push(&report, starts.last()) {
            note(&format!("{} is left out: {error}", report.id));
        }
    }
    print_table(RunTable::columns(), &table.rows, format, || table.parquet())
}

fn export_epochs(choice: &Choice, format: Format) -> Result<()> {
    let mut table = EpochTable::default();
    let store = RunStore::existing(choice.store())?;
    let trainings: BTreeSet<String> =
        choice.reports()?.into_iter().map(|report| report.training_id).collect();
    for id in trainings {
        let epochs = store.epochs(&id)?;
        if let Some(damage) = &epochs.damage {
            note(&format!("only {} of {id}: {damage}", plural(epochs.metrics.len(), "epoch")));
        }
        table.push(&id, &epochs.metrics)?;
    }
    print_table(EpochTable::columns(), &table.rows, format, || table.parquet())
}

fn print_table(
    columns: &[Column],
    rows: &[Vec<Value>],
    format: Format,
    parquet: impl FnOnce() -> sharpness_runs::Result<Vec<u8>>,
) -> Result<()> {
    match format {
        Format::Parquet => print_bytes(&parquet()?),
        Format::Json => {
            let object = |row: &Vec<Value>| -> Value {
                let cells = columns.iter().zip(row);
                cells.map(|((name, _), cell)| (name.clone(), cell.clone())).collect()
            };
            print_json(&rows.iter().map(object).collect::<Vec<_>>())
        }
        Format::Csv => {
            let mut writer = csv::Writer::from_writer(Vec::new());
            writer.write_record(columns.iter().map(|(name, _)| name))?;
            for row in rows {
                writer.write_record(row.iter().map(cell))?;
            }
            let bytes = writer.into_inner().context("cannot write the table")?;
            print(&String::from_utf8_lossy(&bytes))
        }
    }
}

/// A cell of a text table.
fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
