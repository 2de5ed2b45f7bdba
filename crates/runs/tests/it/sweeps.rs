//! Sweeps of a small recipe, and who watches them.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use sharpness_data::{Dataset, DatasetName, Locations};
use sharpness_runs::{
    CheckpointEvery, Existing, Opened, Plan, PlannedRun, Report, RunDir, RunEnd, RunLayout, RunObserver,
    RunStatus, RunStore, Sweep, SweepObserver, Trackers,
};
use sharpness_training::{Budget, Observer, StepReport};

pub(crate) const RECIPE: &str = "seeds = [0, 1]\n\
    fixed = { arch = \"mlp\", data.name = \"digits\", hidden = [16], batch_size = 50, max_epochs = 2, examples = 50, rtol = 0.1 }\n\
    grid = { learning_rate = [0.05, 0.1] }\n";

pub(crate) fn plan(text: &str) -> Plan {
    Plan::parse(Path::new("recipe.toml"), text).unwrap()
}

pub(crate) type OnWait = Box<dyn Fn(&PlannedRun) + Sync>;

/// Notes how runs end; stops after a number of steps in all.
#[derive(Default)]
pub(crate) struct Notes {
    pub(crate) ends: Mutex<BTreeMap<String, &'static str>>,
    pub(crate) steps: AtomicUsize,
    pub(crate) stop_after: Option<usize>,
    /// Called when a run is waited for.
    pub(crate) on_wait: Option<OnWait>,
    pub(crate) waits: AtomicUsize,
    pub(crate) stop: Arc<AtomicBool>,
}

impl Notes {
    pub(crate) fn stopping_after(steps: usize) -> Self {
        Self { stop_after: Some(steps), ..Self::default() }
    }

    pub(crate) fn count(&self, wanted: &str) -> usize {
        self.ends.lock().unwrap().values().filter(|end| **end == wanted).count()
    }
}

impl SweepObserver for Notes {
    fn begin<'o>(&'o self, _: &'o PlannedRun) -> Box<dyn RunObserver + 'o> {
        Box::new(Steps(self))
    }

    fn wait(&self, run: &PlannedRun) {
        self.waits.fetch_add(1, Ordering::Relaxed);
        if let Some(on_wait) = &self.on_wait {
            on_wait(run);
        }
    }

    fn end(&self, run: &PlannedRun, end: &RunEnd) {
        let word = match end {
            RunEnd::Done(_) => "done",
            RunEnd::Known(_) => "known",
            RunEnd::Elsewhere(_) => "elsewhere",
            RunEnd::Failed(_) => "failed",
            RunEnd::Prevented(_) => "prevented",
            RunEnd::Interrupted => "interrupted",
        };
        let before = self.ends.lock().unwrap().insert(run.identity.run.clone(), word);
        assert_eq!(before, None, "the end of a run is told once");
    }

    fn should_stop(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
            || self.stop_after.is_some_and(|steps| self.steps.load(Ordering::Relaxed) >= steps)
    }
}

struct Steps<'a>(&'a Notes);

impl Observer for Steps<'_> {
    fn on_step(&mut self, _: &StepReport) {
        self.0.steps.fetch_add(1, Ordering::Relaxed);
    }

    fn should_stop(&mut self) -> bool {
        self.0.should_stop()
    }
}

impl RunObserver for Steps<'_> {}

pub(crate) fn digits(name: DatasetName) -> sharpness_data::Result<Dataset> {
    Dataset::load(name, &Locations::default())
}

pub(crate) fn sweep(plan: &Plan, dir: &Path, jobs: usize, retry_failed: bool, notes: &Notes) {
    sweep_with(plan, dir, jobs, retry_failed, &digits, notes);
}

pub(crate) fn sweep_with(
    plan: &Plan,
    dir: &Path,
    jobs: usize,
    retry_failed: bool,
    load: &(dyn Fn(DatasetName) -> sharpness_data::Result<Dataset> + Sync),
    notes: &Notes,
) {
    let store = RunStore::new(dir);
    let checkpoint_every = CheckpointEvery::default();
    let (threads, budget) = (2, Budget::of(1 << 30));
    let trackers = &Trackers::default();
    Sweep { plan, store: &store, jobs, threads, budget, retry_failed, checkpoint_every, load, trackers }
        .run(notes)
        .unwrap();
}

/// Where the files of a run's training are.
pub(crate) fn layout(dir: &Path, run: &PlannedRun) -> RunLayout {
    RunStore::new(dir).training(&run.identity.training)
}

/// The report of a run that is done.
pub(crate) fn report(dir: &Path, run: &PlannedRun) -> Report {
    match RunStore::new(dir).status(&run.config) {
        RunStatus::Done(report) => *report,
        status => panic!("{}: {status:?}", run.label()),
    }
}

/// The final weights and λ_max of every run of the plan.
pub(crate) fn results(plan: &Plan, dir: &Path) -> Vec<(Vec<u8>, u64)> {
    let result = |run: &PlannedRun| {
        let weights = fs::read(layout(dir, run).weights()).unwrap();
        (weights, report(dir, run).measurement.unwrap().lambda_max.value.to_bits())
    };
    plan.runs.iter().map(result).collect()
}

/// Holds the lock of a run, as another process would.
pub(crate) fn hold(run: &PlannedRun, dir: &Path) -> Box<RunDir> {
    match RunDir::open(layout(dir, run).dir(), &run.config, Existing::Resume, true).unwrap() {
        Opened::Open(held) => held,
        Opened::Finished(report) => panic!("{} is done already", report.id),
    }
}
