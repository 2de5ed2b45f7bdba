//! `--json`: one document on standard output and nothing else, with every number.

use std::fs;
use std::path::Path;

use serde_json::Value;
use tempfile::tempdir;

use crate::program::{command, ended, run, text};

const RECIPE: &str = "title = \"Steps\"\nseeds = [0, 1]\nfixed = { arch = \"mlp\", data.name = \"digits\", hidden = [16], \
                      batch_size = 50, max_epochs = 30, examples = 50, rtol = 0.1 }\n\
                      grid = { learning_rate = [0.1, 0.2] }\nfigure = { kind = \"lines\" }\n";

/// A recipe, and a store with its runs.
fn made(dir: &Path) -> (String, String) {
    let (recipe, store) = (dir.join("steps.toml"), dir.join("store"));
    fs::write(&recipe, RECIPE).unwrap();
    run(&["sweep", text(&recipe), "--store", text(&store)]).out_with(0);
    (text(&recipe).to_owned(), text(&store).to_owned())
}

#[test]
fn every_command_prints_one_document() {
    let dir = tempdir().unwrap();
    let (recipe, store) = made(dir.path());
    let (figures, page) = (dir.path().join("figures"), dir.path().join("page.html"));
    let cache = text(dir.path());
    let small = ["--arch", "mlp", "--dataset", "digits", "--hidden", "4", "--examples", "20"];
    let listed = run(&["runs", "list", "--store", &store, "--json"]).json_with(0);
    let ids: Vec<&str> = listed.as_array().unwrap().iter().map(|run| run["id"].as_str().unwrap()).collect();
    let training = listed[0]["training_id"].as_str().unwrap();
    let weights = Path::new(&store).join(training).join("weights.safetensors");
    let measure =
        ["measure", "--arch", "mlp", "--dataset", "digits", "--hidden", "16", "--weights", text(&weights)];
    let rescale = [&["rescale", "--alpha", "2"], &measure[1..], &["--examples", "20"]].concat();
    let out = dir.path().join("points");
    let points = ["--points", "3", "--out", text(&out)];
    let landscape = [&["landscape"], &measure[1..], &["--examples", "20"], &points].concat();
    let interpolate = [&["interpolate", text(&weights), text(&weights)], &measure[1..7], &points].concat();
    for (arguments, code) in [
        (rescale, 0),
        (landscape, 0),
        (interpolate, 0),
        ([&["train", "--max-epochs", "1"][..], &small].concat(), 4),
        ([&measure[..], &["--examples", "20"]].concat(), 0),
        ([&["bench", "--random", "--repetitions", "1", "--only", "step"][..], &small].concat(), 0),
        (vec!["sweep", &recipe, "--store", &store], 0),
        (vec!["sweep", &recipe, "--store", &store, "--dry-run"], 0),
        (vec!["reproduce", "fig8", "--scale", "smoke", "--store", &store, "--dry-run"], 0),
        (vec!["figure", &recipe, "--store", &store, "--out", text(&figures)], 0),
        (vec!["report", &recipe, "--store", &store, "--out", text(&page)], 0),
        (vec!["claims", "--store", &store], 0),
        (vec!["claims", "--published"], 0),
        (vec!["runs", "show", ids[0], "--store", &store], 0),
        (vec!["runs", "compare", ids[0], ids[1], "--store", &store], 0),
        (vec!["runs", "export", "--store", &store], 0),
        (vec!["runs", "list", "--store", cache], 0),
        (vec!["data", "list"], 0),
        (vec!["data", "check", "digits"], 0),
        (vec!["info", "mlp"], 0),
    ] {
        let document = run(&[&arguments[..], &["--json"]].concat()).json_with(code);
        assert!(document.is_object() || document.is_array(), "{arguments:?} prints {document}");
    }
    // What goes wrong is told on standard error alone.
    run(&["figure", "missing.toml", "--json"]).refuses(1, &["missing.toml"]);
    let fetch =
        ["data", "fetch", "mnist", "--base-url", "http://127.0.0.1:9", "--cache-dir", cache, "--json"];
    run(&fetch).refuses(1, &["cannot download"]);
}

#[test]
fn a_figure_gives_every_number_that_it_draws() {
    let dir = tempdir().unwrap();
    let (recipe, store) = made(dir.path());
    let figures = dir.path().join("figures");
    let drawn = run(&["figure", &recipe, "--store", &store, "--out", text(&figures), "--json"]).json_with(0);
    assert_eq!((&drawn["runs_done"], &drawn["runs_planned"]), (&Value::from(4), &Value::from(4)), "its runs");
    let files: Vec<&str> =
        drawn["files"].as_array().unwrap().iter().map(|file| file.as_str().unwrap()).collect();
    assert!(files.iter().all(|file| Path::new(file).is_file()) && files.len() == 4, "its files: {files:?}");
    let csv = fs::read_to_string(figures.join("steps.csv")).unwrap();
    let mut rows = Vec::new();
    for line in drawn["lines"].as_array().unwrap() {
        for point in line["points"].as_array().unwrap() {
            let number = |value: &Value| value.as_f64().unwrap().to_string();
            let (accuracy, lambda) = (&point["accuracy"], &point["lambda_max"]);
            rows.push(format!(
                ",Steps,runs,{},{},{},{},{},{}",
                number(&point["x"]),
                lambda["runs"],
                number(&accuracy["mean"]),
                number(&accuracy["deviation"]),
                number(&lambda["mean"]),
                number(&lambda["deviation"]),
            ));
        }
    }
    assert_eq!(csv.lines().skip(1).collect::<Vec<_>>(), rows, "the document has the numbers of the table");

    let (table, again) = (dir.path().join("runs.csv"), dir.path().join("again"));
    let (export, one) = (["runs", "export", "--store", &store, "--recipe"], dir.path().join("one.toml"));
    fs::write(&one, fs::read_to_string(&recipe).unwrap().replace("[0, 1]", "[0]")).unwrap();
    let [all, half] = [&recipe, text(&one)].map(|recipe| run(&[&export[..], &[recipe]].concat()).out_with(0));
    assert_eq!(all, run(&export[..4]).out_with(0), "all runs are the recipe's");
    assert_eq!(half.lines().count(), 3, "two runs have the first seed:\n{half}");
    let (but_one, _) = all.trim_end().rsplit_once('\n').unwrap();
    fs::write(&table, but_one).unwrap();
    let drawn_of_table = ["figure", &recipe, "--table", text(&table), "--out", text(&again)];
    let three = run(&drawn_of_table).out_with(0);
    assert!(three.contains("3 of 4 runs (1 to 2 seeds)"), "one setting lacks a seed:\n{three}");
    let cloud = dir.path().join("cloud.toml");
    fs::write(&cloud, fs::read_to_string(&recipe).unwrap().replace("lines", "scatter")).unwrap();
    let cloud_of_table = ["figure", text(&cloud), "--table", text(&table), "--out", text(&again)];
    let three = run(&cloud_of_table).out_with(0);
    assert!(three.contains("3 of 4 runs (1 to 2 seeds)"), "one setting lacks a seed:\n{three}");
    fs::write(&table, all).unwrap();
    let four = run(&cloud_of_table).out_with(0);
    assert!(four.contains("4 of 4 runs (2 seeds)"), "each point is one seed:\n{four}");
    run(&drawn_of_table).out_with(0);
    for file in ["steps.csv", "steps.svg", "steps.txt"] {
        let [of_store, of_table] = [&figures, &again].map(|folder| fs::read(folder.join(file)).unwrap());
        assert!(of_store == of_table, "{file} is the same from the exported table");
    }

    let page = dir.path().join("page.html");
    let written = run(&["report", &recipe, "--store", &store, "--out", text(&page), "--json"]).json_with(0);
    assert_eq!(written["file"], text(&page), "where the page is");
    assert_eq!(written["runs"], 4, "what is in it");
    assert_eq!(written["figures"][0]["lines"], drawn["lines"], "and what is drawn in it");
    assert_eq!(written["findings"].as_array().map(Vec::len), Some(28), "and the verdicts");
}

#[test]
fn bare_file_names_are_in_the_working_directory() {
    let dir = tempdir().unwrap();
    let (recipe, _) = made(dir.path());
    for (arguments, file) in [
        (&["report", "--store", "store"][..], "report.html"),
        (&["report", "--store", "store", "--out", "page.html"], "page.html"),
        (&["figure", &recipe, "--store", "store"], "figures/steps.svg"),
        (&["figure", &recipe, "--store", "store", "--out", "."], "steps.svg"),
        (&["sweep", "steps.toml"], "runs"),
        (&["sweep", "steps.toml", "--store", "."], "report.html"),
        (&["train", "--arch", "mlp", "--dataset", "digits", "--out", "run"], "run/result.json"),
        (&["measure", "--run", "run"], "run/result.json"),
        (&["runs", "export"], "runs"),
    ] {
        let mut program = command(arguments);
        program.current_dir(dir.path());
        ended(program).out_with(0);
        assert!(dir.path().join(file).exists(), "{arguments:?} writes {file}");
    }
    let html = fs::read_to_string(dir.path().join("report.html")).unwrap();
    assert!(html.contains("rendered on"), "the machine is named as the one that rendered the page");
}
