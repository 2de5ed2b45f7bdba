//! Directories of runs: what is refused and with which words, and what damage is noticed.

use std::fs;

use sharpness_experiments::Error;
use sharpness_experiments::store::{Opened, RunDir, RunLayout};
use sharpness_network::{Cpu, Match, Weights};
use tempfile::tempdir;

use crate::data_files::for_each_damage;
use crate::training_runs::{config, options, train};

#[test]
fn a_run_is_not_overwritten() {
    let (config, dir) = (config(), tempdir().unwrap());
    train(&config, &options(dir.path(), false), Some(1)).unwrap();
    let error = train(&config, &options(dir.path(), false), None).unwrap_err();
    assert!(matches!(error, Error::RunExists { .. }), "{error}");
    assert!(error.to_string().contains("add --resume"), "{error}");
}

#[test]
fn another_configuration_is_refused_with_the_keys_that_differ() {
    let (mut config, dir) = (config(), tempdir().unwrap());
    train(&config, &options(dir.path(), false), Some(1)).unwrap();
    config.training.learning_rate = 0.25;
    config.data.train_examples = None;
    let error = train(&config, &options(dir.path(), true), None).unwrap_err().to_string();
    assert!(error.contains("training.learning_rate (0.05 and 0.25)"), "{error}");
    assert!(error.contains("data.train_examples (250 and absent)"), "{error}");
    assert!(!error.contains(" seed ("), "the seed of the run is the same: {error}");
}

#[test]
fn a_directory_of_other_files_is_refused() {
    let dir = tempdir().unwrap();
    fs::write(dir.path().join("thesis.tex"), "").unwrap();
    let error = train(&config(), &options(dir.path(), true), None).unwrap_err();
    assert!(matches!(&error, Error::NotARun { found, .. } if found == "thesis.tex"), "{error}");
    let file = dir.path().join("thesis.tex");
    let error = train(&config(), &options(&file, false), None).unwrap_err();
    assert!(matches!(&error, Error::Io { path, .. } if *path == file), "{error}");
}

#[test]
fn two_processes_do_not_write_one_run() {
    let dir = tempdir().unwrap();
    let Opened::Open(first) = RunDir::open(dir.path(), &config(), false).unwrap() else {
        panic!("a new run")
    };
    let error = RunDir::open(dir.path(), &config(), true).unwrap_err();
    assert!(matches!(error, Error::RunLocked { .. }), "{error}");
    drop(first);
    RunDir::open(dir.path(), &config(), true).unwrap();
}

#[test]
fn every_damage_of_a_checkpoint_is_noticed() {
    let (config, dir) = (config(), tempdir().unwrap());
    train(&config, &options(dir.path(), false), Some(4)).unwrap();
    let checkpoint = RunLayout::new(dir.path()).checkpoint();
    let content = fs::read(&checkpoint).unwrap();
    let expected = train(&config, &options(dir.path(), true), None).unwrap().state.weights;
    let places = (0..content.len()).step_by(content.len() / 40);
    for_each_damage(&content, places, |damaged, what| {
        fs::write(&checkpoint, damaged).unwrap();
        match train(&config, &options(dir.path(), true), None) {
            // A blank of the header may have become another blank.
            Ok(trained) => assert!(trained.state.weights == expected, "{what} goes unnoticed"),
            Err(Error::DamagedRun { file, .. }) => assert_eq!(file, checkpoint, "{what}"),
            Err(error) => panic!("{what}: {error}"),
        }
    });
}

#[test]
fn a_damaged_configuration_or_result_is_named() {
    let (config, dir) = (config(), tempdir().unwrap());
    drop(train(&config, &options(dir.path(), false), None).unwrap());
    let layout = RunLayout::new(dir.path());
    fs::write(layout.result(), "{").unwrap();
    let error = train(&config, &options(dir.path(), true), None).unwrap_err();
    assert!(matches!(&error, Error::DamagedRun { file, .. } if *file == layout.result()), "{error}");
    fs::write(layout.config(), "seed = 'x'").unwrap();
    let error = train(&config, &options(dir.path(), true), None).unwrap_err();
    assert!(matches!(&error, Error::DamagedRun { file, .. } if *file == layout.config()), "{error}");
}

#[test]
fn the_final_weights_can_be_read_by_their_names() {
    let (config, dir) = (config(), tempdir().unwrap());
    let trained = train(&config, &options(dir.path(), false), None).unwrap();
    let network = sharpness_experiments::network(&config, Cpu::<f32>::default()).unwrap();
    let path = RunLayout::new(dir.path()).weights();
    let read = Weights::read(&path, &network, Match::Name, "mlp").unwrap();
    assert_eq!(read, trained.state.weights, "weights.safetensors holds the last iterate");
    let names: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert!(!names.iter().any(|name| name.to_string_lossy().contains("partial")), "{names:?}");
}

/// A file in the place of a file that is to be written makes the write fail for any user, as a full disk does.
#[test]
fn a_file_that_cannot_be_written_is_named() {
    let (config, dir) = (config(), tempdir().unwrap());
    train(&config, &options(dir.path(), false), Some(2)).unwrap();
    let checkpoint = RunLayout::new(dir.path()).checkpoint();
    let before = fs::read(&checkpoint).unwrap();
    let blocked = dir.path().join("checkpoint.safetensors.partial");
    fs::create_dir(&blocked).unwrap();
    let error = train(&config, &options(dir.path(), true), None).unwrap_err();
    assert!(matches!(&error, Error::Io { path, .. } if *path == blocked), "{error}");
    assert_eq!(fs::read(&checkpoint).unwrap(), before, "the last checkpoint is kept");
}

#[cfg(target_os = "linux")]
#[test]
fn a_directory_that_takes_no_files_is_named() {
    // Not even the superuser can create anything here.
    let dir = std::path::Path::new("/proc/self/sharpness");
    let error = train(&config(), &options(dir, false), None).unwrap_err();
    assert!(matches!(&error, Error::Io { path, .. } if path == dir), "{error}");
    assert!(error.to_string().starts_with("cannot create /proc/self/sharpness: "), "{error}");
}
