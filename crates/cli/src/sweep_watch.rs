//! Shows the progress of a sweep: a line for each active run and one for all of them.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use console::Term;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use sharpness_runs::{
    Damage, Identity, Plan, PlannedRun, Report, RunEnd, RunObserver, Spent, SweepObserver, TimeLeft,
};
use sharpness_training::{EpochMetrics, MeasureProgress, Observer, Outcome, Phase, StepReport};

use crate::exit::Exit;
use crate::interrupt::Interrupt;
use crate::output::{
    ProgressForm, duration, escaped, fitted, note, percent, plural, progress_json, significant, time_left,
};

/// The templates of the line of a run and of the line of all runs.
const RUN: &str = "{wide_msg}";
const ALL: &str = "{bar:24} {pos}/{len} runs{msg}";
/// The indentation of the line of a run.
const INDENT: usize = 2;
/// The width of a terminal that does not report one, in columns.
const WIDTH: usize = 80;
/// The shortest time between two steps that are shown.
const REFRESH: Duration = Duration::from_millis(200);
/// The longest silence of a log while a sweep is alive.
const LINE_PERIOD: Duration = Duration::from_secs(30);
/// The time left is estimated again after this time, and after this many times the duration of an estimate.
const ESTIMATE_PERIOD: Duration = Duration::from_secs(1);
const ESTIMATE_REST: u32 = 20;

/// How many runs ended how.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) done: usize,
    pub(crate) known: usize,
    pub(crate) elsewhere: usize,
    pub(crate) diverged: usize,
    pub(crate) failed: usize,
    pub(crate) prevented: usize,
    pub(crate) total: usize,
}

impl Counts {
    /// The number of runs whose end was reported.
    const fn ended(&self) -> usize {
        self.finished() + self.failed + self.prevented
    }

    /// How many of all runs have ended: `[3/12]`.
    fn place(&self) -> String {
        format!("[{}/{}]", self.ended(), self.total)
    }

    /// Whether runs are left.
    pub(crate) const fn is_incomplete(&self) -> bool {
        self.finished() < self.total
    }

    /// Runs that are done, including those by other processes.
    pub(crate) const fn finished(&self) -> usize {
        self.done + self.known + self.elsewhere
    }

    /// The exit code of the sweep.
    pub(crate) const fn exit(&self, is_interrupted: bool) -> Exit {
        if is_interrupted && self.is_incomplete() {
            Exit::Interrupted
        } else if self.is_incomplete() {
            Exit::Failed
        } else {
            Exit::Done
        }
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} done", self.finished(), self.total)?;
        for (count, what) in [
            (self.known, "before"),
            (self.elsewhere, "by another process"),
            (self.diverged, "diverged"),
            (self.failed, "failed"),
            (self.prevented, "prevented by an error"),
        ] {
            if count > 0 {
                write!(f, ", {count} {what}")?;
            }
        }
        Ok(())
    }
}

/// Watches a sweep.
pub(crate) struct SweepWatch<'a> {
    interrupt: &'a Interrupt,
    started: Instant,
    form: ProgressForm,
    lines: Option<(MultiProgress, ProgressBar)>,
    state: Mutex<State>,
}

struct State {
    counts: Counts,
    left: TimeLeft,
    /// The time left in words, after a comma; empty if unknown.
    words: String,
    /// When it is estimated again.
    estimate_at: Instant,
    /// When the last line was written, if there is no terminal.
    told: Instant,
    /// Why runs failed or were prevented.
    problems: Vec<String>,
}

/// A time that is never reached, from the start of the watch.
const NEVER: Duration = Duration::from_secs(10 * 366 * 86_400);

impl<'a> SweepWatch<'a> {
    /// Starts to watch runs that other processes execute, some of which may wait in a queue, so that no time left is estimated.
    pub(crate) fn of_jobs(plan: &Plan, interrupt: &'a Interrupt) -> Self {
        let watch = Self::new(plan, 1, interrupt);
        watch.state().estimate_at += NEVER;
        watch
    }

    /// Starts to watch the runs of a plan.
    pub(crate) fn new(plan: &Plan, jobs: usize, interrupt: &'a Interrupt) -> Self {
        let total = plan.distinct().count();
        let form = ProgressForm::of_process();
        let lines = (form == ProgressForm::Bars).then(|| {
            let all = MultiProgress::new();
            let bar = all.add(ProgressBar::new(total as u64).with_style(style(ALL)));
            (all, bar)
        });
        let started = Instant::now();
        let state = Mutex::new(State {
            counts: Counts { total, ..Counts::default() },
            left: TimeLeft::new(plan, jobs),
            words: String::new(),
            estimate_at: started,
            told: started,
            problems: Vec::new(),
        });
        Self { interrupt, started, form, lines, state }
    }

    /// Removes the lines. Returns how many runs ended how, and why some failed or were prevented.
    pub(crate) fn finish(self) -> (Counts, Vec<String>) {
        if let Some((all, bar)) = &self.lines {
            bar.finish_and_clear();
            // Failing to clear them is harmless.
            let _ = all.clear();
        }
        let mut state = self.state();
        (state.counts, std::mem::take(&mut state.problems))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Seconds since the start.
    fn now(&self) -> f64 {
        self.started.elapsed().as_secs_f64()
    }

    /// Prints a line above the progress lines.
    pub(crate) fn say(&self, text: &str) {
        match &self.lines {
            Some((all, _)) => all.suspend(|| note(text)),
            None => note(text),
        }
    }

    /// Shows how many runs have ended, and the time left.
    fn refresh(&self, state: &mut State) {
        if state.estimate_at <= Instant::now() {
            let (begun, left) = (Instant::now(), state.left.estimate(self.now()));
            state.words = left.map_or_else(String::new, |left| format!(", {}", time_left(&left)));
            state.estimate_at = Instant::now() + ESTIMATE_PERIOD.max(ESTIMATE_REST * begun.elapsed());
        }
        if let Some((_, bar)) = &self.lines {
            bar.set_position(state.counts.ended() as u64);
            bar.set_message(state.words.clone());
        }
    }

    /// Shows the progress of a run: on its line of a terminal, otherwise in an occasional line.
    fn progress(
        &self,
        watch: &RunWatch<'_>,
        numbers: &str,
        tell: impl FnOnce(&mut TimeLeft, &Identity, f64),
    ) {
        let mut state = self.state();
        tell(&mut state.left, &watch.run.identity, self.now());
        self.refresh(&mut state);
        if let Some(bar) = &watch.bar {
            let width = Term::stderr().size_checked().map_or(WIDTH, |(_, columns)| usize::from(columns));
            bar.set_message(run_line(&escaped(&watch.name), numbers, width));
        } else if self.form == ProgressForm::Json {
            state.json(|words| format!("{}: {numbers}{words}", watch.name));
        } else if let Some(line) = state.line(&watch.name, numbers) {
            note(&line);
        }
    }
}

impl State {
    /// Writes progress as JSON, with a message that may end with the time left.
    fn json(&self, message: impl FnOnce(&str) -> String) {
        progress_json(self.counts.ended() as u64, self.counts.total as u64, || message(&self.words));
    }

    /// A line that shows that the sweep is alive, if the last one is old.
    fn line(&mut self, name: &str, numbers: &str) -> Option<String> {
        let is_due = self.told.elapsed() >= LINE_PERIOD;
        is_due.then(|| {
            self.told = Instant::now();
            format!("{} {name}: {numbers}{}", self.counts.place(), self.words)
        })
    }
}

/// The line of a run on a terminal of `width` columns.
fn run_line(name: &str, numbers: &str, width: usize) -> String {
    format!("{:INDENT$}{}", "", fitted(name, numbers, width.saturating_sub(INDENT)))
}

impl SweepObserver for SweepWatch<'_> {
    fn begin<'o>(&'o self, run: &'o PlannedRun) -> Box<dyn RunObserver + 'o> {
        let name = format!("{} {}", run.block, run.label());
        let bar = self
            .lines
            .as_ref()
            .map(|(all, last)| all.insert_before(last, ProgressBar::new_spinner().with_style(style(RUN))));
        self.state().left.begin(&run.identity, self.now());
        let in_epoch = run.config.training.through_training.is_some();
        Box::new(RunWatch { sweep: self, run, name, bar, shown: None, accuracy: String::new(), in_epoch })
    }

    fn wait(&self, run: &PlannedRun) {
        self.say(&format!("{} {}: waiting for another process that is running it", run.block, run.label()));
    }

    fn end(&self, run: &PlannedRun, end: &RunEnd) {
        let (mut state, now) = (self.state(), self.now());
        let text = match end {
            RunEnd::Known(report) => {
                state.left.end(&run.identity, &Spent::of(report), now);
                state.counts.known += 1;
                None
            }
            RunEnd::Done(report) => {
                state.left.end(&run.identity, &Spent::of(report), now);
                state.counts.done += 1;
                state.counts.diverged += usize::from(report.training.outcome == Outcome::Diverged);
                Some(result(report))
            }
            RunEnd::Elsewhere(report) => {
                state.left.end(&run.identity, &Spent::of(report), now);
                state.counts.elsewhere += 1;
                Some(format!("{}, by another process", result(report)))
            }
            RunEnd::Failed(problem) => {
                state.left.forget(&run.identity);
                state.counts.failed += 1;
                state.problems.push(problem.clone());
                Some(format!("FAILED: {problem}"))
            }
            RunEnd::Prevented(problem) => {
                state.left.forget(&run.identity);
                state.counts.prevented += 1;
                state.problems.push(problem.clone());
                Some(format!("not made: {problem}"))
            }
            RunEnd::Interrupted => Some("stopped and saved".to_owned()),
        };
        self.refresh(&mut state);
        // A program reads the results elsewhere, but must see at once what went wrong.
        if self.form == ProgressForm::Json && !is_incomplete(end) {
            let text = text.as_deref().unwrap_or("done before");
            state.json(|words| format!("{} {}: {text}{words}", run.block, run.label()));
        } else if let Some(text) = text {
            state.told = Instant::now();
            let words = if self.lines.is_some() { "" } else { &state.words };
            let line = format!("{} {} {}: {text}{words}", state.counts.place(), run.block, run.label());
            drop(state);
            self.say(&line);
        }
    }

    fn should_stop(&self) -> bool {
        self.interrupt.is_raised()
    }
}

/// Whether a run ended without a result.
const fn is_incomplete(end: &RunEnd) -> bool {
    matches!(end, RunEnd::Failed(_) | RunEnd::Prevented(_) | RunEnd::Interrupted)
}

fn style(template: &str) -> ProgressStyle {
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    style.progress_chars("━╸─")
}

/// The result of a run, in a few words.
fn result(report: &Report) -> String {
    let training = &report.training;
    let time = duration(Duration::from_secs_f64(training.seconds.max(0.0)));
    if training.outcome == Outcome::Diverged {
        return format!("diverged after {} steps, {time}", training.steps);
    }
    let test =
        training.test_accuracy.map_or_else(String::new, |test| format!("test accuracy {}, ", percent(test)));
    let lambda = report.measurement.as_ref().map_or_else(String::new, |measured| {
        format!("λ_max {}, ", significant(measured.lambda_max.value, 4))
    });
    let short = if training.outcome == Outcome::MaxEpochs { " (below the target)" } else { "" };
    format!("{test}{lambda}{} epochs{short}, {time}", training.epochs)
}

/// The progress of a training, in few columns.
fn step_numbers(step: &StepReport, accuracy: &str) -> String {
    let StepReport { epoch, step_in_epoch, steps_per_epoch, loss, .. } = step;
    format!("epoch {epoch} ({step_in_epoch}/{steps_per_epoch}), loss {}{accuracy}", significant(*loss, 3))
}

/// The progress of a measurement, in few columns.
fn measure_numbers(progress: &MeasureProgress) -> String {
    let MeasureProgress { phase, products, value, residual, point, .. } = *progress;
    let point = point.map_or_else(String::new, |(point, points)| format!(", point {point} of {points}"));
    let (name, error) = match phase {
        Phase::Gradient => return format!("measuring the gradient{point}"),
        Phase::Measure(name) if value.is_nan() => return format!("measuring {name}{point}"),
        // A Rayleigh quotient is within the spectrum.
        Phase::LambdaMax => ("λ_max ≥", "residual"),
        Phase::Measure(name) => (name, "error"),
    };
    let (value, residual) = (significant(value, 4), significant(residual, 2));
    format!("{name} {value}, {error} {residual}, {}{point}", plural(products, "product"))
}

/// Watches one run of a sweep.
struct RunWatch<'a> {
    sweep: &'a SweepWatch<'a>,
    run: &'a PlannedRun,
    name: String,
    bar: Option<ProgressBar>,
    shown: Option<Instant>,
    accuracy: String,
    /// Whether what is measured is λ_max through training.
    in_epoch: bool,
}

impl RunWatch<'_> {
    /// Whether progress is due to be shown again.
    fn is_due(&mut self) -> bool {
        let is_due = self.shown.is_none_or(|shown| shown.elapsed() >= REFRESH);
        if is_due {
            self.shown = Some(Instant::now());
        }
        is_due
    }
}

impl Observer for RunWatch<'_> {
    fn on_step(&mut self, step: &StepReport) {
        self.in_epoch = true;
        if self.is_due() {
            let part = f64::from(step.step_in_epoch) / f64::from(step.steps_per_epoch.max(1));
            let epochs = f64::from(step.epoch) - 1.0 + part;
            self.sweep.progress(self, &step_numbers(step, &self.accuracy), |left, id, now| {
                left.trained(id, epochs, now);
            });
        }
    }

    fn on_epoch(&mut self, metrics: &EpochMetrics) {
        self.accuracy = format!(", train {}", percent(metrics.train_accuracy));
        // The next phase is reported at once, so that it is timed from its start.
        (self.in_epoch, self.shown) = (false, None);
    }

    fn on_measure(&mut self, progress: &MeasureProgress) {
        if self.is_due() {
            self.sweep.progress(self, &measure_numbers(progress), |left, id, now| {
                if !self.in_epoch {
                    left.measuring(id, progress.point, now);
                }
            });
        }
    }

    fn should_stop(&mut self) -> bool {
        self.sweep.should_stop()
    }
}

impl RunObserver for RunWatch<'_> {
    fn on_damage(&mut self, damage: &Damage) {
        self.sweep.say(&format!("{}: {damage}", self.name));
    }

    fn on_note(&mut self, note: &str) {
        self.sweep.say(note);
    }
}

impl Drop for RunWatch<'_> {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use console::measure_text_width;
    use sharpness_training::Memory;

    use super::*;

    const NAME: &str = "a block with a long name learning_rate=0.001 batch_size=100 rho=0.05 seed=17";

    #[test]
    fn the_line_of_a_run_keeps_its_numbers_at_every_width() {
        let step = StepReport {
            epoch: 1000,
            step_in_epoch: 4999,
            steps_per_epoch: 5000,
            step: 5_000_000,
            loss: 0.001_234,
        };
        let measuring = MeasureProgress {
            phase: Phase::LambdaMax,
            products: 123,
            value: 1234.5,
            residual: 0.012,
            point: Some((3, 8)),
            memory: Memory::default(),
        };
        for width in [60, 80, 120] {
            let line = run_line(NAME, &step_numbers(&step, ", train 98.76 %"), width);
            for part in ["epoch 1000 (4999/5000)", "loss 0.00123", "train 98.76 %", "…", "17: "] {
                assert!(line.contains(part), "{width} columns must keep `{part}`: {line}");
            }
            let measured = run_line(NAME, &measure_numbers(&measuring), width);
            for part in ["λ_max ≥ 1234, residual 0.012, 123 products", "point 3 of 8"] {
                assert!(measured.contains(part), "{width} columns must keep `{part}`: {measured}");
            }
            for line in [line, measured] {
                assert!(measure_text_width(&line) <= width, "it fits {width} columns: {line}");
            }
        }
        let wide = run_line(NAME, &step_numbers(&step, ""), 120);
        assert!(wide.contains(NAME), "a name that fits is whole: {wide}");
    }

    #[test]
    fn a_log_gets_a_line_of_life_when_the_last_one_is_old() {
        let text = "fixed = { arch = \"mlp\", data.name = \"digits\" }\nseeds = [0, 1, 1]\n";
        let plan = Plan::parse(Path::new("recipe.toml"), text).unwrap();
        let interrupt = Interrupt::default();
        let watch = SweepWatch::new(&plan, 1, &interrupt);
        let mut state = watch.state();
        assert_eq!(state.line("run", "epoch 1"), None, "the sweep has just begun");
        let old = LINE_PERIOD + Duration::from_secs(1);
        state.told = Instant::now().checked_sub(old).unwrap();
        state.words = ", 1–2 min left".to_owned();
        let line = state.line("run", "epoch 1");
        assert_eq!(line.as_deref(), Some("[0/2] run: epoch 1, 1–2 min left"), "a sign of life");
        assert_eq!(state.line("run", "epoch 2"), None, "and then silence again");
    }
}
