//! Recipes and stores, from the command line.

use std::fs;
use std::path::Path;
use std::process::Stdio;

use tempfile::tempdir;

use crate::program::{command, measurement_file, run, text};

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
    assert!(lines[0].starts_with("id,training_id,config."), "the first line has the names: {}", lines[0]);
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

#[test]
fn a_mistyped_store_is_an_error_wherever_runs_are_read() {
    let dir = tempdir().unwrap();
    let file = recipe(dir.path(), &format!("{RECIPE}[figure]\nkind = \"lines\"\n"));
    let (missing, page) = (dir.path().join("no-such-store"), dir.path().join("page.html"));
    let (missing, page) = (text(&missing), text(&page));
    for arguments in [
        &["runs", "list"][..],
        &["runs", "list", "--json"],
        &["runs", "show", "r1"],
        &["runs", "compare", "r1", "r2"],
        &["runs", "export"],
        &["claims"],
        &["figure", &file, "--out", text(dir.path())],
        &["report", "--out", page],
    ] {
        run(&[arguments, &["--store", missing]].concat())
            .refuses(1, &["no store of runs at", "no-such-store"]);
    }
    assert!(!Path::new(page).exists(), "no page is written");
    let store = text(dir.path());
    let header = run(&["runs", "export", "--store", store]).out_with(0);
    assert!(header.starts_with("id,training_id,config."), "the table of no runs has its names:\n{header}");
    assert_eq!(header.lines().count(), 1, "and nothing else:\n{header}");
    let rows = run(&["runs", "export", "--store", store, "--format", "json"]).json_with(0);
    assert_eq!(rows, serde_json::json!([]), "no objects");
}

#[test]
fn a_run_that_is_asked_for_twice_counts_once() {
    let dir = tempdir().unwrap();
    let text_of = RECIPE
        .replace("[0, 1]", "[1, 1, 1]")
        .replace("[0.01, 0.1]", "[0.1, 1e-1, 0.10]")
        .replace("[fixed]", "[figure]\nkind = \"lines\"\n[[block]]\n[[block]]\n[fixed]");
    let file = recipe(dir.path(), &text_of);
    let (store, out) = (dir.path().join("store"), dir.path().join("figures"));
    let (store, out) = (text(&store), text(&out));
    let shown = run(&["sweep", &file, "--store", store, "--dry-run"]).out_with(0);
    assert!(shown.contains("1 run, 1 to make"), "18 requests for one run:\n{shown}");
    let made = run(&["sweep", &file, "--store", store]);
    assert!(made.err.contains("[1/1]"), "its end is told:\n{}", made.err);
    let made = made.out_with(0);
    assert!(made.contains("1 of 1 done"), "the summary counts it once:\n{made}");
    let listed = run(&["sweep", &file, "--store", store, "--json"]).json_with(0);
    assert_eq!(listed.as_array().unwrap().len(), 1, "programs hear of it once: {listed}");
    let drawn = run(&["figure", &file, "--store", store, "--out", out]).out_with(0);
    assert!(drawn.contains("1 of 1 runs"), "so does the caption:\n{drawn}");
}

#[test]
fn a_figure_whose_runs_all_diverged_says_so() {
    let dir = tempdir().unwrap();
    for kind in ["lines", "scatter", "curves"] {
        let diverging = RECIPE.replace("[0.01, 0.1]", "[1e30]");
        let file = recipe(dir.path(), &format!("{diverging}[figure]\nkind = \"{kind}\"\n"));
        let (store, out) = (dir.path().join("store"), dir.path().join(kind));
        let (store, out) = (text(&store), text(&out));
        run(&["sweep", &file, "--store", store]).out_with(0);
        let drawn = run(&["figure", &file, "--store", store, "--out", out]);
        let sentence = "No run can be drawn: of the 2 that are done, 2 diverged";
        assert!(drawn.err.contains(sentence), "{kind}: it is told on standard error:\n{}", drawn.err);
        let shown = drawn.out_with(0);
        assert!(shown.contains(sentence), "{kind}: and in the caption:\n{shown}");
        let svg = fs::read_to_string(Path::new(out).join("recipe.svg")).unwrap();
        assert!(svg.contains("2 diverged"), "{kind}: the picture says so in place of empty axes");
    }
}

#[test]
fn a_run_that_no_table_holds_does_not_hide_the_others() {
    let dir = tempdir().unwrap();
    let (store, file) = (dir.path().join("store"), recipe(dir.path(), RECIPE));
    run(&["sweep", &file, "--store", text(&store)]).out_with(0);
    let first = fs::read_dir(&store).unwrap().next().unwrap().unwrap();
    let (path, id) = (measurement_file(&first.path()), first.file_name().into_string().unwrap());
    let mut report: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    // Earlier versions took such a number.
    report["config"]["measure"]["max_products"] = u64::MAX.into();
    fs::write(&path, report.to_string()).unwrap();
    for format in ["csv", "json", "parquet"] {
        let mut export = command(&["runs", "export", "--store", text(&store), "--format", format]);
        let output = export.output().unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{format}: the others are exported:\n{told}");
        assert!(told.contains(&id) && told.contains("max_products"), "{format}: it is named:\n{told}");
        assert!(!output.stdout.is_empty(), "{format}: there is a table");
    }
    let table = run(&["runs", "export", "--store", text(&store)]).out_with(0);
    let made = fs::read_dir(&store).unwrap().count();
    assert_eq!(table.lines().count(), made, "a header, and all rows but one:\n{table}");
}
