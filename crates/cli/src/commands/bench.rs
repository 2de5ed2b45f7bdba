//! `sharpness bench`: times training and measuring on this machine.

use std::cell::RefCell;
use std::io::{BufRead as _, stdin};
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::Args;
use serde::Serialize;
use sharpness_data::{Dataset, DatasetName, Locations, Standardized};
use sharpness_network::Weights;
use sharpness_network::architectures::Architecture;
use sharpness_network::backend::Backend;
use sharpness_training::bench::{Again, Bench, Computed, Repetition, Task};
use sharpness_training::settings::{ALL_EXAMPLES, RunConfig};
use sharpness_training::{Engine, Error, Visitor, training_bytes, with_shared_engine};

use crate::args::{MachineArgs, RunScope, SettingFlags, one_of, start_threads};
use crate::exit::{EXIT_CODES, Exit, Usage, is_stopped};
use crate::interrupt::Interrupt;
use crate::measuring::Bar;
use crate::output::{Align, Progress, Table, count, line, note, print, print_json, significant, with_error};
use crate::ranks;
use crate::settings::{check, configuration, fit_examples, fit_micro_batch};

/// What is timed, with the flags of `train` and `measure`.
#[derive(Args, Debug)]
#[command(after_help = EXIT_CODES)]
pub(super) struct BenchCommand {
    #[command(flatten)]
    bench: BenchArgs,
    #[command(flatten)]
    settings: SettingFlags<RunScope>,
    #[command(flatten)]
    machine: MachineArgs,

    /// Look for data sets in this directory first
    #[arg(long, value_name = "DIR", help_heading = "Data")]
    data_dir: Option<PathBuf>,

    /// Print one JSON document
    #[arg(long, conflicts_with = "interactive")]
    json: bool,
}

/// What is timed, and how often.
#[derive(Args, Debug)]
#[command(next_help_heading = "Bench")]
struct BenchArgs {
    /// What to time [default: step,hvp,lambda-max-residual,lambda-max]
    #[arg(long, value_name = "TASK,TASK,...", value_delimiter = ',', value_parser = one_of(Task::ALL.map(|task| (task.as_str(), task))))]
    only: Vec<Task>,

    /// Repetitions of each task, after a warm-up
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    repetitions: u32,

    /// Use random images of the data set's size, which needs none of its files
    #[arg(long)]
    random: bool,

    /// A safetensors file with PyTorch's names [default: a new network's weights]
    #[arg(long, value_name = "FILE")]
    weights: Option<PathBuf>,

    /// Run the task of --only once for each line on standard input, and print a line of JSON each time
    #[arg(long)]
    interactive: bool,
}

/// All timings; the document of `--json`.
#[derive(Serialize)]
struct Document {
    arch: Architecture,
    dataset: DatasetName,
    random: bool,
    parameters: usize,
    precision: String,
    /// The processes that shared the work.
    ranks: usize,
    /// The threads of each.
    threads: usize,
    batch_size: usize,
    tasks: Vec<Timed>,
}

/// One task.
#[derive(Serialize)]
struct Timed {
    task: Task,
    repetitions: usize,
    median_seconds: f64,
    lowest_seconds: f64,
    highest_seconds: f64,
    /// The mean of what the first process spent on exchanging vectors with others; absent if there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    exchange_seconds: Option<f64>,
    /// Of the last repetition.
    #[serde(flatten)]
    computed: Computed,
}

/// Times and reports.
pub(super) fn run(command: &BenchCommand) -> Result<Exit> {
    let interrupt = Interrupt::listen()?;
    start_threads(command.machine.threads)?;
    let tasks = command.tasks()?;
    let mut config = command.config()?;
    let dataset = command.dataset(&config)?;
    check(&config, &dataset, None)?;
    let available = config.data.train_examples.unwrap_or(dataset.train().len());
    let is_asked = command.settings.has("measure.examples") && config.measure.examples != ALL_EXAMPLES;
    if let Some(text) = fit_examples(&mut config.measure, available, is_asked, None)? {
        note(&text);
    }
    let data = Standardized::new(dataset, config.data.standardize);
    let work = Run { command, config: &config, data: &data, tasks: &tasks, interrupt: &interrupt };
    ranks::check_work(&config, data.dataset().train().labels())?;
    match with_shared_engine(&config, &ranks::ranks(), work)? {
        Err(error) if is_stopped(&error) => {
            note("stopped; there is no result");
            Ok(Exit::Interrupted)
        }
        done => done.map(|()| Exit::Done),
    }
}

/// Times the tasks on an engine.
struct Run<'a> {
    command: &'a BenchCommand,
    config: &'a RunConfig,
    data: &'a Standardized,
    tasks: &'a [Task],
    interrupt: &'a Interrupt,
}

impl Visitor for Run<'_> {
    type Output = Result<()>;

    fn visit<B: Backend>(self, engine: &Engine<B>) -> Result<()> {
        let Self { command, config, data, tasks, interrupt } = self;
        let network = &engine.network;
        let budget = command.machine.memory.budget().less(config.data.name.bytes());
        budget.left(training_bytes(network, config, false))?;
        let weights = match &command.bench.weights {
            Some(path) => Weights::read(path, network, config.model.arch.name())?,
            None => Weights::initial(network, config.seed),
        };
        let watcher = Bar::new(interrupt);
        let bench = Bench { engine, data, weights: &weights, config, budget, watcher: &watcher };
        if let (true, &[task]) = (command.bench.interactive, tasks) {
            return bench.prepare(task, |again| converse(task, again));
        }
        let timed =
            |&task: &Task| bench.prepare(task, |again| command.repeat(task, again, watcher.bar(), interrupt));
        let document = Document {
            arch: config.model.arch,
            dataset: config.data.name,
            random: command.bench.random,
            parameters: network.parameters().len(),
            precision: network.backend().precision().to_owned(),
            ranks: ranks::ranks().size(),
            threads: rayon::current_num_threads(),
            batch_size: config.training.batch_size,
            tasks: tasks.iter().map(timed).collect::<Result<_>>()?,
        };
        drop(watcher);
        if command.json { print_json(&document) } else { print(&text(&document)) }
    }
}

impl BenchCommand {
    /// The tasks, each once, the shortest first.
    fn tasks(&self) -> Result<Vec<Task>> {
        let mut tasks = match self.bench.only.as_slice() {
            [] => vec![Task::Step, Task::Hvp, Task::LambdaMaxResidual, Task::LambdaMax],
            asked => asked.to_vec(),
        };
        tasks.sort_unstable();
        tasks.dedup();
        if self.bench.interactive && ranks::ranks().size() > 1 {
            let message = "--interactive reads standard input, which only one process has".to_owned();
            return Err(Usage::new(message).into());
        }
        if self.bench.interactive && tasks.len() > 1 {
            let names = Task::ALL.map(Task::as_str).join(", ");
            let message = format!("--interactive runs one task; name it with --only: {names}");
            return Err(Usage::new(message).into());
        }
        Ok(tasks)
    }

    /// The defaults, overlaid with the flags.
    fn config(&self) -> Result<RunConfig> {
        if !self.settings.has("data.name") && self.settings.has("model.arch") {
            let names = DatasetName::ALL.map(DatasetName::as_str).join(", ");
            let message = format!(
                "name the data set with --dataset, one of {names}; with --random, only its size matters"
            );
            return Err(Usage::new(message).into());
        }
        let base = RunConfig::new(DatasetName::Digits, Architecture::Mlp);
        let mut config = configuration(&base, None, &self.settings.table)?;
        fit_micro_batch(&mut config.training, self.settings.has("training.micro_batch_size"))?;
        Ok(config)
    }

    /// The examples; if random, as many as the tasks need.
    fn dataset(&self, config: &RunConfig) -> Result<Dataset> {
        if self.bench.random {
            let measured = config.measure.examples.min(config.data.name.train_examples());
            let needed = config.training.batch_size.max(measured);
            let examples = config.data.train_examples.unwrap_or(needed);
            return Ok(Dataset::random(config.data.name, examples, config.seed));
        }
        Ok(Dataset::load(config.data.name, &Locations::of_process(self.data_dir.clone()))?)
    }

    /// All repetitions of a task, after a warm-up that fills caches and buffers.
    fn repeat(
        &self,
        task: Task,
        again: &mut Again<'_>,
        bar: &RefCell<Progress>,
        interrupt: &Interrupt,
    ) -> Result<Timed> {
        let total = self.bench.repetitions;
        let mut seconds = Vec::new();
        let mut last = again()?.computed;
        let before = ranks::exchange_time();
        for repetition in 1..=total {
            if ranks::ranks().any(interrupt.is_raised()) {
                return Err(Error::MeasureStopped.into());
            }
            bar.borrow_mut().update(u64::from(repetition), u64::from(total), || {
                format!("timing {}: repetition {repetition} of {total}", task.as_str())
            });
            let Repetition { seconds: time, computed } = again()?;
            seconds.push(time);
            last = computed;
        }
        let exchange = (ranks::exchange_time() - before).as_secs_f64() / f64::from(total);
        seconds.sort_unstable_by(f64::total_cmp);
        Ok(Timed {
            task,
            repetitions: seconds.len(),
            median_seconds: f64::midpoint(seconds[(seconds.len() - 1) / 2], seconds[seconds.len() / 2]),
            lowest_seconds: seconds[0],
            highest_seconds: seconds[seconds.len() - 1],
            exchange_seconds: (ranks::ranks().size() > 1).then_some(exchange),
            computed: last,
        })
    }
}

/// Prints a line when everything is prepared, then runs the task once for each line on standard input.
fn converse(task: Task, again: &mut Again<'_>) -> Result<()> {
    /// The first line.
    #[derive(Serialize)]
    struct Ready {
        ready: Task,
    }
    let line = |json: serde_json::Result<String>| -> Result<()> {
        print(&format!("{}\n", json.context("cannot write the result as JSON")?))
    };
    line(serde_json::to_string(&Ready { ready: task }))?;
    for request in stdin().lock().lines() {
        request.context("cannot read from standard input")?;
        line(serde_json::to_string(&again()?))?;
    }
    Ok(())
}

fn text(document: &Document) -> String {
    let mut text = String::new();
    let images = if document.random { "random images like those of" } else { "the images of" };
    line(&mut text, "network", &format!("{} on {images} {}", document.arch.name(), document.dataset));
    let (threads, parameters) = (document.threads, count(document.parameters));
    let threads = if threads == 1 { "1 thread".to_owned() } else { format!("{threads} threads") };
    let ranks =
        if document.ranks > 1 { format!(" in each of {} processes", document.ranks) } else { String::new() };
    let engine = format!("{parameters} parameters in {}, {threads}{ranks}", document.precision);
    line(&mut text, "engine", &engine);
    text.push('\n');
    let columns = [
        ("task", Align::Left),
        ("examples", Align::Right),
        ("median ms", Align::Right),
        ("lowest", Align::Right),
        ("highest", Align::Right),
        ("result", Align::Left),
    ];
    let mut table = Table::new(columns);
    for timed in &document.tasks {
        let ms = |seconds: f64| significant(1e3 * seconds, 4);
        let (examples, result) = result(&timed.computed);
        let times = [timed.median_seconds, timed.lowest_seconds, timed.highest_seconds].map(ms);
        let [median, lowest, highest] = times;
        table.push([timed.task.as_str().to_owned(), count(examples), median, lowest, highest, result]);
    }
    text.push_str(&table.render());
    text
}

/// How many examples a task saw, and what it found.
fn result(computed: &Computed) -> (usize, String) {
    let linearized = |chunks: usize, cached: usize| format!("{cached} of {chunks} chunks linearized");
    match *computed {
        Computed::Training { examples, loss } => (examples, format!("loss {}", significant(loss, 4))),
        Computed::Product { examples, curvature, chunks, cached_chunks, .. } => {
            let curvature = significant(curvature, 4);
            (
                examples,
                format!("curvature along the gradient {curvature}, {}", linearized(chunks, cached_chunks)),
            )
        }
        Computed::LambdaMax {
            examples, value, residual, products, certified, chunks, cached_chunks, ..
        } => {
            let value = if certified {
                with_error(value, residual)
            } else {
                format!("≥ {}", significant(value, 4))
            };
            (examples, format!("{value}, {products} products, {}", linearized(chunks, cached_chunks)))
        }
    }
}
