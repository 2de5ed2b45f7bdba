//! A run that is stopped anywhere and resumed ends in the same bits as one that is not.

use std::fs;
use std::path::Path;

use sharpness_runs::{
    CheckpointEvery, Completion, Error, Report, RunLayout, RunObserver, RunOptions, complete_run,
};
use sharpness_training::settings::RunConfig;
use sharpness_training::{Observer, Outcome, StepReport};
use tempfile::tempdir;

use crate::small_runs::{
    Content, NoSteps, config, config_with_batch_norm, config_with_measures, config_with_tracking, copy,
    digits, options, saved_step, train,
};

fn uninterrupted(config: &RunConfig) -> Content {
    let dir = tempdir().unwrap();
    report(train(config, &options(dir.path(), false), None).unwrap());
    Content::of(dir.path())
}

/// The report of a run that is done.
fn report(completion: Completion) -> Report {
    completion.report().expect("the run is not interrupted")
}

#[test]
fn an_interrupted_run_resumes_bit_for_bit() {
    for config in [config(), config_with_batch_norm(), config_with_tracking(), config_with_measures()] {
        let expected = uninterrupted(&config);
        let steps = expected.steps();
        for stop_at in 1..steps {
            let dir = tempdir().unwrap();
            let first = train(&config, &options(dir.path(), false), Some(stop_at)).unwrap();
            assert!(matches!(first, Completion::Stopped), "stopped at {stop_at}: {first:?}");
            assert_eq!(saved_step(dir.path()), stop_at, "the step is finished and no other begins");
            report(train(&config, &options(dir.path(), true), None).unwrap());
            assert!(Content::of(dir.path()) == expected, "stopped at step {stop_at} of {steps}");
        }
    }
}

#[test]
fn a_run_that_is_stopped_after_every_step_arrives_too() {
    let config = config();
    let expected = uninterrupted(&config);
    let dir = tempdir().unwrap();
    let mut completion = train(&config, &options(dir.path(), true), Some(1)).unwrap();
    for step in 2.. {
        if !matches!(completion, Completion::Stopped) {
            break;
        }
        completion = train(&config, &options(dir.path(), true), Some(step)).unwrap();
    }
    assert!(Content::of(dir.path()) == expected, "one step per process");
}

/// Copies the directory at one step, as a kill would leave it.
struct Copy<'d> {
    from: &'d Path,
    to: &'d Path,
    at: u32,
}

impl Observer for Copy<'_> {
    fn on_step(&mut self, step: &StepReport) {
        if step.step == self.at {
            copy(self.from, self.to);
        }
    }
}

impl RunObserver for Copy<'_> {}

#[test]
fn a_killed_run_resumes_at_its_last_checkpoint() {
    let config = config();
    let expected = uninterrupted(&config);
    let policies = [(None, None), (Some(1), None), (Some(2), None), (None, Some(0))];
    for (epochs, seconds) in policies {
        for at in [1, 2, 3, 5, 8, 12] {
            let (dir, killed) = (tempdir().unwrap(), tempdir().unwrap());
            let checkpoint_every = CheckpointEvery { epochs, seconds };
            let with = |dir: &Path| RunOptions { checkpoint_every, ..options(dir, true) };
            let mut copy = Copy { from: dir.path(), to: killed.path(), at };
            complete_run(&config, digits(), &with(dir.path()), false, &mut copy).unwrap();
            // The kill tore the line that was being written.
            let metrics = RunLayout::new(killed.path()).metrics();
            let mut torn = fs::read(&metrics).unwrap();
            torn.extend_from_slice(b"{\"epoch\":9,\"st");
            fs::write(&metrics, torn).unwrap();

            report(train(&config, &with(killed.path()), None).unwrap());
            assert!(Content::of(killed.path()) == expected, "{checkpoint_every:?}, step {at}");
        }
    }
}

#[test]
fn a_trained_run_without_a_result_is_not_trained_again() {
    let (config, dir) = (config(), tempdir().unwrap());
    let first = report(train(&config, &options(dir.path(), false), None).unwrap());
    let content = Content::of(dir.path());
    let complete = |is_measured| {
        complete_run(&config, digits(), &options(dir.path(), true), is_measured, &mut NoSteps).unwrap()
    };
    // Killed before the last two files were written.
    let layout = RunLayout::new(dir.path());
    fs::remove_file(layout.result()).unwrap();
    fs::remove_file(layout.weights()).unwrap();
    let Completion::Made(second) = complete(false) else { panic!("there is no result yet") };
    assert_eq!(*second, first, "the checkpoint holds the whole training");
    assert_eq!(Content::of(dir.path()), content, "nothing else changes");

    let Completion::Made(report) = complete(true) else { panic!("there is no measurement yet") };
    let Completion::Known(stored) = complete(true) else { panic!("the measurement is there") };
    assert_eq!(stored, report, "the stored report is given");
    let Completion::Known(stored) = complete(false) else { panic!("the training is there") };
    assert_eq!(stored.training, first.training, "also to those who want no measurement");
}

#[test]
fn a_diverged_run_stays_diverged() {
    let (mut config, dir) = (config(), tempdir().unwrap());
    config.training.learning_rate = 1e6;
    let first = report(train(&config, &options(dir.path(), false), None).unwrap());
    assert_eq!(first.training.outcome, Outcome::Diverged, "{first:?}");
    fs::remove_file(RunLayout::new(dir.path()).result()).unwrap();
    let again = complete_run(&config, digits(), &options(dir.path(), true), true, &mut NoSteps).unwrap();
    assert!(
        matches!(&again, Completion::Made(report) if **report == first),
        "the checkpoint remembers: {again:?}"
    );
    let again = complete_run(&config, digits(), &options(dir.path(), true), true, &mut NoSteps).unwrap();
    assert!(
        matches!(&again, Completion::Known(report) if **report == first),
        "it needs no measurement: {again:?}"
    );
}

#[test]
fn missing_metrics_are_an_error() {
    let (config, dir) = (config(), tempdir().unwrap());
    train(&config, &options(dir.path(), false), Some(8)).unwrap();
    let metrics = RunLayout::new(dir.path()).metrics();
    for damage in ["", "{}\n{}\n", "nonsense\n"] {
        fs::write(&metrics, damage).unwrap();
        let error = train(&config, &options(dir.path(), true), None).unwrap_err();
        assert!(matches!(&error, Error::DamagedRun { file, .. } if *file == metrics), "{error}");
        assert_eq!(fs::read_to_string(&metrics).unwrap(), damage, "the file is left as it is");
    }
}
