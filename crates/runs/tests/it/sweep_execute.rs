//! Sweeps: every run is made once, whatever happens on the way.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use sharpness_experiments::data::{Dataset, DatasetName, Locations};
use sharpness_experiments::measures::Budget;
use sharpness_experiments::store::{
    CheckpointEvery, Existing, Opened, RunDir, RunStatus, RunStore, RunTable,
};
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

type OnWait = Box<dyn Fn(&PlannedRun) + Sync>;

/// Notes how runs end; stops after a number of steps in all.
#[derive(Default)]
struct Notes {
    ends: Mutex<BTreeMap<String, &'static str>>,
    steps: AtomicUsize,
    stop_after: Option<usize>,
    /// Called when a run is waited for.
    on_wait: Option<OnWait>,
    waits: AtomicUsize,
    stop: Arc<AtomicBool>,
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
        let before = self.ends.lock().unwrap().insert(run.id.clone(), word);
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

fn digits(name: DatasetName) -> Result<Dataset> {
    Dataset::load(name, &Locations::default())
}

fn sweep(plan: &Plan, dir: &Path, jobs: usize, retry_failed: bool, notes: &Notes) {
    sweep_with(plan, dir, jobs, retry_failed, &digits, notes);
}

fn sweep_with(
    plan: &Plan,
    dir: &Path,
    jobs: usize,
    retry_failed: bool,
    load: &(dyn Fn(DatasetName) -> Result<Dataset> + Sync),
    notes: &Notes,
) {
    let store = RunStore::new(dir);
    let checkpoint_every = CheckpointEvery::default();
    let (threads, budget) = (2, Budget::of(1 << 30));
    Sweep { plan, store: &store, jobs, threads, budget, retry_failed, checkpoint_every, load }
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
    let statuses = plan.runs.iter().map(|run| RunStore::new(&second).status(&run.id));
    assert!(statuses.into_iter().any(|status| matches!(status, RunStatus::Started(_))), "some have begun");
    sweep(&plan, &second, 1, false, &Notes::default());
    assert!(results(&plan, whole.path()) == results(&plan, &second), "the same bits as without a stop");
}

/// Gives a store the look of one from before the names of runs began with a letter.
fn make_old(plan: &Plan, dir: &Path) {
    for run in &plan.runs {
        let old = run.id.strip_prefix('r').unwrap();
        let (from, to) = (dir.join(&run.id), dir.join(old));
        if !from.exists() {
            continue;
        }
        fs::rename(from, &to).unwrap();
        for name in ["checkpoint.safetensors", "result.json"] {
            let path = to.join(name);
            let Ok(content) = fs::read(&path) else { continue };
            // A space after the name keeps the lengths that a checkpoint states.
            for quote in ["\\\"", "\""] {
                let (new, old) = (format!("{}{quote}", run.id), format!("{old}{quote} "));
                let at = content.windows(new.len()).position(|part| part == new.as_bytes());
                if let Some(at) = at {
                    fs::write(&path, [&content[..at], old.as_bytes(), &content[at + new.len()..]].concat())
                        .unwrap();
                }
            }
        }
    }
}

#[test]
fn an_old_store_is_read_and_nothing_in_it_is_made_again() {
    let plan = plan(RECIPE);
    let (whole, dir) = (tempdir().unwrap(), tempdir().unwrap());
    sweep(&plan, whole.path(), 1, false, &Notes::default());
    sweep(&plan, dir.path(), 2, false, &Notes::stopping_after(40));
    fs::remove_dir_all(dir.path().join(&plan.runs[3].id)).ok();
    fs::create_dir(dir.path().join(&plan.runs[3].id)).unwrap();
    for place in [whole.path(), dir.path()] {
        make_old(&plan, place);
    }
    let store = RunStore::existing(whole.path()).unwrap();
    assert_eq!(store.ids().unwrap().len(), 4, "its runs are listed");
    let id = store.report(&plan.runs[0].id).unwrap().unwrap().id;
    assert_eq!(id, plan.runs[0].id[1..], "under the name that they have there");
    let again = Notes::default();
    sweep(&plan, whole.path(), 1, false, &again);
    assert_eq!((again.count("known"), again.steps.into_inner()), (4, 0), "nothing is made again");

    sweep(&plan, dir.path(), 1, false, &Notes::default());
    assert!(results(&plan, whole.path()) == results(&plan, dir.path()), "runs that had begun are resumed");

    // A store that was put together from an old and a new one has some runs under both names.
    fs::create_dir(whole.path().join(&plan.runs[0].id)).unwrap();
    for entry in fs::read_dir(whole.path().join(&plan.runs[0].id[1..])).unwrap().map(|entry| entry.unwrap()) {
        fs::copy(entry.path(), whole.path().join(&plan.runs[0].id).join(entry.file_name())).unwrap();
    }
    let ids = store.ids().unwrap();
    assert_eq!(ids.len(), 4, "a run counts once: {ids:?}");
    let ids = RunStore::existing(dir.path()).unwrap().ids().unwrap();
    assert!(ids.iter().filter(|id| !id.starts_with('r')).count() >= 3, "where they are: {ids:?}");
}

/// The data of one half of the runs cannot be had, for two reasons: one of the machine, one of the configuration.
#[test]
fn only_what_the_configuration_causes_is_remembered_as_a_failure() {
    let text =
        format!("{RECIPE}[[block]]\n[[block]]\nfixed = {{ data.name = \"mnist\", batch_size = 60 }}\n");
    let plan = plan(&text);
    let failed = plan.runs.last().unwrap();
    for is_of_configuration in [false, true] {
        let dir = tempdir().unwrap();
        let store = RunStore::new(dir.path());
        let error = || match is_of_configuration {
            true => Error::EmptySubset,
            false => Error::DatasetNotFound { name: DatasetName::Mnist, searched: Vec::new() },
        };
        let load = |name| if name == DatasetName::Digits { digits(name) } else { Err(error()) };
        let notes = Notes::default();
        sweep_with(&plan, dir.path(), 1, false, &load, &notes);
        let word = if is_of_configuration { "failed" } else { "prevented" };
        assert_eq!((notes.count("done"), notes.count(word)), (4, 4), "half of the runs have no data");
        let expected =
            if is_of_configuration { RunStatus::Failed(error().to_string()) } else { RunStatus::Missing };
        assert_eq!(store.status(&failed.id), expected, "what is kept");

        // The data are installed later; the digits serve as well.
        let load = |name| match name {
            DatasetName::Digits => digits(name),
            other => Ok(Dataset::random(other, 600, 0)),
        };
        let again = Notes::default();
        sweep_with(&plan, dir.path(), 1, false, &load, &again);
        let tried_again = if is_of_configuration { "failed" } else { "done" };
        assert_eq!((again.count("known"), again.count(tried_again)), (4, 4), "what the next sweep does");
    }
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

/// Holds the lock of a run, as another process would.
fn hold(run: &PlannedRun, store: &RunStore) -> RunDir {
    match RunDir::open(store.run(&run.id).dir(), &run.config, Existing::Resume).unwrap() {
        Opened::Open(held) => held,
        Opened::Finished(report) => panic!("{} is done already", report.id),
    }
}

#[test]
fn a_run_that_another_process_gives_up_is_waited_for_and_taken_over() {
    let plan = plan(RECIPE);
    for jobs in [1, 2, 3] {
        let dir = tempdir().unwrap();
        let store = RunStore::new(dir.path());
        let held: Vec<_> = plan.runs[1..3].iter().map(|run| (run.id.clone(), hold(run, &store))).collect();
        assert_eq!(store.status(&plan.runs[1].id), RunStatus::Running, "its lock tells");
        let held = Mutex::new(held);
        let give_up = move |run: &PlannedRun| held.lock().unwrap().retain(|(id, _)| *id != run.id);
        let notes = Notes { on_wait: Some(Box::new(give_up)), ..Notes::default() };
        sweep(&plan, dir.path(), jobs, false, &notes);
        assert_eq!((notes.count("done"), notes.waits.into_inner()), (4, 2), "all are made, {jobs} jobs");
    }
}

#[test]
fn a_run_that_another_process_makes_is_waited_for_and_not_made_again() {
    let plan = plan(RECIPE);
    let (whole, dir) = (tempdir().unwrap(), tempdir().unwrap());
    sweep(&plan, whole.path(), 1, false, &Notes::default());
    let (store, run) = (RunStore::new(dir.path()), &plan.runs[1]);
    let report = RunStore::new(whole.path()).report(&run.id).unwrap().unwrap();
    let held = Mutex::new(Some(hold(run, &store)));
    let finish = move |_: &PlannedRun| held.lock().unwrap().take().unwrap().write_result(&report).unwrap();
    let notes = Notes { on_wait: Some(Box::new(finish)), ..Notes::default() };
    sweep(&plan, dir.path(), 2, false, &notes);
    assert_eq!((notes.count("done"), notes.count("elsewhere")), (3, 1), "each is made once");
}

#[test]
fn a_sweep_that_waits_can_be_stopped() {
    let plan = plan(RECIPE);
    let dir = tempdir().unwrap();
    let store = RunStore::new(dir.path());
    let _held = hold(&plan.runs[3], &store);
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    let on_wait: OnWait = Box::new(move |_| stopped.store(true, Ordering::Relaxed));
    let notes = Notes { on_wait: Some(on_wait), stop, ..Notes::default() };
    sweep(&plan, dir.path(), 1, false, &notes);
    let ends = notes.ends.lock().unwrap();
    assert!(ends.len() == 3 && ends.values().all(|end| *end == "done"), "the others are made: {ends:?}");
}

/// Every file of a run, damaged or missing, of runs that are done and of runs that were stopped: the next sweep ends in the same
/// bits, and what was damaged is kept.
#[test]
fn a_sweep_repairs_what_is_damaged() {
    let plan = plan(&RECIPE.replace("[0, 1]", "[0]").replace("[0.05, 0.1]", "[0.05]"));
    let run = &plan.runs[0];
    let (whole, stopped) = (tempdir().unwrap(), tempdir().unwrap());
    sweep(&plan, whole.path(), 1, false, &Notes::default());
    sweep(&plan, stopped.path(), 1, false, &Notes::stopping_after(40));
    let expected = results(&plan, whole.path());
    let mut damages = 0;
    for original in [whole.path(), stopped.path()] {
        for name in [
            "config.toml",
            "metrics.jsonl",
            "checkpoint.safetensors",
            "state.json",
            "result.json",
            "failure.json",
        ] {
            let file = RunStore::new(original).run(&run.id).dir().join(name);
            let content = fs::read(&file).unwrap_or_else(|_| b"{\"problem\": \"none\"}".to_vec());
            for (what, damage) in damages_of(&content) {
                let dir = tempdir().unwrap();
                let store = RunStore::new(dir.path());
                copy_files(RunStore::new(original).run(&run.id).dir(), store.run(&run.id).dir());
                let damaged = store.run(&run.id).dir().join(name);
                match &damage {
                    Some(bytes) => fs::write(&damaged, bytes).unwrap(),
                    None => _ = fs::remove_file(&damaged),
                }
                let notes = Notes::default();
                sweep(&plan, dir.path(), 1, false, &notes);
                let ended = notes.ends.lock().unwrap().clone();
                assert!(matches!(store.status(&run.id), RunStatus::Done(_)), "{name} {what}: {ended:?}");
                assert!(results(&plan, dir.path()) == expected, "{name} {what}: other bits");
                damages += 1;
            }
        }
    }
    assert_eq!(damages, 2 * 6 * 9, "all kinds of damage were done");
}

/// Missing, empty, cut at several places, and a byte that no format of text has at several places.
fn damages_of(content: &[u8]) -> Vec<(String, Option<Vec<u8>>)> {
    let mut damages = vec![("missing".to_owned(), None), ("empty".to_owned(), Some(Vec::new()))];
    for place in [1, content.len() / 2, content.len() - 2] {
        damages.push((format!("cut at {place}"), Some(content[..place].to_vec())));
    }
    for place in [0, content.len() / 3, content.len() / 2, content.len() - 2] {
        let mut damaged = content.to_vec();
        damaged[place] ^= 0xa0;
        damages.push((format!("with another byte at {place}"), Some(damaged)));
    }
    damages
}

fn copy_files(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
    }
}

#[test]
fn a_damaged_run_is_told_from_the_others() {
    let plan = plan(RECIPE);
    let dir = tempdir().unwrap();
    sweep(&plan, dir.path(), 1, false, &Notes::default());
    let store = RunStore::new(dir.path());
    let damaged = &plan.runs[0].id;
    fs::write(store.run(damaged).result(), "{").unwrap();
    let statuses: Vec<RunStatus> = store.ids().unwrap().iter().map(|id| store.status(id)).collect();
    let done = statuses.iter().filter(|status| matches!(status, RunStatus::Done(_))).count();
    let reasons: Vec<_> = statuses
        .iter()
        .filter(|status| matches!(status, RunStatus::Damaged(reason) if reason.contains("result.json")))
        .collect();
    assert_eq!((done, reasons.len()), (3, 1), "{statuses:?}");
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
    assert_eq!(table.rows.len(), 4, "a row for each run");
    let column = |name: &str| RunTable::COLUMNS.iter().position(|(column, _)| *column == name).unwrap();
    for (row, report) in table.rows.iter().zip(&reports) {
        let value = row[column("measurement.lambda_max.value")].as_f64();
        assert_eq!(value, report.measurement.as_ref().map(|m| m.lambda_max.value), "λ_max with all digits");
        assert_eq!(row[column("config.training.learning_rate")], report.config.training.learning_rate, "η");
    }
}
