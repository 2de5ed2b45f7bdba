//! Directories of runs: what is refused and with which words, and what damage is noticed.

use std::fs;

use sharpness_experiments::store::{Existing, Opened, RunDir, RunLayout};
use sharpness_experiments::{Completion, Error, RunOptions, complete_run};
use sharpness_kernels::Cpu;
use sharpness_network::Weights;
use tempfile::tempdir;

use crate::data_files::for_each_damage;
use crate::training_runs::{config, digits, options, train};

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
    let Opened::Open(first) = RunDir::open(dir.path(), &config(), Existing::Refuse).unwrap() else {
        panic!("a new run")
    };
    for existing in [Existing::Refuse, Existing::Resume, Existing::Repair] {
        let error = RunDir::open(dir.path(), &config(), existing).unwrap_err();
        assert!(matches!(error, Error::RunLocked { .. }), "{existing:?}: {error}");
    }
    drop(first);
    RunDir::open(dir.path(), &config(), Existing::Resume).unwrap();
}

/// The lock is a file, so a process may hold one that no other process sees any more.
#[test]
fn a_run_whose_directory_was_replaced_does_not_write_into_the_new_one() {
    let folder = tempdir().unwrap();
    let (dir, config) = (folder.path().join("run"), config());
    let mut trained = train(&config, &options(&dir, false), None).unwrap();
    let first = trained.dir.take().unwrap();
    fs::rename(&dir, folder.path().join("old")).unwrap();
    let Opened::Open(second) = RunDir::open(&dir, &config, Existing::Refuse).unwrap() else {
        panic!("a new run")
    };
    let Completion::Made(report) =
        complete_run(&config, digits(), &RunOptions::default(), false, &mut ()).unwrap()
    else {
        panic!("a run without a directory is made")
    };
    let error = first.write_result(&report).unwrap_err();
    assert!(matches!(error, Error::RunReplaced { .. }), "{error}");
    assert!(!second.layout().result().exists(), "nothing is written into the directory of another run");
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
fn a_damaged_configuration_is_named() {
    let (config, dir) = (config(), tempdir().unwrap());
    train(&config, &options(dir.path(), false), Some(2)).unwrap();
    let layout = RunLayout::new(dir.path());
    let whole = fs::read(layout.config()).unwrap();
    let half = &whole[..whole.len() / 2];
    for content in [
        &b""[..],
        b"\n",
        b"seed = 'x'",
        b"[training",
        b"\xff",
        half,
        &[&whole[..], b"\nwidth = 3\n"].concat(),
    ] {
        fs::write(layout.config(), content).unwrap();
        let error = train(&config, &options(dir.path(), true), None).unwrap_err();
        assert!(matches!(&error, Error::DamagedRun { file, .. } if *file == layout.config()), "{error}");
        assert_eq!(fs::read(layout.config()).unwrap(), content, "the file is left as it is");
    }
}

/// Also where it is whole but another run's, as two processes could leave it.
#[test]
fn a_damaged_result_is_measured_again() {
    let (mut config, dir) = (config(), tempdir().unwrap());
    (config.measure.examples, config.measure.rtol) = (60, 0.1);
    let make = |config| complete_run(config, digits(), &options(dir.path(), true), true, &mut ()).unwrap();
    make(&config);
    let layout = RunLayout::new(dir.path());
    let (text, weights) = (fs::read_to_string(layout.result()).unwrap(), fs::read(layout.weights()).unwrap());
    // How long a measurement took is its own.
    let without_seconds = |text: &str| {
        text.lines().filter(|line| !line.contains("seconds")).map(str::to_owned).collect::<Vec<_>>()
    };
    let other = text.replace("\"learning_rate\": 0.05", "\"learning_rate\": 0.25");
    assert_ne!(other, text, "the learning rate is in the result");
    let damages = ["", "{", "{}", "\0", &text[..text.len() / 2], &other];
    for (damage, number) in damages.iter().zip(1..) {
        fs::write(layout.result(), damage).unwrap();
        assert!(matches!(make(&config), Completion::Made(_)), "{damage:?} is no result");
        let again = fs::read_to_string(layout.result()).unwrap();
        assert_eq!(without_seconds(&again), without_seconds(&text), "{damage:?}: the result is the same");
        assert!(fs::read(layout.weights()).unwrap() == weights, "{damage:?}: and so have the weights");
        let name = if number == 1 {
            "result.json.damaged".to_owned()
        } else {
            format!("result.json.damaged-{number}")
        };
        assert_eq!(fs::read(dir.path().join(name)).unwrap(), damage.as_bytes(), "what was there is kept");
        assert!(matches!(make(&config), Completion::Known(_)), "{damage:?}: the run is done");
    }
}

#[test]
fn the_final_weights_can_be_read_by_their_names() {
    let (config, dir) = (config(), tempdir().unwrap());
    let trained = train(&config, &options(dir.path(), false), None).unwrap();
    let network = sharpness_experiments::network(&config, Cpu::<f32>::default()).unwrap();
    let path = RunLayout::new(dir.path()).weights();
    let read = Weights::read(&path, &network, "mlp").unwrap();
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
