//! Sweeps: every run is made once, whatever happens on the way.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use sharpness_experiments::data::{Dataset, DatasetName, Locations};
use sharpness_experiments::store::{CheckpointEvery, RunDir, RunStatus, RunStore, RunTable};
use sharpness_experiments::sweep::{Costs, Plan, PlannedRun, RunEnd, Sweep, SweepObserver};
use sharpness_experiments::training::{Observer, StepReport};
use sharpness_experiments::{Error, Result};
use tempfile::tempdir;

const RECIPE: &str = "seeds = [0, 1]\n\
    fixed = { arch = \"mlp\", data.name = \"digits\", hidden = [16], batch_size = 50, max_epochs = 2, examples = 50, rtol = 0.1 }\n\
    grid = { learning_rate = [0.05, 0.1] }\n";

fn plan(text: &str) -> Plan {
    Plan::parse(Path::new("recipe.toml"), text).unwrap()
}

/// Notes how runs end; stops after a number of steps in all.
#[derive(Default)]
struct Notes {
    ends: Mutex<BTreeMap<String, &'static str>>,
    steps: AtomicUsize,
    stop_after: Option<usize>,
}

impl Notes {
    fn stopping_after(steps: usize) -> Self {
        Self { stop_after: Some(steps), ..Self::default() }
    }

    fn count(&self, wanted: &str) -> usize {
        self.ends.lock().unwrap().values().filter(|end| **end == wanted).count()
    }
}

impl SweepObserver for Notes {
    fn begin<'o>(&'o self, _: &'o PlannedRun) -> Box<dyn Observer + 'o> {
        Box::new(Steps(self))
    }

    fn end(&self, run: &PlannedRun, end: &RunEnd) {
        let word = match end {
            RunEnd::Done(_) => "done",
            RunEnd::Known(_) => "known",
            RunEnd::Failed(_) => "failed",
            RunEnd::Elsewhere => "elsewhere",
            RunEnd::Interrupted => "interrupted",
        };
        let before = self.ends.lock().unwrap().insert(run.id.clone(), word);
        assert_eq!(before, None, "the end of a run is told once");
    }

    fn should_stop(&self) -> bool {
        self.stop_after.is_some_and(|steps| self.steps.load(Ordering::Relaxed) >= steps)
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

fn digits(name: DatasetName) -> Result<Dataset> {
    Dataset::load(name, &Locations::default())
}

fn sweep(plan: &Plan, dir: &Path, jobs: usize, retry_failed: bool, notes: &Notes) {
    let store = RunStore::new(dir);
    let checkpoint_every = CheckpointEvery::default();
    let (threads, memory_bytes, load) = (2, 1 << 30, &digits);
    Sweep { plan, store: &store, jobs, threads, memory_bytes, retry_failed, checkpoint_every, load }
        .run(notes)
        .unwrap();
}

/// The final weights and λ_max of every run of the plan.
fn results(plan: &Plan, dir: &Path) -> Vec<(Vec<u8>, u64)> {
    let store = RunStore::new(dir);
    let result = |run: &PlannedRun| {
        let weights = fs::read(store.run(&run.id).weights()).unwrap();
        let measured = store.report(&run.id).unwrap().unwrap().measurement.unwrap();
        (weights, measured.lambda_max.value.to_bits())
    };
    plan.runs.iter().map(result).collect()
}

#[test]
fn runs_are_made_once_and_with_the_same_bits_by_any_number_of_jobs() {
    let plan = plan(RECIPE);
    let (one, two) = (tempdir().unwrap(), tempdir().unwrap());
    let notes = Notes::default();
    sweep(&plan, one.path(), 1, false, &notes);
    assert_eq!(notes.count("done"), 4, "all runs are made");
    sweep(&plan, two.path(), 3, false, &Notes::default());
    assert!(results(&plan, one.path()) == results(&plan, two.path()), "three jobs come to the same bits");

    let again = Notes::default();
    sweep(&plan, one.path(), 2, false, &again);
    assert_eq!((again.count("known"), again.steps.into_inner()), (4, 0), "nothing is made twice");
    let more = RECIPE.replace("[0, 1]", "[0, 1, 2]");
    let added = Notes::default();
    sweep(&self::plan(&more), one.path(), 1, false, &added);
    assert_eq!((added.count("known"), added.count("done")), (4, 2), "a further seed adds its own runs only");
}

#[test]
fn a_stopped_sweep_goes_on_to_the_same_bits_in_a_copied_store() {
    let plan = plan(RECIPE);
    let whole = tempdir().unwrap();
    sweep(&plan, whole.path(), 1, false, &Notes::default());
    let dir = tempdir().unwrap();
    let first = dir.path().join("first");
    let notes = Notes::stopping_after(40);
    sweep(&plan, &first, 2, false, &notes);
    assert!(
        notes.count("interrupted") > 0 && notes.count("done") == 0,
        "40 steps are part of an epoch of two runs"
    );
    let second = dir.path().join("second");
    fs::rename(&first, &second).unwrap();
    let statuses = plan.runs.iter().map(|run| RunStore::new(&second).status(&run.id).unwrap());
    assert!(statuses.into_iter().any(|status| matches!(status, RunStatus::Started(_))), "some have begun");
    sweep(&plan, &second, 1, false, &Notes::default());
    assert!(results(&plan, whole.path()) == results(&plan, &second), "the same bits as without a stop");
}

#[test]
fn a_failure_is_written_down_and_the_others_go_on() {
    let text =
        format!("{RECIPE}[[block]]\n[[block]]\nfixed = {{ data.name = \"mnist\", batch_size = 60 }}\n");
    let plan = plan(&text);
    let dir = tempdir().unwrap();
    let load = |name| match name {
        DatasetName::Digits => digits(name),
        _ => Err(Error::EmptySubset),
    };
    let store = RunStore::new(dir.path());
    let sweep = |retry_failed, notes: &Notes| {
        let checkpoint_every = CheckpointEvery::default();
        let (jobs, threads, memory_bytes) = (1, 2, 1 << 30);
        Sweep {
            plan: &plan,
            store: &store,
            jobs,
            threads,
            memory_bytes,
            retry_failed,
            checkpoint_every,
            load: &load,
        }
        .run(notes)
        .unwrap();
    };
    let notes = Notes::default();
    sweep(false, &notes);
    assert_eq!((notes.count("done"), notes.count("failed")), (4, 4), "half of the runs have no data");
    let failed = plan.runs.last().unwrap();
    let reason = Error::EmptySubset.to_string();
    assert_eq!(store.status(&failed.id).unwrap(), RunStatus::Failed(reason), "the reason is kept");
    assert_eq!(store.ids().unwrap().len(), 8, "failed runs are listed");
    let again = Notes::default();
    sweep(true, &again);
    assert_eq!((again.count("known"), again.count("failed")), (4, 4), "a second try changes nothing");
}

#[test]
fn what_failed_can_be_made_in_a_second_try() {
    let plan = plan(RECIPE);
    let dir = tempdir().unwrap();
    let store = RunStore::new(dir.path());
    for run in &plan.runs {
        fs::create_dir_all(store.run(&run.id).dir()).unwrap();
        fs::write(store.run(&run.id).failure(), "{\"problem\": \"no memory\"}").unwrap();
    }
    let notes = Notes::default();
    sweep(&plan, dir.path(), 1, false, &notes);
    assert_eq!(notes.count("failed"), 4, "it is not tried unless asked for");
    let notes = Notes::default();
    sweep(&plan, dir.path(), 1, true, &notes);
    assert_eq!(notes.count("done"), 4, "it can be made in a second try");
    assert!(!store.run(&plan.runs[0].id).failure().exists(), "and then it has not failed");
}

#[test]
fn a_run_that_another_process_makes_is_left_to_it() {
    let plan = plan(RECIPE);
    let dir = tempdir().unwrap();
    let store = RunStore::new(dir.path());
    let run = &plan.runs[1];
    let held = RunDir::open(store.run(&run.id).dir(), &run.config, true).unwrap();
    assert_eq!(store.status(&run.id).unwrap(), RunStatus::Running, "its lock tells");
    let notes = Notes::default();
    sweep(&plan, dir.path(), 2, false, &notes);
    assert_eq!((notes.count("done"), notes.count("elsewhere")), (3, 1), "the others are made");
    drop(held);
    assert_eq!(store.status(&run.id).unwrap(), RunStatus::Started(0), "a lock ends with its process");
    let notes = Notes::default();
    sweep(&plan, dir.path(), 1, false, &notes);
    assert_eq!((notes.count("known"), notes.count("done")), (3, 1), "it can be made then");
}

#[test]
fn done_runs_tell_what_others_will_cost_and_are_a_table() {
    let plan = plan(RECIPE);
    let dir = tempdir().unwrap();
    sweep(&plan, dir.path(), 1, false, &Notes::default());
    let store = RunStore::new(dir.path());
    let reports: Vec<_> = plan.runs.iter().map(|run| store.report(&run.id).unwrap().unwrap()).collect();

    let cost = Costs::default().of(&plan.runs[0].config).unwrap();
    assert_eq!(cost.epochs, None, "nothing is known without a run");
    assert!(cost.epoch >= cost.step.mul_f64(29.0), "an epoch has 29 steps, {cost:?}");
    let mut slower = plan.runs[0].config.clone();
    slower.training.learning_rate = 0.025;
    slower.training.max_epochs = 100;
    let cost = Costs::from_done(reports.clone()).of(&slower).unwrap();
    assert_eq!(cost.epochs, Some(4.0), "half the step of a run of two epochs takes twice as many");

    let table = RunTable::new(&reports).unwrap();
    assert_eq!((table.columns[0].as_str(), table.rows.len()), ("id", 4), "a row for each run");
    let column = |name: &str| table.columns.iter().position(|column| column == name).unwrap();
    for (row, report) in table.rows.iter().zip(&reports) {
        let value = row[column("measurement.lambda_max.value")].as_f64();
        assert_eq!(value, report.measurement.as_ref().map(|m| m.lambda_max.value), "λ_max with all digits");
        assert_eq!(row[column("config.training.learning_rate")], report.config.training.learning_rate, "η");
    }
}
