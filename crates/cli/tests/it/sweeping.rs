//! Recipes and stores, from the command line.

use std::fs;
use std::path::Path;
use std::process::Stdio;

use tempfile::tempdir;

use crate::program::{command, run, text};

const RECIPE: &str = r#"title = "Two step sizes"
seeds = [0, 1]

[fixed]
arch = "mlp"
data.name = "digits"
hidden = [16]
batch_size = 50
max_epochs = 30
examples = 50
rtol = 0.1

[grid]
learning_rate = [0.01, 0.1]
"#;

fn recipe(dir: &Path, content: &str) -> String {
    let path = dir.join("recipe.toml");
    fs::write(&path, content).unwrap();
    text(&path).to_owned()
}

#[test]
fn a_sweep_is_shown_made_listed_and_exported() {
    let dir = tempdir().unwrap();
    let recipe = recipe(dir.path(), RECIPE);
    let store = dir.path().join("store");
    let store = text(&store);
    let shown = run(&["sweep", &recipe, "--store", store, "--dry-run"]).out_with(0);
    for part in ["Two step sizes", "learning_rate=0.1 seed=1", "to do", "4 runs, 4 to make"] {
        assert!(shown.contains(part), "the dry run must show `{part}`:\n{shown}");
    }
    assert!(!Path::new(store).exists(), "a dry run makes nothing");

    let made = run(&["sweep", &recipe, "--store", store, "--jobs", "2"]);
    assert!(made.err.contains("[4/4]"), "each end is told:\n{}", made.err);
    let made = made.out_with(0);
    assert!(made.contains("4 of 4 done"), "all are made:\n{made}");
    let listed = run(&["sweep", &recipe, "--store", store, "--dry-run", "--json"]).json_with(0);
    let listed = listed.as_array().unwrap();
    assert!(listed.iter().all(|run| run["status"] == "done"), "all are known as done: {listed:?}");

    let runs =
        run(&["runs", "list", "--store", store, "--where", "learning_rate=0.1", "--json"]).json_with(0);
    assert_eq!(runs.as_array().unwrap().len(), 2, "two seeds of one step size");
    let ids: Vec<&str> = listed.iter().map(|run| run["id"].as_str().unwrap()).collect();
    let one = run(&["runs", "show", &ids[0][..8], "--store", store]).out_with(0);
    assert!(one.contains("test accuracy") && one.contains("λ_max"), "a run is shown:\n{one}");
    let two = run(&["runs", "compare", ids[0], ids[2], "--store", store]).out_with(0);
    assert!(two.contains("training.learning_rate (0.01 and 0.1)"), "they differ in one setting:\n{two}");

    let csv = run(&["runs", "export", "--store", store]).out_with(0);
    let lines: Vec<&str> = csv.lines().collect();
    assert_eq!(lines.len(), 5, "names and four runs:\n{csv}");
    assert!(lines[0].starts_with("id,config."), "the first line has the names: {}", lines[0]);
    let parquet =
        command(&["runs", "export", "--store", store, "--format", "parquet"]).output().unwrap().stdout;
    assert!(parquet.starts_with(b"PAR1") && parquet.ends_with(b"PAR1"), "a Parquet file");
    let json = run(&["runs", "export", "--store", store, "--format", "json"]).json_with(0);
    assert_eq!(json[0]["config.model.arch"], "mlp", "an object for each run");
}

#[test]
fn a_killed_sweep_goes_on() {
    let dir = tempdir().unwrap();
    let recipe = recipe(dir.path(), &RECIPE.replace("max_epochs = 30", "max_epochs = 300"));
    let store = dir.path().join("store");
    let arguments = ["sweep", &recipe, "--store", text(&store), "--jobs", "2"];
    for _ in 0..2 {
        let mut child = command(&arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        while !store.exists() && child.try_wait().unwrap().is_none() {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let made = run(&arguments).out_with(0);
    assert!(made.contains("4 of 4 done"), "nothing is lost:\n{made}");
}

#[test]
fn mistakes_are_errors_with_a_way_out() {
    let dir = tempdir().unwrap();
    let file = recipe(dir.path(), "[fixed]\narch = \"mlp\"\ndata.name = \"digits\"\nlerning_rate = 1\n");
    run(&["sweep", &file]).refuses(2, &["recipe.toml, line 4", "did you mean 'learning_rate'"]);
    run(&["sweep", "no-such-file.toml"]).refuses(1, &["cannot read no-such-file.toml"]);
    let store = text(dir.path());
    run(&["runs", "show", "abc", "--store", store]).refuses(2, &["no run in", "'abc'", "runs list"]);
    run(&["runs", "list", "--store", store, "--where", "arc=mlp"]).refuses(2, &["did you mean 'arch'"]);
    run(&["sweep", &file, "--jobs", "0"]).refuses(2, &["--jobs must be from 1 to 1024"]);
}
