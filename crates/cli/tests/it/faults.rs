//! Sweeps under faults of the machine: none of them is remembered, and nothing is lost.
#![cfg(unix)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::tempdir;

use crate::program::{Ended, command, ended, kept_report, measurement_file, run, text};

const RECIPE: &str = "seeds = [0, 1]\nfixed = { arch = \"mlp\", data.name = \"digits\", hidden = [4], batch_size = 50, \
    max_epochs = 3, target_accuracy = 1.0, momentum = 0.9, examples = 50, rtol = 0.5 }\n";

/// A recipe, and the weights and λ_max to which its runs must come.
struct Expected {
    folder: tempfile::TempDir,
    recipe: PathBuf,
    results: Vec<(Vec<u8>, Value)>,
}

impl Expected {
    fn new() -> Self {
        let folder = tempdir().unwrap();
        let (recipe, store) = (folder.path().join("recipe.toml"), folder.path().join("expected"));
        fs::write(&recipe, RECIPE).unwrap();
        let mut expected = Self { folder, recipe, results: Vec::new() };
        run(&expected.sweep(&store)).out_with(0);
        expected.results = results(&store);
        assert_eq!(expected.results.len(), 2, "both runs are made");
        expected
    }

    fn sweep<'a>(&'a self, store: &'a Path) -> [&'a str; 6] {
        ["sweep", text(&self.recipe), "--store", text(store), "--threads", "1"]
    }

    /// Sweeps with the shell's `limit`, then without it. Gives how the first sweep ended.
    fn survives(&self, limit: &str) -> Ended {
        let store = self.folder.path().join("store");
        let mut limited = Command::new("sh");
        limited.args(["-c", &format!("{limit}; exec \"$0\" \"$@\""), env!("CARGO_BIN_EXE_sharpness")]);
        let first = ended({
            limited.args(self.sweep(&store)).stdin(Stdio::null());
            limited
        });
        assert!(
            matches!(first.code, Some(0 | 1)),
            "`{limit}` ends with an error, not with a signal: {first:?}"
        );
        assert!(!first.err.contains("panicked"), "`{limit}` is no panic: {first:?}");
        let second = run(&self.sweep(&store));
        assert!(
            second.code == Some(0) && second.out.contains("2 of 2 done"),
            "after `{limit}`: {first:?}\n{second:?}"
        );
        assert!(results(&store) == self.results, "after `{limit}` the results have other bits");
        fs::remove_dir_all(&store).unwrap();
        first
    }
}

/// The weights and λ_max of the runs of a store, in the order of their names.
fn results(store: &Path) -> Vec<(Vec<u8>, Value)> {
    let mut dirs: Vec<PathBuf> = fs::read_dir(store).unwrap().map(|entry| entry.unwrap().path()).collect();
    dirs.sort();
    let result = |dir: &PathBuf| {
        let lambda_max = kept_report(dir)["measurement"]["lambda_max"].clone();
        assert!(lambda_max.is_object(), "{} is measured", dir.display());
        (fs::read(dir.join("weights.safetensors")).unwrap(), lambda_max)
    };
    dirs.iter().map(result).collect()
}

/// Files that may not grow beyond some size fail as on a full disk; here each size at which some write of a run is cut.
#[test]
fn no_full_disk_is_remembered() {
    let expected = Expected::new();
    let failed =
        (0..16).filter(|blocks| expected.survives(&format!("ulimit -f {blocks}")).code == Some(1)).count();
    assert!(failed >= 7, "{failed} sweeps met a full disk");
}

/// Too few descriptors make the opening of files fail, each number at another place.
#[test]
fn no_lack_of_descriptors_is_remembered() {
    let expected = Expected::new();
    let failed =
        (4..16).filter(|files| expected.survives(&format!("ulimit -n {files}")).code != Some(0)).count();
    assert!(failed >= 2, "{failed} sweeps met a lack of descriptors");
}

#[test]
fn no_kill_is_remembered() {
    let expected = Expected::new();
    let store = expected.folder.path().join("store");
    for delay_ms in [5, 10, 20, 40, 60, 80, 120, 160] {
        let mut child =
            command(&expected.sweep(&store)).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(delay_ms));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    run(&expected.sweep(&store)).out_with(0);
    assert!(results(&store) == expected.results, "after kills the results have other bits");
}

#[test]
fn data_that_are_installed_later_are_used() {
    let folder = tempdir().unwrap();
    let (recipe, store) = (folder.path().join("recipe.toml"), folder.path().join("store"));
    fs::write(&recipe, "fixed = { arch = \"mlp\", data.name = \"cifar10\", hidden = [4] }\n").unwrap();
    let sweep = ["sweep", text(&recipe), "--store", text(&store), "--data-dir", text(folder.path())];
    for _ in 0..2 {
        let first = run(&sweep);
        if first.code == Some(0) {
            println!("skipped: CIFAR-10 is on this machine");
            return;
        }
        assert!(first.err.contains("the data set 'cifar10' was not found"), "{first:?}");
        assert!(!first.out.contains("--retry-failed"), "no flag is needed to try again: {first:?}");
    }
    let shown = run(&["sweep", text(&recipe), "--store", text(&store), "--dry-run", "--json"]).json_with(0);
    assert_eq!(shown[0]["status"], "to do", "the next sweep tries again");
}

#[test]
fn one_damaged_run_hides_no_other() {
    let expected = Expected::new();
    let store = expected.folder.path().join("store");
    run(&expected.sweep(&store)).out_with(0);
    let figure = expected.folder.path().join("figure.toml");
    let x = "[figure]\nkind = \"lines\"\nx = \"learning_rate\"\n";
    fs::write(&figure, format!("{RECIPE}{x}")).unwrap();
    let dirs: Vec<PathBuf> = fs::read_dir(&store).unwrap().map(|entry| entry.unwrap().path()).collect();
    let id = dirs[0].file_name().unwrap().to_str().unwrap();
    let out = expected.folder.path().join("figures");
    let page = out.join("page.html");
    fs::create_dir(&out).unwrap();
    let measurement = measurement_file(&dirs[0]);
    let measurement = measurement.strip_prefix(&dirs[0]).unwrap();
    for file in ["result.json", "subset_sizes.json", text(measurement)] {
        let path = dirs[0].join(file);
        let whole = fs::read(&path).ok();
        fs::write(&path, "{").unwrap();
        let is_run = file != "subset_sizes.json";
        let store = text(&store);
        let figure = run(&["figure", text(&figure), "--store", store, "--out", text(&out)]);
        assert!(figure.err.contains(id) && figure.err.contains(file), "the damage is told:\n{}", figure.err);
        figure.out_with(0);
        let listed = run(&["runs", "list", "--store", store]).out_with(0);
        let export = run(&["runs", "export", "--store", store]);
        let report = run(&["report", "--store", store, "--out", text(&page)]);
        let claims = run(&["claims", "--store", store]);
        if is_run {
            assert!(listed.contains(&format!("{id}  damaged: ")), "it is listed as damaged:\n{listed}");
            assert_eq!(export.out.lines().count(), 2, "the names and the other run");
            for ended in [&export, &report, &claims] {
                assert!(
                    ended.err.contains(&format!("{id} is left out: ")),
                    "the damage is told:\n{}",
                    ended.err
                );
            }
        }
        for ended in [export, report, claims] {
            ended.out_with(0);
        }
        match whole {
            Some(whole) => fs::write(&path, whole).unwrap(),
            None => fs::remove_file(&path).unwrap(),
        }
    }
}
