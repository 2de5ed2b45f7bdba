//! Stores of schema 1: read as they are, reused, and never changed.

use std::fs;
use std::path::{Path, PathBuf};

use sharpness_runs::{Error, Identity, RunStatus, RunStore, RunTable};
use sharpness_training::Outcome;
use sharpness_training::measures::{LambdaMin, Trace};
use tempfile::tempdir;

use crate::small_runs::{copy, files, options, train};
use crate::sweeps::{Notes, plan, sweep};

/// The recipe by which an older version made the runs in `schema_1`.
const RECIPE: &str = "seeds = [3]\n\
    fixed = { arch = \"mlp\", data.name = \"digits\", hidden = [4], train_examples = 100, batch_size = 50, max_epochs = 2, \
    momentum = 0.9, examples = 50, rtol = 0.1, trace = 5 }\n\
    grid = { learning_rate = [0.05, 0.1] }\n";

fn schema_1() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/schema_1")
}

/// A store of two finished runs, one of them in a directory that is named as the first versions did, and an unfinished one.
fn old_store(dir: &Path) {
    copy(&schema_1(), dir);
    fs::rename(dir.join("rbf376f7a0a1f854d"), dir.join("bf376f7a0a1f854d")).unwrap();
    let begun = dir.join("r0000000000000001");
    copy(&schema_1().join("r1a98386b7c86f57d"), &begun);
    fs::remove_file(begun.join("result.json")).unwrap();
    let config = fs::read_to_string(begun.join("config.toml")).unwrap();
    fs::write(begun.join("config.toml"), config.replace("seed = 3", "seed = 4")).unwrap();
    fs::write(begun.join("checkpoint.safetensors"), "of an older version").unwrap();
}

#[test]
fn an_old_store_is_listed_with_the_names_of_today() {
    let dir = tempdir().unwrap();
    old_store(dir.path());
    let store = RunStore::existing(dir.path()).unwrap();
    let names = ["bf376f7a0a1f854d", "r0000000000000001", "r1a98386b7c86f57d"];
    assert_eq!(store.trainings().unwrap(), names, "each has a directory");
    assert_eq!(store.old().len(), 2, "two are finished");
    for run in &plan(RECIPE).runs {
        let RunStatus::Done(report) = store.status(&run.config) else { panic!("{} is done", run.label()) };
        assert_eq!(report.config, run.config, "its settings are those that a recipe gives today");
        assert_eq!(Identity { training: report.training_id, run: report.id }, run.identity, "its names");
        assert_eq!(report.training.outcome, Outcome::MaxEpochs, "its training");
        let measured = report.measurement.unwrap();
        assert!(measured.lambda_max.value > 1.0, "its measurement");
        assert_eq!(measured.outcome::<Trace>().map(|trace| trace.probes), Some(5), "with the trace");
        assert_eq!(measured.outcome::<LambdaMin>(), None, "which was not asked for");
    }
    let listed: Vec<Vec<_>> =
        names.iter().map(|name| store.reports(name).into_iter().map(Result::unwrap).collect()).collect();
    assert_eq!(listed.iter().map(Vec::len).collect::<Vec<_>>(), [1, 0, 1], "reports of both");
    assert_eq!(store.training_status("r0000000000000001"), RunStatus::Started(0), "and one had begun");
    let reports: Vec<_> = listed.into_iter().flatten().collect();
    assert_eq!(RunTable::new(&reports).unwrap().rows.len(), 2, "both can be exported");
}

#[test]
fn a_sweep_reuses_an_old_store_and_changes_nothing_in_it() {
    let dir = tempdir().unwrap();
    old_store(dir.path());
    let before = files(dir.path());
    let notes = Notes::default();
    sweep(&plan(RECIPE), dir.path(), 1, false, &notes);
    assert_eq!((notes.count("known"), notes.steps.into_inner()), (2, 0), "nothing is made again");
    assert_eq!(files(dir.path()), before, "nothing is written");

    // Of the seed 4, a run was begun by an older version, whose checkpoint cannot be resumed.
    let more = RECIPE.replace("[3]", "[3, 4]");
    let notes = Notes::default();
    sweep(&plan(&more), dir.path(), 1, false, &notes);
    assert_eq!((notes.count("known"), notes.count("done")), (2, 2), "what is new is made");
    let after = files(dir.path());
    let changed: Vec<&String> =
        before.iter().filter(|(name, old)| after.get(*name) != Some(old)).map(|(name, _)| name).collect();
    assert!(changed.is_empty(), "files of older versions stay as they are: {changed:?}");
    let again = Notes::default();
    sweep(&plan(&more), dir.path(), 1, false, &again);
    assert_eq!(again.count("known"), 4, "both are found");
}

/// An old result with another measurement than is asked for today: the training is made once more, in a directory of its own.
#[test]
fn another_measurement_of_an_old_training_is_made_beside_it() {
    let dir = tempdir().unwrap();
    old_store(dir.path());
    let before = files(dir.path());
    let more = plan(&RECIPE.replace("trace = 5", "trace = 5, top_k = 2"));
    let notes = Notes::default();
    sweep(&more, dir.path(), 1, false, &notes);
    assert_eq!(notes.count("done"), 2, "top_k is another measurement");
    let after = files(dir.path());
    assert!(before.iter().all(|(name, old)| after.get(name) == Some(old)), "nothing old changes");
}

#[test]
fn a_run_of_an_older_version_cannot_be_resumed_and_says_so() {
    let dir = tempdir().unwrap();
    old_store(dir.path());
    let mut config = plan(RECIPE).runs[0].config.clone();
    config.seed = 4;
    let begun = dir.path().join("r0000000000000001");
    let before = files(&begun);
    let error = train(&config, &options(&begun, true), None).unwrap_err();
    assert!(matches!(error, Error::OldRun { .. }), "{error}");
    assert!(error.to_string().contains("older version"), "{error}");
    let mut after = files(&begun);
    after.remove(".lock");
    assert_eq!(after, before, "nothing is written");
}

#[test]
fn a_damaged_result_of_an_older_version_hides_no_other_run() {
    let dir = tempdir().unwrap();
    old_store(dir.path());
    fs::write(dir.path().join("bf376f7a0a1f854d/result.json"), "{").unwrap();
    let before = files(dir.path());
    let store = RunStore::existing(dir.path()).unwrap();
    let error = store.reports("bf376f7a0a1f854d").remove(0).unwrap_err();
    assert!(matches!(error, Error::DamagedRun { .. }), "it is told: {error}");
    assert_eq!(store.old().len(), 1, "the other is found");
    let notes = Notes::default();
    sweep(&plan(RECIPE), dir.path(), 1, false, &notes);
    assert_eq!((notes.count("known"), notes.count("done")), (1, 1), "the damaged one is made again");
    let after = files(dir.path());
    assert!(before.iter().all(|(name, old)| after.get(name) == Some(old)), "nothing old changes");
}
