//! A training and its measurements: each is made once.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::Value;
use sharpness_runs::{
    Completion, Error, Existing, Identity, Provenance, RunLayout, RunOptions, RunStatus, RunStore,
    complete_run,
};
use sharpness_training::settings::RunConfig;
use tempfile::tempdir;

use crate::small_runs::{NoSteps, config, copy, digits, files, options, train};
use crate::sweeps::{Notes, RECIPE, layout, plan, report, results, sweep};

/// The run with another measurement.
fn with_trace(mut config: RunConfig) -> RunConfig {
    config.measure.asked.insert("trace".to_owned(), 5.into());
    config
}

/// The files of a run but those that each start writes.
fn kept(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = files(dir);
    files.retain(|name, _| ![".lock", "provenance.json"].contains(&name.as_str()));
    files
}

#[test]
fn a_second_measurement_trains_nothing() {
    let (config, dir) = (config(), tempdir().unwrap());
    let complete = |config: &RunConfig| {
        complete_run(config, digits(), &options(dir.path(), true), true, &mut NoSteps).unwrap()
    };
    train(&config, &options(dir.path(), false), None).unwrap();
    let Completion::Made(first) = complete(&config) else { panic!("it is measured now") };
    let before = kept(dir.path());
    let other = with_trace(config.clone());
    let Completion::Made(second) = complete(&other) else { panic!("it is measured now") };
    assert_eq!(
        (&first.training_id, &first.training),
        (&second.training_id, &second.training),
        "one training"
    );
    assert_ne!(first.id, second.id, "two runs");

    let mut after = kept(dir.path());
    let added = after.remove(&format!("measurements/{}.json", second.id)).expect("a measurement is added");
    assert_eq!(
        after, before,
        "metrics, checkpoint, weights, the result and the other measurement are the same"
    );
    let record: Value = serde_json::from_slice(&added).unwrap();
    assert_eq!(record["training_id"], first.training_id, "it names its training");
    assert_eq!(record["id"], second.id, "and itself");
    assert_eq!(record["config"]["measure"]["trace"], 5, "and its settings");
    assert!(record["measurement"]["trace"]["value"].is_number(), "with what was asked for");
    for (config, report) in [(config, first), (other, second)] {
        let Completion::Known(known) = complete(&config) else { panic!("both are done") };
        assert_eq!(known, report, "each has its own report");
    }
    assert_eq!(kept(dir.path()).len(), before.len() + 1, "nothing else is written");
}

#[test]
fn planned_runs_that_differ_only_in_measuring_share_a_training() {
    let both = format!(
        "{RECIPE}[[block]]\n[[block]]\nfixed = {{ trace = 5 }}\n[[block]]\nfixed = {{ top_k = 2 }}\n"
    );
    let both = plan(&both);
    let alone = plan(RECIPE);
    for jobs in [1, 3] {
        let (dir, whole) = (tempdir().unwrap(), tempdir().unwrap());
        let (notes, expected) = (Notes::default(), Notes::default());
        sweep(&both, dir.path(), jobs, false, &notes);
        sweep(&alone, whole.path(), 1, false, &expected);
        assert_eq!(notes.count("done"), 12, "twelve runs");
        assert_eq!(notes.steps.into_inner(), expected.steps.into_inner(), "the steps of four trainings");
        assert!(results(&alone, dir.path()) == results(&alone, whole.path()), "the same bits, {jobs} jobs");
        let store = RunStore::existing(dir.path()).unwrap();
        let trainings = store.trainings().unwrap();
        assert_eq!(trainings.len(), 4, "four directories: {trainings:?}");
        for training in &trainings {
            let reports: Vec<_> = store.reports(training).into_iter().map(Result::unwrap).collect();
            assert_eq!(reports.len(), 3, "three measurements of {training}");
            assert!(reports.iter().all(|report| report.training_id == *training), "all of this training");
        }
        for run in &both.runs {
            assert_eq!(report(dir.path(), run).id, run.identity.run, "{} is found", run.label());
        }
    }
}

/// Figures 3 and 4 have runs whose steps Figure 5 takes too.
#[test]
fn a_training_that_measured_on_the_way_serves_the_run_that_did_not() {
    let tracked = plan(&RECIPE.replace("rtol = 0.1", "rtol = 0.1, through_training = 0.5"));
    let (dir, whole, plain) = (tempdir().unwrap(), tempdir().unwrap(), plan(RECIPE));
    let (notes, expected) = (Notes::default(), Notes::default());
    sweep(&tracked, dir.path(), 1, false, &notes);
    let steps = notes.steps.into_inner();
    let notes = Notes::default();
    sweep(&plain, dir.path(), 2, false, &notes);
    sweep(&plain, whole.path(), 1, false, &expected);
    assert_eq!((notes.count("done"), notes.steps.into_inner()), (4, 0), "no step is taken again");
    assert_eq!(expected.steps.into_inner(), steps, "both take the same steps");
    for run in &plain.runs {
        let (own, trained) = (kept(layout(dir.path(), run).dir()), kept(layout(whole.path(), run).dir()));
        assert_eq!(own["weights.safetensors"], trained["weights.safetensors"], "{}", run.label());
        assert_eq!(own["config.toml"], trained["config.toml"], "{}", run.label());
        assert_eq!(own.keys().collect::<Vec<_>>(), trained.keys().collect::<Vec<_>>(), "the same files");
        let text =
            |files: &BTreeMap<String, Vec<u8>>| String::from_utf8(files["metrics.jsonl"].clone()).unwrap();
        assert_eq!(text(&own), text(&trained), "the epochs, without λ_max");
        let (mut own, trained) = (report(dir.path(), run), report(whole.path(), run));
        own.training.seconds = trained.training.seconds;
        assert_eq!(own.training, trained.training);
        assert_eq!(own.measurement.unwrap().lambda_max, trained.measurement.unwrap().lambda_max);
        let starts = Provenance::read(&layout(dir.path(), run).provenance()).unwrap().starts;
        assert_eq!(starts.len(), 2, "who trained, and who measured");
    }
    assert_eq!(RunStore::new(dir.path()).trainings().unwrap().len(), 8, "both are kept");
}

/// What was measured on the way may be damaged or unfinished: then the run is trained.
#[test]
fn a_training_that_cannot_be_taken_over_is_made_again() {
    let tracked = plan(&RECIPE.replace("rtol = 0.1", "rtol = 0.1, through_training = 0.5"));
    let (dir, plain) = (tempdir().unwrap(), plan(RECIPE));
    sweep(&tracked, dir.path(), 1, false, &Notes::default());
    let files = |run: usize| layout(dir.path(), &tracked.runs[run]);
    fs::write(files(0).checkpoint(), "torn").unwrap();
    fs::remove_file(files(1).metrics()).unwrap();
    fs::remove_file(files(2).result()).unwrap();
    fs::write(files(3).provenance(), "{").unwrap();
    let notes = Notes::default();
    sweep(&plain, dir.path(), 1, false, &notes);
    assert_eq!(notes.count("done"), 4, "all are made");
    assert!(notes.steps.into_inner() > 0, "by training");
    let whole = tempdir().unwrap();
    sweep(&plain, whole.path(), 1, false, &Notes::default());
    assert!(results(&plain, dir.path()) == results(&plain, whole.path()), "to the same bits");
}

/// What cannot be measured says nothing about what can.
#[test]
fn runs_that_share_a_training_fail_on_their_own() {
    let both = plan(&format!("{RECIPE}[[block]]\n[[block]]\nfixed = {{ trace = 5 }}\n"));
    let (dir, failed) = (tempdir().unwrap(), both.runs.last().unwrap());
    let failure = layout(dir.path(), failed).failure();
    fs::create_dir_all(failure.parent().unwrap()).unwrap();
    fs::write(&failure, format!("{{\"{}\": \"no such trace\"}}", failed.identity.run)).unwrap();
    let notes = Notes::default();
    sweep(&both, dir.path(), 1, false, &notes);
    assert_eq!((notes.count("done"), notes.count("failed")), (7, 1), "one of two that share a training");
    let status = RunStore::new(dir.path()).status(&failed.config);
    assert_eq!(status, RunStatus::Failed("no such trace".to_owned()), "which is remembered");
    let notes = Notes::default();
    sweep(&both, dir.path(), 1, true, &notes);
    assert_eq!((notes.count("known"), notes.count("done")), (7, 1), "until it is tried again");
    assert!(!failure.exists(), "and then it has not failed");
}

/// A training whose checkpoint is gone, or not of its end, has no weights to measure: those of its start are none.
#[test]
fn a_training_without_its_last_checkpoint_is_not_measured() {
    let (config, dir, stopped) = (config(), tempdir().unwrap(), tempdir().unwrap());
    train(&config, &options(dir.path(), false), None).unwrap();
    train(&config, &options(stopped.path(), false), Some(4)).unwrap();
    let checkpoint = RunLayout::new(dir.path()).checkpoint();
    let early = fs::read(RunLayout::new(stopped.path()).checkpoint()).unwrap();
    for content in [None, Some(early)] {
        match &content {
            None => fs::remove_file(&checkpoint).unwrap(),
            Some(content) => fs::write(&checkpoint, content).unwrap(),
        }
        let before = kept(dir.path());
        let error =
            complete_run(&config, digits(), &options(dir.path(), true), true, &mut NoSteps).unwrap_err();
        assert!(matches!(&error, Error::DamagedRun { file, .. } if *file == checkpoint), "{error}");
        assert_eq!(kept(dir.path()), before, "nothing is changed");
    }
}

#[test]
fn each_start_leaves_its_provenance() {
    let (config, dir) = (config(), tempdir().unwrap());
    let layout = RunLayout::new(dir.path());
    let starts = || Provenance::read(&layout.provenance()).unwrap().starts;
    assert!(starts().is_empty(), "nothing has begun");
    train(&config, &options(dir.path(), false), Some(2)).unwrap();
    assert_eq!(starts().len(), 1, "begun");
    train(&config, &options(dir.path(), true), None).unwrap();
    let two = starts();
    assert_eq!(two.len(), 2, "resumed");
    train(&config, &options(dir.path(), true), None).unwrap();
    assert_eq!(starts(), two, "what is done is not begun again");
    complete_run(&config, digits(), &options(dir.path(), true), true, &mut ()).unwrap();
    let three = starts();
    assert_eq!((three.len(), &three[..2]), (3, &two[..]), "a measurement is a start too");
    let start = &three[2];
    assert_eq!(start.version, env!("CARGO_PKG_VERSION"), "the version");
    assert_eq!(start.threads, rayon::current_num_threads(), "the threads");
    assert!(!start.command.is_empty() && start.time > 1_700_000_000, "{start:?}");

    fs::write(layout.provenance(), "[{").unwrap();
    complete_run(&with_trace(config), digits(), &options(dir.path(), true), true, &mut ()).unwrap();
    assert_eq!(starts().len(), 1, "a run does not fail for a damaged provenance");
    assert_eq!(fs::read(dir.path().join("provenance.json.damaged")).unwrap(), b"[{", "which is kept");
}

#[test]
fn names_do_not_depend_on_what_made_a_run() {
    let (config, dir) = (config(), tempdir().unwrap());
    let one = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    let out =
        |name: &str| RunOptions { existing: Existing::Refuse, ..options(&dir.path().join(name), false) };
    let report =
        |name: &str| complete_run(&config, digits(), &out(name), true, &mut ()).unwrap().report().unwrap();
    let (first, second) = (report("first"), one.install(|| report("second")));
    let Identity { training, run } = Identity::of(&config).unwrap();
    for report in [&first, &second] {
        assert_eq!((&report.training_id, &report.id), (&training, &run), "the names of the settings");
    }
    let moved = dir.path().join("moved");
    copy(&dir.path().join("first"), &moved);
    let known = complete_run(&config, digits(), &options(&moved, true), true, &mut NoSteps).unwrap();
    assert!(matches!(known, Completion::Known(report) if *report == first), "a copy is the same run");
}
