//! Estimates the time left of a sweep.
//!
//! The time of a run depends on the number of its epochs, the time of an epoch, and the time of its measurement. Each
//! of the three is estimated from finished and active runs (`similar.rs`), relative to theory: the time of an epoch is
//! proportional to its operations; the number of epochs grows with batch size over learning rate, since training
//! follows the gradient flow for small steps; a measurement takes some number of passes over its examples. Unknown
//! values are drawn many times.

use std::collections::BTreeMap;
use std::ops::Range;

use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use sharpness_network::backend::Backend;
use sharpness_training::measures::{BetweenIterates, Measure as _};
use sharpness_training::settings::{MeasureConfig, RunConfig};
use sharpness_training::{Engine, Outcome, Visitor, with_engine};

use super::similar::{Place, Prior, Regression, Sample, normal};
use crate::identity::{Identity, leaves};
use crate::recipes::{Plan, PlannedRun};
use crate::report::Report;

/// The number of draws, and how many of them are beyond each end of the range.
const WORLDS: usize = 64;
const BEYOND: usize = 3;
/// A range is shown if its upper end is at most this multiple of the lower one, and this share of the time so far.
const WIDEST: f64 = 3.5;
const SLACK: f64 = 0.02;
/// The number of runs, the latest ones, from which others are estimated.
const MOST_SAMPLES: usize = 64;
/// The priors of the seconds of a floating-point operation, of epochs at a ratio of 1, and of the passes of a
/// measurement.
const PRIORS: [Prior; 3] = [
    Prior { mean: -23.0, deviation: 5.0 },
    Prior { mean: -2.7, deviation: 1.5 },
    Prior { mean: 4.6, deviation: 2.0 },
];
/// How epochs grow with batch size over learning rate.
const EPOCHS_POWER: f64 = 0.8;
/// Solves between iterates take fewer products than the one before them, since they start from its eigenvector.
const BETWEEN_SHARE: f64 = 0.5;
const BETWEEN_POINTS: f64 = 8.0;

/// The rest of a sweep. Times are in seconds since its start.
#[derive(Clone, Debug)]
pub struct TimeLeft {
    jobs: usize,
    places: Vec<Place>,
    /// The runs, in the order of their starts.
    runs: Vec<Run>,
    numbers: BTreeMap<Identity, usize>,
    done: Vec<Known>,
    /// The seconds of the last diverged run, by the places where no run has fitted its data.
    diverged: BTreeMap<usize, f64>,
}

/// The time and epochs of a run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spent {
    /// How its training ended.
    pub outcome: Outcome,
    /// Completed epochs.
    pub epochs: u32,
    /// Seconds of its training.
    pub training: f64,
    /// Seconds of its measurement, if it was measured.
    pub measuring: Option<f64>,
}

impl Spent {
    /// The time and epochs of a run from its report.
    pub fn of(report: &Report) -> Self {
        let measuring = report.measurement.as_ref().map(|measured| measured.seconds);
        let training = &report.training;
        Self { outcome: training.outcome, epochs: training.epochs, training: training.seconds, measuring }
    }
}

#[derive(Clone, Debug)]
struct Run {
    place: usize,
    /// The logarithms of the three quantities by theory.
    scales: [f64; 3],
    max_epochs: f64,
    state: State,
}

#[derive(Clone, Debug)]
enum State {
    Waiting,
    Running(Running),
    Ended,
}

/// A run under way.
#[derive(Clone, Debug, Default)]
struct Running {
    /// When it started or resumed.
    begun: f64,
    /// The epochs and the time of the first reported step.
    first: Option<(f64, f64)>,
    epochs: f64,
    updated: f64,
    /// The seconds of an epoch, and whether whole ones were timed.
    epoch: Option<(f64, bool)>,
    /// Its measurement, once it has started.
    measuring: Option<Measuring>,
}

/// A measurement under way.
#[derive(Clone, Copy, Debug)]
struct Measuring {
    since: f64,
    /// The point between iterates, and the seconds of the whole measurement extrapolated from earlier points.
    point: Option<(usize, f64)>,
}

/// The logarithms of a run's quantities, relative to theory, if known.
#[derive(Clone, Copy, Debug)]
struct Known {
    place: usize,
    values: [Option<f64>; 3],
}

impl TimeLeft {
    /// All runs of a plan are left; `jobs` run at once.
    pub fn new(plan: &Plan, jobs: usize) -> Self {
        let (mut groups, mut settings, mut places) = (BTreeMap::new(), BTreeMap::new(), Vec::new());
        let (mut runs, mut numbers) = (Vec::new(), BTreeMap::new());
        for PlannedRun { identity, config, .. } in plan.distinct() {
            let next = groups.len();
            let (group, flops) =
                *groups.entry(group_key(config)).or_insert_with(|| (next, flops_per_example(config)));
            let place = *settings.entry(setting_key(config)).or_insert_with(|| {
                places.push(Place { group, at: coordinates(config) });
                places.len() - 1
            });
            numbers.insert(identity.clone(), runs.len());
            let max_epochs = f64::from(config.training.max_epochs);
            runs.push(Run { place, scales: scales(config, flops), max_epochs, state: State::Waiting });
        }
        Self { jobs: jobs.max(1), places, runs, numbers, done: Vec::new(), diverged: BTreeMap::new() }
    }

    /// A run starts or resumes.
    pub fn begin(&mut self, id: &Identity, now: f64) {
        if let Some(&number) = self.numbers.get(id) {
            let running = Running { begun: now, updated: now, ..Running::default() };
            self.runs[number].state = State::Running(running);
        }
    }

    /// A run has done this many epochs, including the fraction of the current one.
    pub fn trained(&mut self, id: &Identity, epochs: f64, now: f64) {
        let Some(running) = self.running(id) else { return };
        let ended_one = epochs.floor() > running.epochs.floor();
        match running.first {
            None => running.first = Some((epochs, now)),
            Some((first, since)) if epochs > first => {
                let epoch = (now - since) / (epochs - first);
                if ended_one || !matches!(running.epoch, Some((_, true))) {
                    running.epoch = Some((epoch, ended_one));
                }
            }
            Some(_) => {}
        }
        (running.epochs, running.updated, running.measuring) = (epochs, now, None);
    }

    /// A run is being measured; between iterates, at this point, counted from 1, of how many.
    pub fn measuring(&mut self, id: &Identity, point: Option<(usize, usize)>, now: f64) {
        let Some(running) = self.running(id) else { return };
        let measuring = running.measuring.get_or_insert(Measuring { since: now, point: None });
        if let Some((point, points)) =
            point.filter(|(point, _)| measuring.point.is_none_or(|(p, _)| p != *point))
        {
            let solves = |points: usize| 1.0 + BETWEEN_SHARE * points as f64;
            let whole = (now - measuring.since) * solves(points) / solves(point.saturating_sub(1));
            measuring.point = Some((point, whole));
        }
    }

    /// A run is done, now or from an earlier sweep.
    pub fn end(&mut self, id: &Identity, spent: &Spent, now: f64) {
        let Some(&number) = self.numbers.get(id) else { return };
        let measured =
            self.running(id).and_then(|running| running.measuring).map(|measuring| now - measuring.since);
        let Run { place, scales, .. } = self.runs[number];
        self.runs[number].state = State::Ended;
        if spent.outcome == Outcome::Diverged {
            self.diverged.insert(place, spent.training);
            return;
        }
        self.diverged.remove(&place);
        let epochs = f64::from(spent.epochs);
        let measuring = measured.or(spent.measuring).map(|seconds| seconds * epochs / spent.training);
        let known = |value: Option<f64>, scale: f64| {
            value.map(|value| value.ln() - scale).filter(|logarithm| logarithm.is_finite())
        };
        let values = [Some(spent.training / epochs), Some(epochs), measuring];
        let values = [0, 1, 2].map(|i| known(values[i], scales[i]));
        self.done.push(Known { place, values });
    }

    /// This sweep will not execute a run.
    pub fn forget(&mut self, id: &Identity) {
        if let Some(&number) = self.numbers.get(id) {
            self.runs[number].state = State::Ended;
        }
    }

    /// The seconds left at `now`, if they can be estimated: the range holds them nine times out of ten.
    pub fn estimate(&self, now: f64) -> Option<Range<f64>> {
        let mut wanted = vec![false; self.places.len()];
        for run in self.runs.iter().filter(|run| !matches!(run.state, State::Ended)) {
            wanted[run.place] = true;
        }
        if !wanted.contains(&true) {
            return None;
        }
        let samples = [0, 1, 2].map(|quantity| self.samples(quantity));
        let known = [0, 1, 2].map(|i| Regression::new(&self.places, &samples[i], PRIORS[i]));
        let mut random = ChaCha8Rng::seed_from_u64(0);
        let mut worlds: Vec<f64> = (0..WORLDS)
            .map(|_| {
                let logarithms = known.each_ref().map(|known| known.draw(&wanted, &mut random));
                self.world(&logarithms, known.each_ref().map(Regression::noise), now, &mut random)
            })
            .collect();
        worlds.sort_by(f64::total_cmp);
        let range = worlds[BEYOND]..worlds[WORLDS - 1 - BEYOND];
        let is_told = range.end.is_finite() && range.end <= WIDEST * range.start + SLACK * now;
        is_told.then_some(range)
    }

    fn running(&mut self, id: &Identity) -> Option<&mut Running> {
        match &mut self.runs[*self.numbers.get(id)?].state {
            State::Running(running) => Some(running),
            _ => None,
        }
    }

    /// What is known about a quantity.
    fn samples(&self, quantity: usize) -> Vec<Sample> {
        let last = &self.done[self.done.len().saturating_sub(MOST_SAMPLES)..];
        let of_done = last.iter().filter_map(|known| {
            Some(Sample { place: known.place, value: known.values[quantity]?, error: 0.0 })
        });
        let of_running = self.runs.iter().filter(|_| quantity == 0).filter_map(|run| {
            let State::Running(Running { epoch: Some((epoch, is_whole)), .. }) = run.state else {
                return None;
            };
            let value = epoch.ln() - run.scales[0];
            // The evaluation at the end of an epoch adds to its steps.
            let error = if is_whole { 0.0 } else { 0.4 };
            value.is_finite().then_some(Sample { place: run.place, value, error })
        });
        of_done.chain(of_running).collect()
    }

    /// The seconds left in one world: the runs start in order, each when an earlier one has ended.
    fn world(&self, logarithms: &[Vec<f64>; 3], noise: [f64; 3], now: f64, random: &mut ChaCha8Rng) -> f64 {
        let mut free: Vec<f64> = Vec::with_capacity(self.jobs);
        for is_running in [true, false] {
            for run in &self.runs {
                if matches!(run.state, State::Ended) || is_running != matches!(run.state, State::Running(_)) {
                    continue;
                }
                let at = [0, 1, 2].map(|i| logarithms[i][run.place] + run.scales[i]);
                let seconds = self.seconds_left(run, at, noise, now, random);
                if is_running || free.len() < self.jobs {
                    free.push(seconds);
                } else if let Some(first) = free.iter_mut().min_by(|a, b| a.total_cmp(b)) {
                    *first += seconds;
                }
            }
        }
        free.into_iter().fold(0.0, f64::max)
    }

    fn seconds_left(
        &self,
        run: &Run,
        at: [f64; 3],
        noise: [f64; 3],
        now: f64,
        random: &mut ChaCha8Rng,
    ) -> f64 {
        let waiting = Running { begun: now, updated: now, ..Running::default() };
        let running = match &run.state {
            State::Running(running) => running,
            _ => &waiting,
        };
        let mut draw = |quantity: usize| (at[quantity] + noise[quantity] * normal(random)).exp();
        if let Some(seconds) = self.diverged.get(&run.place) {
            return (seconds - (now - running.begun)).max(0.0);
        }
        let epoch = match running.epoch {
            Some((epoch, true)) => epoch,
            _ => draw(0),
        };
        let training = if running.measuring.is_some() {
            0.0
        } else {
            let epochs = above(running.epochs, || draw(1)).ceil().min(run.max_epochs);
            ((epochs - running.epochs) * epoch - (now - running.updated)).max(0.0)
        };
        let elapsed = running.measuring.map_or(0.0, |measuring| now - measuring.since);
        let whole = match running.measuring.and_then(|measuring| measuring.point) {
            // The points take slightly different times.
            Some((_, whole)) => whole * (draw(2).ln() - at[2]).exp(),
            None => above(elapsed, || epoch * draw(2)),
        };
        training + (whole - elapsed).max(0.0)
    }
}

/// A draw above `least`, or slightly more than `least` if that is improbable.
fn above(least: f64, mut draw: impl FnMut() -> f64) -> f64 {
    let first = draw();
    let draws = std::iter::once(first).chain(std::iter::repeat_with(draw).take(7));
    let mut last = first;
    for drawn in draws {
        if drawn > least {
            return drawn;
        }
        last = drawn;
    }
    least * (1.0 + 0.5 * (first - last).abs() / first.max(last))
}

/// The configuration without the settings of [`coordinates`] and those that do not affect the cost.
fn group_key(config: &RunConfig) -> String {
    let mut config = config.clone();
    let training = &mut config.training;
    (training.learning_rate, training.batch_size, training.micro_batch_size, training.max_epochs) =
        (1.0, 1, 1, 1);
    if let Some(sam) = &mut training.sam {
        sam.rho = 1.0;
    }
    config.model.dropout = 0.0;
    config.data.train_examples = None;
    config.measure = MeasureConfig { examples: 1, ..config.measure };
    setting_key(&config)
}

/// The configuration without the seed.
fn setting_key(config: &RunConfig) -> String {
    leaves(&RunConfig { seed: 0, ..config.clone() })
        .map_or_else(|_| String::new(), |leaves| format!("{leaves:?}"))
}

fn train_examples(config: &RunConfig) -> f64 {
    config.data.trained_examples() as f64
}

/// The settings that vary within a group of runs, on logarithmic scales.
fn coordinates(config: &RunConfig) -> [f64; 5] {
    let training = &config.training;
    [
        (training.batch_size as f64 / 100.0).ln(),
        (training.learning_rate / 0.05).ln(),
        (train_examples(config) / 10_000.0).ln(),
        (1.0 - config.model.dropout).max(1e-3).ln(),
        training.sam.as_ref().map_or(0.0, |sam| 4.0 * sam.rho),
    ]
}

/// The logarithms, by theory, of the seconds of an epoch (in units of an operation), of the epochs, and of a
/// measurement (in epochs), each up to a constant.
fn scales(config: &RunConfig, flops: f64) -> [f64; 3] {
    let training = &config.training;
    let examples = train_examples(config) * if training.sam.is_some() { 2.0 } else { 1.0 };
    let ratio = training.batch_size as f64 / training.learning_rate;
    // Dropout slows training down roughly by the expected size of two layers after it.
    let kept = (1.0 - config.model.dropout).max(1e-3).powi(2);
    let points = if config.measure.asked.contains_key(BetweenIterates::NAME) { BETWEEN_POINTS } else { 0.0 };
    let measured = (config.measure.examples as f64).min(examples) * (1.0 + BETWEEN_SHARE * points);
    [(examples * flops).ln(), EPOCHS_POWER * ratio.ln() - kept.ln(), (measured / examples).ln()]
}

/// The operations of a network for one example.
fn flops_per_example(config: &RunConfig) -> f64 {
    struct Flops;
    impl Visitor for Flops {
        type Output = f64;

        fn visit<B: Backend>(self, engine: &Engine<B>) -> f64 {
            engine.network.layers().iter().map(|layer| layer.flops).sum::<u64>() as f64
        }
    }
    with_engine(config, Flops).map_or(1e6, |flops| flops.max(1.0))
}
