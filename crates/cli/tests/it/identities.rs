//! A training and its measurements, as a user sees them: what is done is not repeated, and each start is remembered.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::Value;
use tempfile::tempdir;

use crate::program::{command, run, text};

const SMALL: [&str; 13] = [
    "train",
    "--arch",
    "mlp",
    "--dataset",
    "digits",
    "--hidden",
    "4",
    "--max-epochs",
    "2",
    "--examples",
    "50",
    "--rtol",
    "0.1",
];

/// The files of a training, but those that each start writes.
fn training(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let files = [
        "config.toml",
        "metrics.jsonl",
        "checkpoint.safetensors",
        "state.json",
        "weights.safetensors",
        "result.json",
    ];
    files.iter().map(|file| ((*file).to_owned(), fs::read(dir.join(file)).unwrap())).collect()
}

fn measurements(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir.join("measurements")).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort_unstable();
    names
}

#[test]
fn one_more_measure_trains_nothing() {
    let dir = tempdir().unwrap();
    let out = dir.path().join("run");
    let train = [&SMALL[..], &["--out", text(&out), "--json"]].concat();
    let first = run(&train).json_with(4);
    let before = training(&out);
    let with_trace = [&train[..], &["--trace=5", "--resume"]].concat();
    let second = run(&with_trace).json_with(4);
    assert_eq!(training(&out), before, "the training is the same, byte by byte");
    assert_eq!(second["training_id"], first["training_id"], "one training");
    assert_eq!(second["measurement"]["trace"]["probes"], 5, "with a trace");
    let mut names = [&first, &second].map(|run| format!("{}.json", run["id"].as_str().unwrap()));
    names.sort_unstable();
    assert_eq!(measurements(&out), names, "two measurements");

    // Settings of the training are another run.
    let other = [&train[..], &["--lr", "0.1", "--resume"]].concat();
    run(&other).refuses(1, &["holds another run", "training.learning_rate (0.05 and 0.1)"]);
    let listed = run(&["runs", "list", "--store", text(dir.path()), "--json"]).json_with(0);
    assert_eq!(listed.as_array().unwrap().len(), 2, "each measurement is a run: {listed}");
}

#[test]
fn a_training_without_a_measurement_is_measured_later() {
    let dir = tempdir().unwrap();
    let out = dir.path().join("run");
    let train = [&SMALL[..], &["--out", text(&out)]].concat();
    run(&[&train[..], &["--no-measure"]].concat()).out_with(4);
    let before = training(&out);
    assert!(!out.join("measurements").exists(), "nothing is measured");
    let report = run(&[&train[..], &["--resume", "--json"]].concat()).json_with(4);
    assert!(report["measurement"]["lambda_max"]["value"].is_f64(), "it is measured now: {report}");
    assert_eq!(training(&out), before, "the training is the same, byte by byte");
}

#[test]
fn a_sweep_trains_once_for_runs_that_differ_in_measuring() {
    let dir = tempdir().unwrap();
    let (recipe, store) = (dir.path().join("recipe.toml"), dir.path().join("store"));
    fs::write(
        &recipe,
        "fixed = { arch = \"mlp\", data.name = \"digits\", hidden = [4], max_epochs = 2, examples = 50 }\n\
         grid = { rtol = [0.1, 0.01], top_k = [1, 2] }\n",
    )
    .unwrap();
    let sweep = ["sweep", text(&recipe), "--store", text(&store), "--jobs", "2"];
    let made = run(&sweep).out_with(0);
    assert!(made.contains("4 of 4 done"), "four runs:\n{made}");
    assert_eq!(fs::read_dir(&store).unwrap().count(), 1, "of one training");
    let listed = run(&["sweep", text(&recipe), "--store", text(&store), "--json"]).json_with(0);
    let of = |key: &str| {
        let mut values: Vec<&str> =
            listed.as_array().unwrap().iter().map(|run| run[key].as_str().unwrap()).collect();
        values.sort_unstable();
        values.dedup();
        values.len()
    };
    assert_eq!((of("id"), of("training_id")), (4, 1), "their names say so: {listed}");
    let exported = run(&["runs", "export", "--store", text(&store)]).out_with(0);
    assert_eq!(exported.lines().count(), 5, "a row for each:\n{exported}");
    let training = listed[0]["training_id"].as_str().unwrap();
    run(&["runs", "show", training, "--store", text(&store)]).refuses(2, &["several runs", "begin with"]);
    let id = listed[0]["id"].as_str().unwrap();
    run(&["runs", "show", id, "--store", text(&store)]).out_with(0);
}

#[test]
fn a_damaged_run_does_not_keep_others_from_being_shown() {
    let dir = tempdir().unwrap();
    let out = |name: &str| text(&dir.path().join(name)).to_owned();
    let ids = ["0", "1"].map(|seed| {
        let made = run(&[&SMALL[..], &["--seed", seed, "--out", &out(seed), "--json"]].concat()).json_with(4);
        made["id"].as_str().unwrap().to_owned()
    });
    fs::write(dir.path().join("0/result.json"), "{").unwrap();
    let show = |id: &str| run(&["runs", "show", id, "--store", text(dir.path())]);
    show(&ids[1]).out_with(0);
    show(&ids[0]).refuses(1, &["result.json is damaged"]);
    show("r-none").refuses(2, &["begins with 'r-none'"]);
}

#[test]
fn what_made_a_run_is_shown() {
    let dir = tempdir().unwrap();
    let out = dir.path().join("run");
    let train = [&SMALL[..], &["--out", text(&out), "--threads", "1"]].concat();
    run(&train).out_with(4);
    run(&[&train[..], &["--trace=5", "--resume"]].concat()).out_with(4);
    let starts: Value = serde_json::from_slice(&fs::read(out.join("provenance.json")).unwrap()).unwrap();
    let starts = starts.as_array().unwrap();
    assert_eq!(starts.len(), 2, "a start that trained, and one that measured: {starts:?}");
    let shown = run(&["runs", "list", "--store", text(dir.path()), "--json"]).json_with(0);
    let id = shown[0]["id"].as_str().unwrap();
    let show = ["runs", "show", id, "--store", text(dir.path())];
    let told = run(&show).out_with(0);
    for part in ["made by", env!("CARGO_PKG_VERSION"), "1 thread", "--trace=5", text(&out)] {
        assert!(told.contains(part), "{part} is told:\n{told}");
    }
    let document = run(&[&show[..], &["--json"]].concat()).json_with(0);
    assert_eq!(document["provenance"].as_array(), Some(starts), "programs are told all of it");

    // It says nothing about the result.
    fs::write(out.join("provenance.json"), "{").unwrap();
    let damaged = run(&show);
    assert!(damaged.err.contains("provenance.json is damaged"), "the damage is told:\n{}", damaged.err);
    assert!(damaged.out_with(0).contains("λ_max"), "the run is shown all the same");
}

#[test]
fn the_configuration_of_a_run_is_one_for_others() {
    let dir = tempdir().unwrap();
    let out = |name: &str| text(&dir.path().join(name)).to_owned();
    run(&[&SMALL[..], &["--out", &out("one"), "--trace=5"]].concat()).out_with(4);
    let config = format!("{}/config.toml", out("one"));
    run(&["train", "--config", &config, "--out", &out("two")]).out_with(4);
    assert_eq!(measurements(&dir.path().join("one")), measurements(&dir.path().join("two")), "the same run");
}

#[test]
fn an_ambiguous_short_key_is_refused_with_its_candidates() {
    let dir = tempdir().unwrap();
    let recipe = dir.path().join("recipe.toml");
    fs::write(&recipe, "[fixed]\narch = \"mlp\"\nname = \"digits\"\n").unwrap();
    run(&["sweep", text(&recipe), "--dry-run"])
        .refuses(2, &["recipe.toml, line 3", "'name' is ambiguous", "data.name", "training.optimizer.name"]);
    run(&["runs", "list", "--store", text(dir.path()), "--where", "name=digits"])
        .refuses(2, &["'name' is ambiguous", "data.name", "training.optimizer.name"]);
}

#[test]
fn a_table_of_runs_is_a_store_again() {
    let dir = tempdir().unwrap();
    let [recipe, store, again, table] =
        ["steps.toml", "store", "again", "runs.csv"].map(|name| dir.path().join(name));
    let steps = "seeds = [0, 1]\nfixed = { arch = \"mlp\", data.name = \"digits\", hidden = [4], max_epochs = 2, examples = 50, \
                 rtol = 0.1, sam_bound = true }\ngrid = { learning_rate = [0.1, 0.2] }\n";
    fs::write(&recipe, steps).unwrap();
    run(&["sweep", text(&recipe), "--store", text(&store)]).out_with(0);
    let exported = run(&["runs", "export", "--store", text(&store)]).out_with(0);
    fs::write(&table, &exported).unwrap();
    let import = ["runs", "import", text(&table), "--store", text(&again), "--json"];
    let counts = run(&import).json_with(0);
    assert_eq!((&counts["imported"], &counts["known"]), (&Value::from(4), &Value::from(0)), "all are new");
    let counts = run(&import).json_with(0);
    assert_eq!((&counts["imported"], &counts["known"]), (&Value::from(0), &Value::from(4)), "once is enough");
    assert_eq!(run(&["runs", "export", "--store", text(&again)]).out_with(0), exported, "nothing is lost");
    let listed = run(&["sweep", text(&recipe), "--store", text(&again), "--dry-run", "--json"]).json_with(0);
    let listed = listed.as_array().unwrap();
    assert!(listed.iter().all(|run| run["status"] == "done"), "a sweep has nothing to do: {listed:?}");
    let tracker = format!("tensorboard={}", text(&dir.path().join("board")));
    run(&["runs", "track", &tracker, "--store", text(&again)]).out_with(0);
    // Settings that were edited by hand are those of another run.
    fs::write(&table, exported.replace(",0.2,", ",0.3,")).unwrap();
    run(&import).refuses(1, &["runs.csv", "cannot be imported: its settings are those of"]);
}

#[test]
fn tables_of_runs_and_epochs_restore_the_metrics() {
    let dir = tempdir().unwrap();
    let [recipe, store, table, epochs] =
        ["steps.toml", "store", "runs.csv", "epochs"].map(|name| dir.path().join(name));
    let steps = "fixed = { arch = \"mlp\", data.name = \"digits\", hidden = [4], max_epochs = 3, examples = 50, rtol = 0.1, \
                 through_training = 0.1, through_every = \"2 epochs\" }\ngrid = { learning_rate = [0.1, 0.2] }\n";
    fs::write(&recipe, steps).unwrap();
    run(&["sweep", text(&recipe), "--store", text(&store)]).out_with(0);
    fs::write(&table, run(&["runs", "export", "--store", text(&store)]).out_with(0)).unwrap();
    let metrics = |store: &Path| -> BTreeMap<_, _> {
        let trainings = fs::read_dir(store).unwrap().map(|entry| entry.unwrap().path());
        let trainings = trainings.filter(|path| path.join("result.json").exists());
        trainings
            .map(|path| {
                (
                    path.file_name().unwrap().to_owned(),
                    fs::read_to_string(path.join("metrics.jsonl")).unwrap(),
                )
            })
            .collect()
    };
    let export = |format: &str| {
        let export = ["runs", "export", "--epochs", "--format", format, "--store", text(&store)];
        command(&export).output().unwrap().stdout
    };
    let import = |again: &Path| {
        run(&["runs", "import", text(&table), "--epochs", text(&epochs), "--store", text(again), "--json"])
    };
    let csv = String::from_utf8(export("csv")).unwrap();
    for format in ["csv", "parquet"] {
        fs::write(&epochs, export(format)).unwrap();
        let again = dir.path().join(format);
        assert_eq!(import(&again).json_with(0)["imported"], 2);
        assert_eq!(metrics(&again), metrics(&store), "every line of {format} is as it was");
        assert!(metrics(&again).values().all(|lines| lines.contains("lambda_max")), "λ_max too");
    }

    // Older tables lack some columns.
    let without_batches: Vec<String> = csv
        .lines()
        .map(|line| line.split(',').enumerate().filter(|(at, _)| !(3..5).contains(at)).map(|(_, cell)| cell))
        .map(|cells| cells.collect::<Vec<_>>().join(","))
        .collect();
    fs::write(&epochs, without_batches.join("\n")).unwrap();
    let again = dir.path().join("without");
    assert_eq!(import(&again).json_with(0)["imported"], 2);
    let exported = run(&["runs", "export", "--epochs", "--store", text(&again)]).out_with(0);
    assert!(exported.lines().skip(1).all(|line| line.split(',').filter(|cell| cell.is_empty()).count() == 2));

    // An epoch is missing.
    let lines: Vec<&str> = csv.lines().collect();
    fs::write(&epochs, [&lines[..2], &lines[3..]].concat().join("\n")).unwrap();
    import(&dir.path().join("torn"))
        .refuses(1, &["runs.csv", "cannot be imported: the table should have 1 to 3"]);
    fs::write(&epochs, csv.replacen(lines[1], &lines[1].replacen(",1,", ",one,", 1), 1)).unwrap();
    import(&dir.path().join("word")).refuses(1, &["is not a table of epochs: row 1: epoch is \"one\""]);
    fs::copy(&table, &epochs).unwrap();
    import(&dir.path().join("runs")).refuses(1, &["is not a table of epochs: it has no column epoch"]);
}
