//! Sweeps: every run is made once, whatever happens on the way.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use sharpness_data::{Dataset, DatasetName, Error};
use sharpness_runs::{Costs, PlannedRun, RunStatus, RunStore, RunTable};
use tempfile::tempdir;

use crate::small_runs::copy;
use crate::sweeps::{Notes, OnWait, RECIPE, digits, hold, layout, plan, report, results, sweep, sweep_with};

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
    sweep(&crate::sweeps::plan(&more), one.path(), 1, false, &added);
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
    let statuses = plan.runs.iter().map(|run| RunStore::new(&second).status(&run.config));
    assert!(statuses.into_iter().any(|status| matches!(status, RunStatus::Started(_))), "some have begun");
    sweep(&plan, &second, 1, false, &Notes::default());
    assert!(results(&plan, whole.path()) == results(&plan, &second), "the same bits as without a stop");
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
            false => Error::DatasetNotFound { name: "mnist".to_owned(), searched: Vec::new() },
        };
        let load = |name| if name == DatasetName::Digits { digits(name) } else { Err(error()) };
        let notes = Notes::default();
        sweep_with(&plan, dir.path(), 1, false, &load, &notes);
        let word = if is_of_configuration { "failed" } else { "prevented" };
        assert_eq!((notes.count("done"), notes.count(word)), (4, 4), "half of the runs have no data");
        let expected =
            if is_of_configuration { RunStatus::Failed(error().to_string()) } else { RunStatus::Missing };
        assert_eq!(store.status(&failed.config), expected, "what is kept");

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
    for run in &plan.runs {
        fs::create_dir_all(layout(dir.path(), run).dir()).unwrap();
        fs::write(layout(dir.path(), run).failure(), format!("{{\"{}\": \"no memory\"}}", run.identity.run))
            .unwrap();
    }
    let notes = Notes::default();
    sweep(&plan, dir.path(), 1, false, &notes);
    assert_eq!(notes.count("failed"), 4, "it is not tried unless asked for");
    let notes = Notes::default();
    sweep(&plan, dir.path(), 1, true, &notes);
    assert_eq!(notes.count("done"), 4, "it can be made in a second try");
    assert!(!layout(dir.path(), &plan.runs[0]).failure().exists(), "and then it has not failed");
}

#[test]
fn a_run_that_another_process_gives_up_is_waited_for_and_taken_over() {
    let plan = plan(RECIPE);
    for jobs in [1, 2, 3] {
        let dir = tempdir().unwrap();
        let store = RunStore::new(dir.path());
        let held: Vec<_> =
            plan.runs[1..3].iter().map(|run| (run.identity.run.clone(), hold(run, dir.path()))).collect();
        assert_eq!(store.status(&plan.runs[1].config), RunStatus::Running, "its lock tells");
        let held = Mutex::new(held);
        let give_up = move |run: &PlannedRun| held.lock().unwrap().retain(|(id, _)| *id != run.identity.run);
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
    let run = &plan.runs[1];
    let held = Mutex::new(Some(hold(run, dir.path())));
    let (from, to) = (layout(whole.path(), run), layout(dir.path(), run));
    let finish = move |_: &PlannedRun| {
        copy(from.dir(), to.dir());
        held.lock().unwrap().take().unwrap();
    };
    let notes = Notes { on_wait: Some(Box::new(finish)), ..Notes::default() };
    sweep(&plan, dir.path(), 2, false, &notes);
    assert_eq!((notes.count("done"), notes.count("elsewhere")), (3, 1), "each is made once");
}

#[test]
fn a_sweep_that_waits_can_be_stopped() {
    let plan = plan(RECIPE);
    let dir = tempdir().unwrap();
    let _held = hold(&plan.runs[3], dir.path());
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    let on_wait: OnWait = Box::new(move |_| stopped.store(true, Ordering::Relaxed));
    let notes = Notes { on_wait: Some(on_wait), stop, ..Notes::default() };
    sweep(&plan, dir.path(), 1, false, &notes);
    let ends = notes.ends.lock().unwrap();
    assert!(ends.len() == 3 && ends.values().all(|end| *end == "done"), "the others are made: {ends:?}");
}

#[test]
fn done_runs_tell_what_others_will_cost_and_are_a_table() {
    let plan = plan(RECIPE);
    let dir = tempdir().unwrap();
    sweep(&plan, dir.path(), 1, false, &Notes::default());
    let reports: Vec<_> = plan.runs.iter().map(|run| report(dir.path(), run)).collect();

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
    let column = |name: &str| RunTable::columns().iter().position(|(column, _)| column == name).unwrap();
    for (row, report) in table.rows.iter().zip(&reports) {
        let value = row[column("measurement.lambda_max.value")].as_f64();
        assert_eq!(value, report.measurement.as_ref().map(|m| m.lambda_max.value), "λ_max with all digits");
        assert_eq!(row[column("config.training.learning_rate")], report.config.training.learning_rate, "η");
    }
}
