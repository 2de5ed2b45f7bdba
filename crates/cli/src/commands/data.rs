//! `sharpness data`: lists, checks and downloads data sets.

use std::fmt::Write as _;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use serde::Serialize;
use sharpness_data::fetch::{self, FetchedFile, Progress as Download};
use sharpness_data::{Dataset, DatasetName, Established, Found, Locations, Verification, default_cache_dir};

use crate::args::dataset_parser;
use crate::exit::Exit;
use crate::output::{Align, Progress, Table, bytes, count, print, print_json};

/// What to do with data sets.
#[derive(Args, Debug)]
pub(super) struct DataCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand, Debug)]
enum Action {
    /// Show which data sets are found, and where they are searched for
    List(Places),
    /// Read data sets as training does, and check whether their files are the published ones
    #[command(after_help = CHECK_EXIT_CODES)]
    Check(CheckCommand),
    /// Download a data set from its official address
    Fetch(FetchCommand),
}

/// The exit codes of `data check`, for its help.
const CHECK_EXIT_CODES: &str = "\
Exit codes:
  0    every data set was read; the report says whether its files are the published ones
  1    a data set is missing or damaged
  2    the command line does not make sense";

#[derive(Args, Debug)]
struct Places {
    /// Look for data sets in this directory first
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,

    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

#[derive(Args, Debug)]
struct CheckCommand {
    /// The data sets [default: all that are found]
    #[arg(value_name = "NAME", value_parser = dataset_parser())]
    names: Vec<DatasetName>,

    #[command(flatten)]
    places: Places,
}

#[derive(Args, Debug)]
struct FetchCommand {
    /// The data set
    #[arg(value_name = "NAME", value_parser = dataset_parser())]
    name: DatasetName,

    /// Download the files from another server, which has them directly under this address
    #[arg(long, value_name = "URL")]
    base_url: Option<String>,

    /// Put the data set under this directory [default: the user's cache, where it is found again]
    #[arg(long, value_name = "DIR")]
    cache_dir: Option<PathBuf>,

    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

/// A data set that is now in the cache.
#[derive(Serialize)]
struct Fetched {
    name: DatasetName,
    files: Vec<FetchedEntry>,
}

/// One of its files.
#[derive(Serialize)]
struct FetchedEntry {
    path: String,
    /// Whether it was already there.
    was_present: bool,
}

/// A data set of a list.
#[derive(Serialize)]
struct Entry {
    name: DatasetName,
    /// Where it is; none if it was not found.
    place: Option<String>,
    /// The places that were searched without success.
    searched: Vec<String>,
}

/// A data set that was read.
#[derive(Serialize)]
struct Checked {
    name: DatasetName,
    train_examples: usize,
    test_examples: usize,
    #[serde(flatten)]
    verification: Verification,
}

/// Runs an action.
pub(super) fn run(command: DataCommand) -> Result<Exit> {
    match command.action {
        Action::List(places) => list(places),
        Action::Check(command) => check(command),
        Action::Fetch(command) => fetch(&command),
    }
}

fn list(places: Places) -> Result<Exit> {
    let locations = Locations::of_process(places.data_dir);
    let entries: Vec<Entry> = DatasetName::ALL.into_iter().map(|name| look_up(name, &locations)).collect();
    if places.json {
        print_json(&entries)?;
        return Ok(Exit::Done);
    }
    let columns = [("data set", Align::Left), ("images", Align::Right), ("place", Align::Left)];
    let mut table = Table::new(columns);
    for entry in &entries {
        let shape = entry.name.shape();
        let place = entry.place.clone().unwrap_or_else(|| "not found".to_owned());
        table.push([
            entry.name.to_string(),
            format!("{}x{}x{}", shape.channels, shape.height, shape.width),
            place,
        ]);
    }
    let mut text = table.render();
    for entry in entries.iter().filter(|entry| entry.place.is_none()) {
        let name = entry.name;
        // Writing to a string cannot fail.
        let _ = write!(text, "\n{name} was searched in\n  {}\n", entry.searched.join("\n  "));
        let _ = writeln!(text, "download it with: sharpness data fetch {name}");
    }
    print(&text)?;
    Ok(Exit::Done)
}

fn look_up(name: DatasetName, locations: &Locations) -> Entry {
    let (place, searched) = match locations.find(name) {
        Ok(Found::Embedded) => (Some("in the program".to_owned()), Vec::new()),
        Ok(Found::Idx(files)) => {
            let folder = files.train_images.parent().unwrap_or(&files.train_images);
            (Some(folder.display().to_string()), Vec::new())
        }
        Ok(Found::Cifar10Folder(place, _) | Found::Cifar10Archive(place, _)) => {
            (Some(place.display().to_string()), Vec::new())
        }
        Err(sharpness_data::Error::DatasetNotFound { searched, .. }) => {
            (None, searched.iter().map(ToString::to_string).collect())
        }
        Err(error) => (None, vec![error.to_string()]),
    };
    Entry { name, place, searched }
}

fn check(command: CheckCommand) -> Result<Exit> {
    let locations = Locations::of_process(command.places.data_dir);
    let names = if command.names.is_empty() {
        DatasetName::ALL.into_iter().filter(|&name| locations.find(name).is_ok()).collect()
    } else {
        command.names
    };
    let mut checked = Vec::with_capacity(names.len());
    for name in names {
        let found = locations.find(name)?;
        let dataset = Dataset::read(name, &found)?;
        let (train_examples, test_examples) = (dataset.train().len(), dataset.test().len());
        let verification = dataset.verify(&found)?;
        checked.push(Checked { name, train_examples, test_examples, verification });
    }
    if command.places.json {
        print_json(&checked)?;
        return Ok(Exit::Done);
    }
    let columns =
        [("data set", Align::Left), ("train", Align::Right), ("test", Align::Right), ("", Align::Left)];
    let mut table = Table::new(columns);
    for entry in &checked {
        let [train, test] = [entry.train_examples, entry.test_examples].map(count);
        table.push([
            entry.name.to_string(),
            train,
            test,
            established(entry.verification.established).to_owned(),
        ]);
    }
    let mut text = table.render();
    for entry in checked.iter().filter(|entry| entry.verification.established == Established::WellFormed) {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "\n{}: files that are not the published ones", entry.name);
        for file in entry.verification.files.iter().filter(|file| !file.is_published()) {
            let copy = file.copy_of.as_ref().map(|of| format!(", a copy of {of}")).unwrap_or_default();
            let _ = writeln!(text, "  {}{copy}", file.file.display());
        }
    }
    print(&text)?;
    Ok(Exit::Done)
}

fn established(established: Established) -> &'static str {
    match established {
        Established::Embedded => "part of the program",
        Established::PublishedFiles => "the published files",
        Established::PublishedExamples => {
            "well-formed, but not the published files: the published examples in another order or format"
        }
        Established::WellFormed => "well-formed, but not the published files",
    }
}

fn fetch(command: &FetchCommand) -> Result<Exit> {
    let name = command.name;
    let cache_dir = command.cache_dir.clone().or_else(default_cache_dir).context(
        "there is no cache directory, because the user has no home directory; name one with --cache-dir DIR",
    )?;
    let mut bar = Progress::new("{msg} {wide_bar} of {binary_total_bytes}, {eta} left");
    let mut progress = |download: Download<'_>| {
        let total_bytes = download.total_bytes.unwrap_or(download.done_bytes);
        let done = bytes(usize::try_from(download.done_bytes).unwrap_or(usize::MAX));
        bar.update(download.done_bytes, total_bytes, || format!("{}: {done}", download.file));
    };
    let fetched = fetch::fetch(name, command.base_url.as_deref(), &cache_dir, &mut progress);
    drop(bar);
    let entry =
        |FetchedFile { path, was_present }| FetchedEntry { path: path.display().to_string(), was_present };
    let files: Vec<FetchedEntry> = fetched?.into_iter().map(entry).collect();
    if command.json {
        print_json(&Fetched { name, files })?;
        return Ok(Exit::Done);
    }
    let mut text = String::new();
    for FetchedEntry { path, was_present } in files {
        let what = if was_present { "was there" } else { "downloaded" };
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{what}  {path}");
    }
    let _ = match &command.cache_dir {
        Some(folder) => writeln!(text, "use it with: --dataset {name} --data-dir {}", folder.display()),
        None => writeln!(text, "use it with: --dataset {name}"),
    };
    print(&text)?;
    Ok(Exit::Done)
}
