//! Verdicts from stores, from exported tables, and by findings of one's own.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use sharpness_training::measures::{Measure, SharpnessNumber, Visitor, each};
use tempfile::tempdir;

use crate::program::{command, run, text};

/// Small networks on the digits: 12 examples are few for a batch, 100 are many.
const RECIPE: &str = "seeds = [0, 1, 2]
[fixed]
arch = \"mlp\"
hidden = [8]
data.name = \"digits\"
target_accuracy = 0.6
max_epochs = 60
rtol = 0.01
[grid]
dropout = [0.0, 0.1, 0.5]
batch_size = [12, 100]
learning_rate = [0.1]
";

/// A store with these runs.
fn store(dir: &Path) -> PathBuf {
    let (recipe, store) = (dir.join("recipe.toml"), dir.join("store"));
    fs::write(&recipe, RECIPE).unwrap();
    run(&["sweep", text(&recipe), "--store", text(&store)]).out_with(0);
    store
}

fn finding<'a>(claims: &'a Value, section: &str) -> &'a Value {
    claims["findings"].as_array().unwrap().iter().find(|finding| finding["section"] == section).unwrap()
}

#[test]
fn tables_give_the_verdicts_of_their_store() {
    let dir = tempdir().unwrap();
    let store = store(dir.path());
    let of_store = run(&["claims", "--store", text(&store), "--json"]).json_with(0);
    let judged = &finding(&of_store, "3.4 (ii)")["runs"];
    assert_eq!(judged.as_array().unwrap().len(), 1, "one group of runs: {judged}");
    assert_eq!(judged[0]["conditions"][0]["effects"][0]["seeds"], 3, "of three seeds: {judged}");
    for format in ["csv", "parquet"] {
        let table = dir.path().join(format!("runs.{format}"));
        let export = ["runs", "export", "--store", text(&store), "--format", format];
        fs::write(&table, command(&export).output().unwrap().stdout).unwrap();
        let of_table = run(&["claims", "--table", text(&table), "--json"]).json_with(0);
        assert_eq!(of_table, of_store, "{format} gives the same verdicts and numbers");
    }
    // The runs of several tables count together, and each of them once.
    let table = dir.path().join("runs.csv");
    let twice = run(&["claims", "--table", text(&table), "--table", text(&table), "--json"]).json_with(0);
    assert_eq!(twice, of_store, "a run that stands in two tables is one");
}

#[test]
fn every_measure_of_a_store_is_a_predictor() {
    let dir = tempdir().unwrap();
    let (recipe, store) = (dir.path().join("recipe.toml"), dir.path().join("store"));
    fs::write(&recipe, RECIPE.replace("rtol = 0.01", "rtol = 0.01\ntrace = 10")).unwrap();
    run(&["sweep", text(&recipe), "--store", text(&store)]).out_with(0);
    let figure = dir.path().join("figures");
    let claims = ["claims", "--store", text(&store), "--predictors-figure", text(&figure)];
    let of_store = run(&[&claims[..], &["--json"]].concat()).json_with(0);
    let predictions = of_store["predictions"].as_array().unwrap();
    for target in ["test_error", "generalization_gap"] {
        let of =
            |name: &str| predictions.iter().find(|one| one["predictor"] == name && one["target"] == target);
        for name in ["lambda_max", "trace.value", "gradient_norm", "training.epochs", "batch_size", "dropout"]
        {
            let found = of(name).unwrap();
            assert_eq!((&found["settings"], &found["seeds"]), (&6.into(), &3.into()), "{name}: {found}");
            assert!(found["kendall_tau"].is_f64() || found["no_tau"] == "constant", "{name}: {found}");
        }
        let measured_with = of("trace.value").unwrap()["measured_with"].as_str().unwrap();
        assert!(measured_with.contains("probes=10"), "how it was measured: {measured_with}");
        assert_eq!(of("learning_rate").unwrap()["no_tau"], "constant", "η does not vary");
    }
    for ending in ["svg", "png", "csv", "txt"] {
        assert!(figure.join(format!("predictors.{ending}")).is_file(), "the picture as {ending}");
    }
    let table = dir.path().join("runs.csv");
    fs::write(&table, run(&["runs", "export", "--store", text(&store)]).out_with(0)).unwrap();
    let of_table = run(&["claims", "--table", text(&table), "--json"]).json_with(0);
    assert_eq!(of_table["predictions"], of_store["predictions"], "a table gives the same numbers");
    let shown = run(&claims).out_with(0);
    for part in [
        "What predicts the test error of mlp on digits",
        "tr H",
        "batch size *",
        "No τ: -η *",
        "predictors.svg",
    ] {
        assert!(shown.contains(part), "the text must show `{part}`:\n{shown}");
    }
    let below_a_file = recipe.join("figures");
    run(&["claims", "--published", "--predictors-figure", text(&below_a_file)])
        .refuses(1, &["recipe.toml/figures"]);
}

/// Every measure with its default settings, as lines of a recipe.
fn every_measure() -> String {
    struct Lines(String);
    impl Visitor for Lines {
        fn visit<M: Measure>(&mut self) {
            let settings = toml::Table::try_from(M::default()).unwrap();
            if settings.is_empty() {
                self.0.push_str(&format!("measure.{} = true\n", M::NAME));
            }
            for (key, value) in settings {
                self.0.push_str(&format!("measure.{}.{key} = {value}\n", M::NAME));
            }
        }
    }
    let mut lines = Lines(String::new());
    each(&mut lines);
    lines.0
}

#[test]
fn the_numbers_of_every_measure_are_exported_and_judged() {
    let dir = tempdir().unwrap();
    let (recipe, store) = (dir.path().join("recipe.toml"), dir.path().join("store"));
    let measures = every_measure();
    // Adam's sharpness takes Adam.
    let small = "seeds = [0]\n[fixed]\narch = \"mlp\"\nhidden = [4]\ndata.name = \"digits\"\noptimizer.name = \"adam\"\n\
                 batch_size = 10\nmax_epochs = 3\nexamples = 30\nrtol = 0.1\nbound_rtol = \"off\"\n";
    fs::write(&recipe, format!("{small}{measures}[grid]\nlearning_rate = [0.001, 0.01, 0.02]\n")).unwrap();
    run(&["sweep", text(&recipe), "--store", text(&store)]);
    let claims = ["claims", "--with-unconverged", "--json"];
    let of_store = run(&[&claims[..], &["--store", text(&store)]].concat()).json_with(0);
    let predictions = of_store["predictions"].as_array().unwrap();
    for number in SharpnessNumber::all() {
        let found = predictions.iter().find(|one| one["predictor"] == number.name());
        let settings = found.map(|one| &one["settings"]);
        assert_eq!(settings, Some(&3.into()), "{} of {}", number.name(), of_store["left_out"]);
    }
    let table = dir.path().join("runs.csv");
    fs::write(&table, run(&["runs", "export", "--store", text(&store)]).out_with(0)).unwrap();
    let of_table = run(&[&claims[..], &["--table", text(&table)]].concat()).json_with(0);
    assert_eq!(of_table["predictions"], of_store["predictions"], "a table gives the same numbers");
}

#[test]
fn missing_runs_are_a_recipe_that_can_be_run() {
    let dir = tempdir().unwrap();
    let store = store(dir.path());
    let claims = run(&["claims", "--store", text(&store), "--json"]).json_with(0);
    // Those of other networks would be timed on this machine first.
    for section in ["3.4 (i)", "3.4 (ii)", "3.4 (iii)"] {
        let missing = finding(&claims, section)["runs"][0]["missing"].as_str().unwrap();
        let recipe = dir.path().join("missing.toml");
        fs::write(&recipe, missing).unwrap();
        let planned = run(&["sweep", text(&recipe), "--dry-run", "--store", text(&store)]).out_with(0);
        assert!(planned.contains(" to make") && !planned.contains(" 0 to make"), "{section}:\n{planned}");
    }
}

#[test]
fn the_first_screen_is_a_table_of_verdicts() {
    let dir = tempdir().unwrap();
    let store = store(dir.path());
    let shown = run(&["claims", "--store", text(&store)]).out_with(0);
    let heading = shown.lines().next().unwrap();
    for column in ["verdict", "effect [95 %]", "seeds", "paper's numbers", "finding"] {
        assert!(heading.contains(column), "{column} in {heading}");
    }
    let of_dropout = shown.lines().find(|line| line.starts_with("3.4 (ii) ")).unwrap();
    assert!(of_dropout.contains("per 0.1 of p"), "effects have units: {of_dropout}");
    let without = shown.lines().find(|line| line.starts_with("No run is about")).unwrap();
    assert!(without.contains("3.1 (i);") && without.contains("A.4"), "one line for all: {without}");
    assert!(shown.contains("standard deviations"), "what the paper's bars are is told:\n{shown}");
}

#[test]
fn a_figure_never_averages_what_differs_in_more_than_the_seed() {
    let dir = tempdir().unwrap();
    let (recipe, store) = (dir.path().join("recipe.toml"), dir.path().join("store"));
    let momenta = RECIPE.replace("batch_size = [12, 100]", "batch_size = [100]\nmomentum = [0.0, 0.5]");
    fs::write(&recipe, momenta.replace("[fixed]", "figure = { kind = \"lines\", x = \"dropout\" }\n[fixed]"))
        .unwrap();
    run(&["sweep", text(&recipe), "--store", text(&store)]).out_with(0);
    let out = dir.path().join("figures");
    let drawn =
        run(&["figure", text(&recipe), "--store", text(&store), "--out", text(&out), "--json"]).json_with(0);
    let lines = drawn["lines"].as_array().unwrap();
    let names: Vec<&str> = lines.iter().map(|line| line["name"].as_str().unwrap()).collect();
    assert_eq!(names.len(), 2, "a curve for each momentum: {names:?}");
    assert!(names[0].contains("momentum=0") && names[1].contains("momentum=0.5"), "named: {names:?}");
    for line in lines {
        let points = line["points"].as_array().unwrap();
        assert_eq!(points.len(), 3, "one point for each dropout: {points:?}");
        assert!(points.iter().all(|point| point["lambda_max"]["runs"] == 3), "of three seeds: {points:?}");
    }
}

/// The example of the format.
fn example() -> String {
    let docs = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/findings.md");
    let docs = fs::read_to_string(docs).unwrap();
    let code = docs.split("```toml\n").nth(1).unwrap();
    code.split("```").next().unwrap().to_owned()
}

#[test]
fn findings_of_ones_own_are_judged() {
    let dir = tempdir().unwrap();
    let store = store(dir.path());
    let file = dir.path().join("my.toml");
    fs::write(&file, example()).unwrap();
    let claims = run(&["claims", "--store", text(&store), "--findings", text(&file), "--json"]).json_with(0);
    let findings = claims["findings"].as_array().unwrap();
    assert_eq!(findings.len(), 1, "no finding of the paper is among them");
    let judged = &findings[0]["runs"][0];
    assert!(judged["conditions"][0]["effects"][0]["interval"][0].is_f64(), "it has numbers: {judged}");
    assert!(findings[0]["published"].is_null(), "the paper says nothing about it");
    assert_eq!(findings[0]["figures"], serde_json::json!([]), "nor has it a figure of it");

    fs::write(&file, example().replace("model.dropout", "model.dropuot")).unwrap();
    run(&["claims", "--store", text(&store), "--findings", text(&file)])
        .refuses(2, &["my.toml, line", "model.dropuot"]);
    fs::write(&file, "[[finding]]\nsection = 3\n").unwrap();
    run(&["claims", "--store", text(&store), "--findings", text(&file)]).refuses(2, &["my.toml, line 2"]);
}

#[test]
fn tables_that_are_none_are_refused() {
    let dir = tempdir().unwrap();
    let table = dir.path().join("table.csv");
    let claims = ["claims", "--table", text(&table)];
    fs::write(&table, "a,b\n1,2\n").unwrap();
    run(&claims).refuses(1, &["table.csv is not a table of runs", "no column config.seed", "runs export"]);
    let store = store(dir.path());
    let exported = run(&["runs", "export", "--store", text(&store)]).out_with(0);
    fs::write(&table, exported.replace(",0.1,", ",fast,")).unwrap();
    run(&claims).refuses(1, &["row 1", "is \"fast\""]);
    fs::write(&table, b"PAR1 but no more").unwrap();
    run(&claims).refuses(1, &["table.csv is not a table of runs"]);
}
