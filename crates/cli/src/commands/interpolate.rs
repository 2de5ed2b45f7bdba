//! `sharpness interpolate`: loss and accuracy between the weights of two runs.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Instant;

use anyhow::Result;
use clap::Args;
use serde::Serialize;
use sharpness_data::{DatasetName, Standardization};
use sharpness_network::Imported;
use sharpness_network::architectures::Architecture;
use sharpness_network::backend::Backend;
use sharpness_runs::PointJournal;
use sharpness_study::figures::{NamedPath, interpolation_table, interpolation_view};
use sharpness_training::landscape::{
    Barrier, BetweenEnds, CurveSettings, CurveState, Path as Points, PathPoint, Values, barrier, bezier,
    places, segment, train_curve,
};
use sharpness_training::measures::Subject;
use sharpness_training::settings::RunConfig;
use sharpness_training::{Engine, Visitor, trained_examples, with_engine};

use crate::args::{BetweenScope, WeightsArgs};
use crate::exit::{EXIT_CODES, Exit, Usage, is_stopped};
use crate::given_weights::{MeasuredOn, Prepared, settings_of};
use crate::interrupt::Interrupt;
use crate::measuring::Bar;
use crate::output::{count, line, note, percent, print, print_json, significant, time_left};
use crate::points;

/// Two weights, the path, and where the result goes.
#[derive(Args, Debug)]
#[command(after_help = EXIT_CODES)]
pub(super) struct InterpolateCommand {
    /// The first weights, at t = 0: the directory of a run, or a safetensors file with PyTorch's names
    #[arg(value_name = "RUN_A")]
    from: PathBuf,

    /// The second weights, at t = 1
    #[arg(value_name = "RUN_B")]
    to: PathBuf,

    #[command(flatten)]
    on: MeasuredOn<BetweenScope>,

    #[command(flatten)]
    path: PathArgs,

    /// Write table (CSV), numbers (JSON), picture (SVG and PNG), an interactive page (HTML) and the middle of a curve
    /// (safetensors) into this directory; a command that was stopped resumes there
    #[arg(long, value_name = "DIR", default_value = "interpolation")]
    out: PathBuf,

    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

/// The way between the weights.
#[derive(Args, Debug)]
#[command(next_help_heading = "Path")]
struct PathArgs {
    /// Evenly spaced points; t = 0 and t = 1 are added if they are not among them
    #[arg(long, value_name = "N", default_value_t = 31)]
    points: usize,

    /// The first and the last t
    #[arg(long, value_name = "FIRST,LAST", allow_hyphen_values = true, default_value = "-0.25,1.25")]
    range: Ends,

    /// Also train a quadratic Bézier curve of low loss between the weights (Garipov et al. 2018)
    #[arg(long)]
    curve: bool,

    /// Steps of SGD with momentum 0.9 that train the curve; --seed draws places and batches
    #[arg(long, value_name = "N", default_value_t = 2000, requires = "curve")]
    curve_steps: usize,

    /// The learning rate of the first half of these steps; it then falls linearly to a hundredth
    #[arg(
        long,
        value_name = "ETA",
        allow_negative_numbers = true,
        default_value_t = 0.015,
        requires = "curve"
    )]
    curve_lr: f64,

    /// Examples of a batch of these steps
    #[arg(long, value_name = "N", default_value_t = 128, requires = "curve")]
    curve_batch_size: usize,
}

/// Two numbers.
#[derive(Clone, Copy, Debug, Serialize)]
struct Ends {
    first: f64,
    last: f64,
}

impl FromStr for Ends {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let numbers = text.split_once(',').and_then(|(first, last)| {
            Some(Self { first: first.trim().parse().ok()?, last: last.trim().parse().ok()? })
        });
        let fits =
            |ends: &Self| ends.first <= 0.0 && ends.last >= 1.0 && (ends.last - ends.first).is_finite();
        numbers.filter(fits).ok_or("write two numbers around 0 and 1, such as -0.25,1.25")
    }
}

/// The JSON document: the weights, and the loss between them.
#[derive(Serialize)]
struct Document {
    arch: Architecture,
    dataset: DatasetName,
    standardize: Standardization,
    from: String,
    to: String,
    seed: u64,
    #[serde(flatten)]
    found: Found,
}

/// Loss and accuracy on paths between the weights.
#[derive(Serialize)]
struct Found {
    /// The Euclidean distance of the parameters.
    distance: f64,
    /// The number of measured training examples.
    examples: usize,
    /// The statistics of batch norm for the training examples: `none` or `batch`.
    batch_norm: &'static str,
    /// Examples that share them.
    batch_norm_chunk: Option<usize>,
    /// The statistics of batch norm for the test set: `none`, or `re-estimated` from the measured examples at every point.
    test_batch_norm: &'static str,
    precision: String,
    segment: Sampled,
    #[serde(skip_serializing_if = "Option::is_none")]
    curve: Option<Curve>,
}

/// A path at its points.
#[derive(Serialize)]
struct Sampled {
    /// Of the loss on the measured training examples.
    train_barrier: Barrier,
    /// Of the loss on the test set.
    test_barrier: Barrier,
    points: Vec<PathPoint>,
}

/// A trained curve.
#[derive(Serialize)]
struct Curve {
    #[serde(flatten)]
    settings: CurveSettings,
    #[serde(flatten)]
    sampled: Sampled,
}

/// The document with its files.
#[derive(Serialize)]
struct Printed<'a> {
    #[serde(flatten)]
    document: &'a Document,
    files: &'a [String],
}

/// Computes, writes and reports.
pub(super) fn run(command: &InterpolateCommand) -> Result<Exit> {
    command.check()?;
    let run = [&command.from, &command.to].into_iter().find(|path| path.is_dir());
    let prepared = command.on.prepare(run.map(PathBuf::as_path), false)?;
    let config = &prepared.config;
    command.check_runs(config)?;
    let found = match with_engine(config, Compute { command, prepared: &prepared })? {
        Err(error) if is_stopped(&error) => {
            note(&format!("stopped; the same command resumes in {}", command.out.display()));
            return Ok(Exit::Interrupted);
        }
        found => found?,
    };
    let [from, to] = [&command.from, &command.to].map(|path| path.display().to_string());
    let (arch, dataset, standardize) = (config.model.arch, config.data.name, config.data.standardize);
    let document = Document { arch, dataset, standardize, from, to, seed: config.seed, found };
    let paths = document.found.paths();
    let title = format!("The loss of {} on {dataset} from {} to {}", arch.name(), document.from, document.to);
    let view = interpolation_view(&title, document.found.notes(), &paths);
    let text = format!("{}\n", serde_json::to_string_pretty(&document)?);
    let files = view.write(&command.out, "interpolation", &interpolation_table(&paths)?, &text)?;
    let files: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
    if command.json {
        print_json(&Printed { document: &document, files: &files })?;
    } else {
        print(&summary(&document, &files))?;
    }
    Ok(Exit::Done)
}

impl InterpolateCommand {
    fn check(&self) -> Result<()> {
        self.on.check_single()?;
        if !(3..=100_000).contains(&self.path.points) {
            let message = format!("--points must be from 3 to 100000, got {}", self.path.points);
            return Err(Usage::new(message).into());
        }
        Ok(())
    }

    /// Checks that both runs are of the network and the data of `config`.
    fn check_runs(&self, config: &RunConfig) -> Result<()> {
        for path in [&self.from, &self.to].into_iter().filter(|path| path.is_dir()) {
            let of_run = settings_of(path)?;
            let differing = [
                ("network", of_run.model != config.model),
                ("data set", of_run.data.name != config.data.name),
                ("standardization", of_run.data.standardize != config.data.standardize),
                ("loss", of_run.training.loss != config.training.loss),
            ];
            if let Some((what, _)) = differing.into_iter().find(|(_, differs)| *differs) {
                let message = format!(
                    "{} has another {what}; both weights must be of one network on the same data",
                    path.display()
                );
                return Err(Usage::new(message).into());
            }
        }
        Ok(())
    }
}

/// How often the training of a curve is kept.
const CHECKPOINTS: usize = 50;

/// The weights of a run or of a file.
fn source(path: &Path) -> WeightsArgs {
    let (run, weights) = if path.is_dir() { (Some(path), None) } else { (None, Some(path)) };
    WeightsArgs {
        weights: weights.map(Path::to_owned),
        run: run.map(Path::to_owned),
        between_iterates: false,
        r#match: None,
        rename: Vec::new(),
        rename_file: None,
    }
}

/// What decides the numbers, besides the settings.
#[derive(Serialize)]
struct Request<'a> {
    weights_sha256: [&'a str; 2],
    points: usize,
    range: Ends,
    curve: Option<CurveSettings>,
}

/// Computes on an engine.
struct Compute<'a> {
    command: &'a InterpolateCommand,
    prepared: &'a Prepared,
}

impl Visitor for Compute<'_> {
    type Output = Result<Found>;

    fn visit<B: Backend>(self, engine: &Engine<B>) -> Result<Found> {
        let Self { command, prepared: Prepared { config, data, budget } } = self;
        let read = |path: &Path| source(path).import(&engine.network, config);
        let (Imported { weights: from, origin: first }, Imported { weights: to, origin: second }) =
            (read(&command.from)?, read(&command.to)?);
        let interrupt = Interrupt::listen()?;
        let (trained, settings) = (trained_examples(config, data.dataset())?, config.measurement());
        let subject = Subject {
            engine,
            data,
            trained: &trained,
            settings: &settings,
            seed: config.seed,
            budget: *budget,
        };
        let bar = Bar::new(&interrupt);
        let points = Points::new(subject, &bar)?;
        let PathArgs { curve, curve_steps: steps, curve_lr: learning_rate, curve_batch_size, range, .. } =
            command.path;
        let curve = curve.then_some(CurveSettings { steps, learning_rate, batch_size: curve_batch_size });
        let weights_sha256 = [&first.sha256[..], &second.sha256];
        let request = Request { weights_sha256, points: command.path.points, range, curve };
        let mut journal = points::journal(&command.out, "interpolation", (config, &request))?;
        let all = places(range.first, range.last, command.path.points);
        let (a, b) = (&from.parameters, &to.parameters);
        let ends = BetweenEnds { from: &from, to: &to };
        let on_segment = sampled(&mut journal, ("segment", &points), &all, &|t| segment(a, b, t))?;
        let curve = curve.map(|settings| -> Result<Curve> {
            let middle = command.middle(&mut journal, subject, ends, &settings, &interrupt)?;
            let inner: Vec<f64> = all.iter().copied().filter(|t| (0.0..=1.0).contains(t)).collect();
            let sampled = sampled(&mut journal, ("curve", &points), &inner, &|t| bezier((a, &middle, b), t))?;
            Ok(Curve { settings, sampled })
        });
        let (batch_norm, batch_norm_chunk) = points.batch_norm();
        Ok(Found {
            distance: ends.distance(),
            examples: points.count(),
            batch_norm,
            batch_norm_chunk,
            test_batch_norm: if batch_norm == "none" { "none" } else { "re-estimated" },
            precision: engine.network.backend().precision().to_owned(),
            segment: on_segment,
            curve: curve.transpose()?,
        })
    }
}

impl InterpolateCommand {
    /// The middle of the trained curve.
    fn middle<B: Backend>(
        &self,
        journal: &mut PointJournal,
        subject: Subject<'_, B>,
        ends: BetweenEnds<'_>,
        settings: &CurveSettings,
        interrupt: &Interrupt,
    ) -> Result<Vec<f64>> {
        let (network, name) = (&subject.engine.network, "curve-middle");
        if let Some(middle) = points::known_vector(journal, (&self.out, name), network) {
            return Ok(middle);
        }
        let (bar, start) = (Bar::new(interrupt), Instant::now());
        let known = points::known_curve(journal, &self.out, network.parameters().len());
        let state = known.unwrap_or_else(|| CurveState::start(ends));
        let (first, steps) = (state.step, settings.steps);
        let every = steps.div_ceil(CHECKPOINTS);
        let mut report = |state: &CurveState, loss: f64| -> Result<()> {
            let (step, done) = (state.step, (state.step - first) as f64);
            let left = start.elapsed().as_secs_f64() / done * (steps - step) as f64;
            let message = || {
                let (loss, time) = (significant(loss, 4), time_left(&(left..left)));
                format!("training the curve: step {step} of {steps}, loss {loss}, {time}")
            };
            bar.bar().borrow_mut().update(step as u64, steps as u64, message);
            let is_due = step % every == 0 || interrupt.is_raised();
            if is_due { points::keep_curve(journal, &self.out, state) } else { Ok(()) }
        };
        let middle = train_curve(subject, ends, settings, state, &bar, &mut report)?;
        let middle = points::keep_vector(journal, (&self.out, name), network, &middle)?;
        points::forget_curve(&self.out);
        Ok(middle)
    }
}

/// The points of a path at `places`.
fn sampled<B: Backend>(
    journal: &mut PointJournal,
    (name, points): (&str, &Points<'_, B>),
    places: &[f64],
    path: &dyn Fn(f64) -> Vec<f64>,
) -> Result<Sampled> {
    let numbers = points::all(journal, (name, places.len()), |i| {
        let PathPoint { train, test, .. } = points.value(places[i], path(places[i]))?;
        let ([a, b], [c, d]) = (train.numbers(), test.numbers());
        Ok([a, b, c, d])
    })?;
    let point = |(t, [a, b, c, d]): (&f64, [f64; 4])| PathPoint {
        t: *t,
        train: Values::of_numbers([a, b]),
        test: Values::of_numbers([c, d]),
    };
    let points: Vec<PathPoint> = places.iter().zip(numbers).map(point).collect();
    let of =
        |values: fn(&PathPoint) -> Values| barrier(points.iter().map(|point| (point.t, values(point).loss)));
    Ok(Sampled { train_barrier: of(|point| point.train), test_barrier: of(|point| point.test), points })
}

impl Found {
    fn paths(&self) -> Vec<NamedPath<'_>> {
        let segment = NamedPath { name: "segment", points: &self.segment.points };
        let curve = self.curve.as_ref();
        let curve = curve.map(|curve| NamedPath { name: "curve", points: &curve.sampled.points });
        std::iter::once(segment).chain(curve).collect()
    }

    /// What is shown, in sentences.
    fn notes(&self) -> Vec<String> {
        let (of_train, of_test) = self.batch_norm_chunk.map_or_else(Default::default, |chunk| {
            let of_test =
                " (batch norm: statistics re-estimated from these training examples at every point)";
            (format!(" (batch norm: statistics of each chunk of {chunk})"), of_test.to_owned())
        });
        let mut notes = vec![format!(
            "Mean loss and accuracy on {} training examples{of_train} and the whole test set{of_test}, dropout off. \
             The weights are {} apart.",
            count(self.examples),
            significant(self.distance, 4)
        )];
        notes.push(format!("Segment: {}.", self.segment.barriers()));
        if let Some(Curve { settings, sampled }) = &self.curve {
            let steps = count(settings.steps);
            notes.push(format!(
                "Quadratic Bézier curve (Garipov et al. 2018), its middle trained by {steps} steps of SGD: {}.",
                sampled.barriers()
            ));
        }
        notes
    }
}

impl Sampled {
    fn barriers(&self) -> String {
        let one = |name: &str, barrier: &Barrier| match (barrier.value, barrier.t) {
            (Some(value), Some(t)) => {
                format!("{name} barrier {} at t = {}", significant(value, 4), significant(t, 2))
            }
            _ => format!("{name} barrier unknown, since a loss is not finite"),
        };
        format!(
            "{}, {} (the largest at a point, so lower bounds)",
            one("train", &self.train_barrier),
            one("test", &self.test_barrier)
        )
    }
}

fn summary(document: &Document, files: &[String]) -> String {
    let Document { arch, dataset, from, to, found, .. } = document;
    let mut text = String::new();
    line(
        &mut text,
        "network",
        &format!("{} on {dataset} (standardize {})", arch.name(), document.standardize),
    );
    line(&mut text, "weights", &format!("{from} to {to}"));
    for (t, name) in [(0.0, "t = 0"), (1.0, "t = 1")] {
        let at = found.segment.points.iter().find(|point| point.t.total_cmp(&t).is_eq());
        if let Some(PathPoint { train, test, .. }) = at {
            let one = |values: &Values| {
                let loss = values.loss.map_or_else(|| "not finite".to_owned(), |loss| significant(loss, 5));
                format!("loss {loss}, accuracy {}", percent(values.accuracy))
            };
            line(&mut text, name, &format!("train {}; test {}", one(train), one(test)));
        }
    }
    for (place, note) in found.notes().iter().enumerate() {
        line(&mut text, if place == 0 { "path" } else { "" }, note);
    }
    for (place, file) in files.iter().enumerate() {
        line(&mut text, if place == 0 { "files" } else { "" }, file);
    }
    text
}
