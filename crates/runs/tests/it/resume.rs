//! A run that is stopped anywhere and goes on ends in the same bits as one that is not.

use std::fs;
use std::path::Path;

use sharpness_experiments::config::RunConfig;
use sharpness_experiments::store::{CheckpointEvery, RunLayout};
use sharpness_experiments::training::{EpochMetrics, Observer, Outcome, StepReport, TrainState};
use sharpness_experiments::{Completion, Error, Run, RunOptions, complete_run, train_run};
use tempfile::tempdir;

use crate::training_runs::{config, config_with_batch_norm, config_with_tracking, digits, options, train};

/// What must be the same: all but the time.
fn content(dir: &Path, state: &TrainState) -> (TrainState, String, Vec<u8>) {
    let layout = RunLayout::new(dir);
    let mut state = state.clone();
    state.progress.seconds = 0.0;
    (state, fs::read_to_string(layout.metrics()).unwrap(), fs::read(layout.weights()).unwrap())
}

fn uninterrupted(config: &RunConfig) -> (TrainState, String, Vec<u8>) {
    let dir = tempdir().unwrap();
    let trained = train(config, &options(dir.path(), false), None).unwrap();
    content(dir.path(), &trained.state)
}

#[test]
fn an_interrupted_run_goes_on_bit_for_bit() {
    for config in [config(), config_with_batch_norm(), config_with_tracking()] {
        let expected = uninterrupted(&config);
        let steps = expected.0.progress.step;
        for stop_at in 1..steps {
            let dir = tempdir().unwrap();
            let first = train(&config, &options(dir.path(), false), Some(stop_at)).unwrap();
            assert_eq!(first.report.outcome, Outcome::Interrupted, "stopped at {stop_at}");
            assert_eq!(first.report.steps, stop_at, "the step is finished and no other begins");
            drop(first);
            let second = train(&config, &options(dir.path(), true), None).unwrap();
            assert!(content(dir.path(), &second.state) == expected, "stopped at step {stop_at} of {steps}");
        }
    }
}

#[test]
fn a_run_that_is_stopped_after_every_step_arrives_too() {
    let config = config();
    let expected = uninterrupted(&config);
    let dir = tempdir().unwrap();
    let mut trained = train(&config, &options(dir.path(), true), Some(1)).unwrap();
    for step in 2.. {
        if trained.report.outcome != Outcome::Interrupted {
            break;
        }
        drop(trained);
        trained = train(&config, &options(dir.path(), true), Some(step)).unwrap();
    }
    assert!(content(dir.path(), &trained.state) == expected, "one step per process");
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
            for entry in fs::read_dir(self.from).unwrap() {
                let entry = entry.unwrap();
                fs::copy(entry.path(), self.to.join(entry.file_name())).unwrap();
            }
        }
    }
}

#[test]
fn a_killed_run_goes_on_from_its_last_checkpoint() {
    let config = config();
    let expected = uninterrupted(&config);
    let policies = [(None, None), (Some(1), None), (Some(2), None), (None, Some(0))];
    for (epochs, seconds) in policies {
        for at in [1, 2, 3, 5, 8, 12] {
            let (dir, killed) = (tempdir().unwrap(), tempdir().unwrap());
            let checkpoint_every = CheckpointEvery { epochs, seconds };
            let with = |dir: &Path| RunOptions { checkpoint_every, ..options(dir, true) };
            let mut copy = Copy { from: dir.path(), to: killed.path(), at };
            train_run(&config, digits(), &with(dir.path()), &mut copy).unwrap();
            // The kill tore the line that was being written.
            let metrics = RunLayout::new(killed.path()).metrics();
            let mut torn = fs::read(&metrics).unwrap();
            torn.extend_from_slice(b"{\"epoch\":9,\"st");
            fs::write(&metrics, torn).unwrap();

            let trained = train(&config, &with(killed.path()), None).unwrap();
            assert!(content(killed.path(), &trained.state) == expected, "{checkpoint_every:?}, step {at}");
        }
    }
}

#[test]
fn a_trained_run_without_result_is_not_trained_again() {
    struct NoSteps;
    impl Observer for NoSteps {
        fn on_step(&mut self, step: &StepReport) {
            panic!("trained again: {step:?}");
        }
        fn on_epoch(&mut self, metrics: &EpochMetrics) {
            panic!("trained again: {metrics:?}");
        }
    }
    let (config, dir) = (config(), tempdir().unwrap());
    let first = train(&config, &options(dir.path(), false), None).unwrap();
    let (state, report) = (first.state.clone(), first.report.clone());
    drop(first);
    let run = train_run(&config, digits(), &options(dir.path(), true), &mut NoSteps).unwrap();
    let Run::Trained(second) = run else { panic!("there is no result yet") };
    assert_eq!((&second.state, &second.report), (&state, &report), "the checkpoint holds the whole training");

    drop(second);
    let made = complete_run(&config, digits(), &options(dir.path(), true), false, &mut NoSteps).unwrap();
    let Completion::Made(report) = made else { panic!("the result is written now") };
    let run = train_run(&config, digits(), &options(dir.path(), true), &mut NoSteps).unwrap();
    assert!(matches!(run, Run::Finished(stored) if stored == report), "the stored result is given");
}

#[test]
fn a_diverged_run_stays_diverged() {
    let (mut config, dir) = (config(), tempdir().unwrap());
    config.training.learning_rate = 1e6;
    let first = train(&config, &options(dir.path(), false), None).unwrap().report;
    let second = train(&config, &options(dir.path(), true), None).unwrap().report;
    assert_eq!(first.outcome, Outcome::Diverged, "{first:?}");
    assert_eq!(second, first, "the checkpoint remembers");
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
