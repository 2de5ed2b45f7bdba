//! Directories of runs: what is refused and with which words, and what damage is noticed.

use std::fs;
use std::path::{Path, PathBuf};

use sharpness_network::Weights;
use sharpness_network::backend::Backend;
use sharpness_runs::{
    Completion, Error, Existing, Identity, Opened, RunDir, RunLayout, RunObserver, complete_run, last_step,
};
use sharpness_training::settings::RunConfig;
use sharpness_training::{Engine, EpochMetrics, MeasureProgress, Observer, StepReport, Visitor, with_engine};
use tempfile::tempdir;

use crate::damage::for_each_damage;
use crate::small_runs::{Content, config, digits, options, train};

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
    assert!(error.contains("data.train_examples (250 and unset)"), "{error}");
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
    let Opened::Open(first) = RunDir::open(dir.path(), &config(), Existing::Refuse, true).unwrap() else {
        panic!("a new run")
    };
    for existing in [Existing::Refuse, Existing::Resume, Existing::Repair] {
        let error = RunDir::open(dir.path(), &config(), existing, true).unwrap_err();
        assert!(matches!(error, Error::RunLocked { .. }), "{existing:?}: {error}");
    }
    drop(first);
    RunDir::open(dir.path(), &config(), Existing::Resume, true).unwrap();
}

/// Replaces the directory of the run that it watches, as soon as the run is somewhere.
struct Replace {
    when: &'static str,
    dir: PathBuf,
    second: Option<Box<RunDir>>,
}

impl Replace {
    fn at(&mut self, place: &'static str) {
        if place != self.when || self.second.is_some() {
            return;
        }
        fs::rename(&self.dir, self.dir.with_file_name("old")).unwrap();
        let Opened::Open(second) = RunDir::open(&self.dir, &config(), Existing::Refuse, true).unwrap() else {
            panic!("a new run")
        };
        self.second = Some(second);
    }
}

impl Observer for Replace {
    fn on_step(&mut self, _: &StepReport) {
        self.at("step");
    }
    fn on_epoch(&mut self, _: &EpochMetrics) {
        self.at("epoch");
    }
    fn on_measure(&mut self, _: &MeasureProgress) {
        self.at("measurement");
    }
}

impl RunObserver for Replace {}

/// The lease is in the directory, so a process may hold one that no other process sees any more.
#[test]
fn a_run_whose_directory_was_replaced_does_not_write_into_the_new_one() {
    for when in ["step", "epoch", "measurement"] {
        let folder = tempdir().unwrap();
        let dir = folder.path().join("run");
        let mut replace = Replace { when, dir: dir.clone(), second: None };
        let error = complete_run(&config(), digits(), &options(&dir, false), true, &mut replace).unwrap_err();
        assert!(matches!(error, Error::RunReplaced { .. }), "{when}: {error}");
        let second = replace.second.unwrap();
        let names = names(second.layout().dir());
        let expected = [".lease", "config.toml", "provenance.json"];
        assert_eq!(names, expected, "{when}: nothing is written into the directory of another run");
    }
}

fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort_unstable();
    names
}

#[test]
fn every_damage_of_a_checkpoint_is_noticed() {
    let (config, dir) = (config(), tempdir().unwrap());
    train(&config, &options(dir.path(), false), Some(4)).unwrap();
    let checkpoint = RunLayout::new(dir.path()).checkpoint();
    let content = fs::read(&checkpoint).unwrap();
    train(&config, &options(dir.path(), true), None).unwrap();
    let (expected, layout) = (Content::of(dir.path()), RunLayout::new(dir.path()));
    let places = (0..content.len()).step_by(content.len() / 40);
    for_each_damage(&content, places, |damaged, what| {
        fs::write(&checkpoint, damaged).unwrap();
        // A run that is done does not read its checkpoint.
        fs::remove_file(layout.result()).ok();
        match train(&config, &options(dir.path(), true), None) {
            // A blank of the header may have become another blank.
            Ok(_) => assert!(Content::of(dir.path()) == expected, "{what} goes unnoticed"),
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

/// The files of a run that hold results: of its training, and of its measurement.
fn results(dir: &Path, config: &RunConfig) -> [PathBuf; 2] {
    let layout = RunLayout::new(dir);
    [layout.result(), layout.measurement(&Identity::of(config).unwrap().run)]
}

fn complete(dir: &Path, config: &RunConfig) -> Completion {
    complete_run(config, digits(), &options(dir, true), true, &mut ()).unwrap()
}

/// Also where it is whole but another run's, as two processes could leave it.
#[test]
fn a_damaged_result_or_measurement_is_set_aside_and_computed_again() {
    // How long a measurement took is its own.
    let without_seconds = |text: &str| {
        text.lines().filter(|line| !line.contains("seconds")).map(str::to_owned).collect::<Vec<_>>()
    };
    for which in [0, 1] {
        let (config, dir) = (config(), tempdir().unwrap());
        complete(dir.path(), &config);
        let files = results(dir.path(), &config);
        let (file, sound) = (&files[which], &files[1 - which]);
        let content = Content::of(dir.path());
        let (text, kept) = (fs::read_to_string(file).unwrap(), fs::read(sound).unwrap());
        let other = text.replace("\"learning_rate\": 0.05", "\"learning_rate\": 0.25");
        assert_ne!(other, text, "the learning rate is in the file");
        let later = text.replace("\"schema\": 2", "\"schema\": 3");
        assert_ne!(later, text, "the schema is in the file");
        let damages = ["", "{", "{}", "\0", &text[..text.len() / 2], &other, &later];
        for (damage, number) in damages.iter().zip(1..) {
            fs::write(file, damage).unwrap();
            assert!(matches!(complete(dir.path(), &config), Completion::Made(_)), "{damage:?} is no result");
            let again = fs::read_to_string(file).unwrap();
            assert_eq!(without_seconds(&again), without_seconds(&text), "{damage:?}: the result is the same");
            assert!(fs::read(sound).unwrap() == kept, "{damage:?}: what is sound does not change");
            assert!(Content::of(dir.path()) == content, "{damage:?}: nor does the training");
            let mut name = file.as_os_str().to_owned();
            name.push(".damaged");
            if number > 1 {
                name.push(format!("-{number}"));
            }
            assert_eq!(fs::read(name).unwrap(), damage.as_bytes(), "what was there is kept");
            assert!(
                matches!(complete(dir.path(), &config), Completion::Known(_)),
                "{damage:?}: the run is done"
            );
        }
    }
}

#[test]
fn a_damaged_result_beside_a_damaged_measurement_loses_neither() {
    let (config, dir) = (config(), tempdir().unwrap());
    complete(dir.path(), &config);
    let content = Content::of(dir.path());
    let files = results(dir.path(), &config);
    files.iter().for_each(|file| fs::write(file, "{").unwrap());
    assert!(matches!(complete(dir.path(), &config), Completion::Made(_)), "both are computed again");
    for file in files {
        let mut name = file.as_os_str().to_owned();
        name.push(".damaged");
        assert_eq!(fs::read(&name).unwrap(), b"{", "{} is kept", file.display());
    }
    assert_eq!(Content::of(dir.path()), content, "the training is the same");
    assert!(matches!(complete(dir.path(), &config), Completion::Known(_)), "the run is done");
}

#[test]
fn the_final_weights_can_be_read_by_their_names() {
    struct Read<'p>(&'p Path);
    impl Visitor for Read<'_> {
        type Output = Weights;
        fn visit<B: Backend>(self, engine: &Engine<B>) -> Weights {
            Weights::read(self.0, &engine.network, "mlp").unwrap()
        }
    }
    let (config, dir) = (config(), tempdir().unwrap());
    train(&config, &options(dir.path(), false), None).unwrap();
    let read = with_engine(&config, Read(&RunLayout::new(dir.path()).weights())).unwrap();
    let last = last_step(dir.path(), digits()).unwrap().weights;
    assert_eq!(read, last, "weights.safetensors holds the last iterate");
    assert!(!names(dir.path()).iter().any(|name| name.contains("partial")), "no partial file is left");
}

/// A file in the place of a file that is to be written makes the write fail for any user, as a full disk does.
#[test]
fn a_file_that_cannot_be_written_is_named() {
    let (config, dir) = (config(), tempdir().unwrap());
    train(&config, &options(dir.path(), false), Some(2)).unwrap();
    let checkpoint = RunLayout::new(dir.path()).checkpoint();
    let before = fs::read(&checkpoint).unwrap();
    let blocked = dir.path().join("state.json");
    fs::remove_file(&blocked).unwrap();
    fs::create_dir(&blocked).unwrap();
    let error = train(&config, &options(dir.path(), true), Some(3)).unwrap_err();
    assert!(matches!(&error, Error::Io { path, .. } if *path == blocked), "{error}");
    assert_ne!(fs::read(&checkpoint).unwrap(), before, "what is written before is kept");
    fs::remove_dir(&blocked).unwrap();
    train(&config, &options(dir.path(), true), None).unwrap();
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
