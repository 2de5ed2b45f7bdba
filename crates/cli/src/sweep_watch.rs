//! Shows a sweep while it goes on: a line for each active run and one for all of them.

use std::fmt;
use std::io::{IsTerminal, stderr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use sharpness_experiments::Report;
use sharpness_experiments::measures::MeasureProgress;
use sharpness_experiments::store::Damage;
use sharpness_experiments::sweep::{Plan, PlannedRun, RunEnd, SweepObserver, TimeLeft};
use sharpness_experiments::training::{EpochMetrics, Observer, Outcome, StepReport};

use crate::exit::Exit;
use crate::interrupt::Interrupt;
use crate::measuring::message;
use crate::output::{duration, escaped, note, percent, significant};

/// How the line of a run looks, and that of all.
const RUN: &str = "  {wide_msg}";
const ALL: &str = "{bar:24} {pos}/{len} runs, {msg}";
/// A step is shown if the last one shown is as old.
const REFRESH: Duration = Duration::from_millis(200);

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
    /// Whether runs are left to make.
    pub(crate) const fn is_incomplete(&self) -> bool {
        self.finished() < self.total
    }

    /// Runs that are done, whoever made them.
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
    jobs: usize,
    lines: Option<(MultiProgress, ProgressBar)>,
    state: Mutex<State>,
}

struct State {
    counts: Counts,
    left: TimeLeft,
}

impl<'a> SweepWatch<'a> {
    /// Begins to watch the runs of a plan.
    pub(crate) fn new(plan: &Plan, jobs: usize, interrupt: &'a Interrupt) -> Self {
        let ids: std::collections::BTreeSet<&str> = plan.runs.iter().map(|run| run.id.as_str()).collect();
        let lines = stderr().is_terminal().then(|| {
            let all = MultiProgress::new();
            let bar = all.add(ProgressBar::new(ids.len() as u64).with_style(style(ALL)));
            (all, bar)
        });
        let counts = Counts { total: ids.len(), ..Counts::default() };
        let state = Mutex::new(State { counts, left: TimeLeft::new(plan) });
        Self { interrupt, lines, jobs, state }
    }

    /// Takes the lines away, and says how many runs ended how.
    pub(crate) fn finish(self) -> Counts {
        if let Some((all, bar)) = &self.lines {
            bar.finish_and_clear();
            // Lines that cannot be cleared do no harm.
            let _ = all.clear();
        }
        self.state().counts
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says a sentence above the lines.
    fn say(&self, text: &str) {
        match &self.lines {
            Some((all, _)) => all.suspend(|| note(text)),
            None => note(text),
        }
    }
}

impl SweepObserver for SweepWatch<'_> {
    fn begin<'o>(&'o self, run: &'o PlannedRun) -> Box<dyn Observer + 'o> {
        let name = format!("{} {}", run.block, run.label());
        let bar = self
            .lines
            .as_ref()
            .map(|(all, last)| all.insert_before(last, ProgressBar::new_spinner().with_style(style(RUN))));
        Box::new(RunWatch { sweep: self, name, bar, shown: Instant::now(), accuracy: String::new() })
    }

    fn wait(&self, run: &PlannedRun) {
        self.say(&format!("{} {}: another process is making it; waiting for that", run.block, run.label()));
    }

    fn end(&self, run: &PlannedRun, end: &RunEnd) {
        let mut state = self.state();
        let text = match end {
            RunEnd::Known(report) => {
                state.left.add(report);
                state.counts.known += 1;
                None
            }
            RunEnd::Done(report) => {
                state.left.add(report);
                state.counts.done += 1;
                state.counts.diverged += usize::from(report.training.outcome == Outcome::Diverged);
                Some(result(report))
            }
            RunEnd::Elsewhere(report) => {
                state.left.add(report);
                state.counts.elsewhere += 1;
                Some(format!("{}, by another process", result(report)))
            }
            RunEnd::Failed(problem) => {
                state.left.forget(&run.id);
                state.counts.failed += 1;
                Some(format!("FAILED: {problem}"))
            }
            RunEnd::Prevented(problem) => {
                state.left.forget(&run.id);
                state.counts.prevented += 1;
                Some(format!("not made: {problem}"))
            }
            RunEnd::Interrupted => Some("stopped and saved".to_owned()),
        };
        let Counts { failed, prevented, total, .. } = state.counts;
        let ended = state.counts.finished() + failed + prevented;
        let left = state.left.estimate(self.jobs).map(|left| format!("about {} left", duration(left)));
        drop(state);
        if let Some((_, bar)) = &self.lines {
            bar.set_position(ended as u64);
            bar.set_message(left.clone().unwrap_or_default());
        }
        if let Some(text) = text {
            let left =
                left.filter(|_| self.lines.is_none()).map_or_else(String::new, |left| format!("; {left}"));
            self.say(&format!("[{ended}/{total}] {} {}: {text}{left}", run.block, run.label()));
        }
    }

    fn should_stop(&self) -> bool {
        self.interrupt.is_raised()
    }
}

fn style(template: &str) -> ProgressStyle {
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    style.progress_chars("━╸─")
}

/// What came out of a run, in a few words.
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

/// Watches one run of a sweep.
struct RunWatch<'a> {
    sweep: &'a SweepWatch<'a>,
    name: String,
    bar: Option<ProgressBar>,
    shown: Instant,
    accuracy: String,
}

impl RunWatch<'_> {
    fn show(&mut self, text: impl FnOnce() -> String) {
        if let Some(bar) = self.bar.as_ref().filter(|_| self.shown.elapsed() >= REFRESH) {
            bar.set_message(escaped(&format!("{}: {}", self.name, text())));
            self.shown = Instant::now();
        }
    }
}

impl Observer for RunWatch<'_> {
    fn on_step(&mut self, step: &StepReport) {
        let accuracy = self.accuracy.clone();
        self.show(|| {
            let (done, all) = (step.step_in_epoch, step.steps_per_epoch);
            format!("epoch {}, step {done}/{all}, loss {}{accuracy}", step.epoch, significant(step.loss, 3))
        });
    }

    fn on_epoch(&mut self, metrics: &EpochMetrics) {
        self.accuracy = format!(", train accuracy {}", percent(metrics.train_accuracy));
    }

    fn on_measure(&mut self, progress: &MeasureProgress) {
        self.show(|| message(progress));
    }

    fn on_damage(&mut self, damage: &Damage) {
        self.sweep.say(&format!("{}: {damage}", self.name));
    }

    fn should_stop(&mut self) -> bool {
        self.sweep.should_stop()
    }
}

impl Drop for RunWatch<'_> {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
