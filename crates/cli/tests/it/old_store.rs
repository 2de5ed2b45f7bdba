//! Runs of schema 1, which older versions made: they are read as they are, reused, and never changed.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use tempfile::tempdir;

use crate::program::{kept_report, run, text};

/// The recipe by which an older version made the runs in `schema_1`.
const RECIPE: &str = "seeds = [3]
fixed = { arch = \"mlp\", data.name = \"digits\", hidden = [4], train_examples = 100, batch_size = 50, max_epochs = 2, \
    momentum = 0.9, examples = 50, rtol = 0.1, trace = 5 }
grid = { learning_rate = [0.05, 0.1] }
figure = { kind = \"lines\", x = \"learning_rate\" }
";

/// A recipe, and a store of two runs.
fn old_store(dir: &Path) -> (String, PathBuf) {
    let recipe = dir.join("recipe.toml");
    fs::write(&recipe, RECIPE.replace(" \\\n   ", "")).unwrap();
    let store = dir.join("store");
    let made = Path::new(env!("CARGO_MANIFEST_DIR")).join("../runs/tests/it/schema_1");
    for entry in fs::read_dir(made).unwrap().map(Result::unwrap) {
        let place = store.join(entry.file_name());
        fs::create_dir_all(&place).unwrap();
        for file in fs::read_dir(entry.path()).unwrap().map(Result::unwrap) {
            fs::copy(file.path(), place.join(file.file_name())).unwrap();
        }
    }
    (text(&recipe).to_owned(), store)
}

fn files(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut all = BTreeMap::new();
    for path in fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            all.extend(files(&path))
        } else {
            _ = all.insert(path.clone(), fs::read(&path).unwrap())
        }
    }
    all
}

#[test]
fn an_old_store_is_listed_shown_exported_judged_and_reused() {
    let dir = tempdir().unwrap();
    let (recipe, store) = old_store(dir.path());
    let before = files(&store);
    let at = ["--store", text(&store)];
    let listed = run(&[&["runs", "list", "--json"], &at[..]].concat()).json_with(0);
    let ids: Vec<&str> = listed.as_array().unwrap().iter().map(|run| run["id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), 2, "both are listed: {listed}");
    for (name, rate) in [(ids[0], "0.05"), ("r1a98386b7c86f57d", "0.05"), ("rbf376f7a0a1f854d", "0.1")] {
        let shown = run(&[&["runs", "show", name, "--json"], &at[..]].concat()).json_with(0);
        assert_eq!(shown["config"]["training"]["learning_rate"].to_string(), rate, "{name} is shown");
        assert_eq!(shown["config"]["training"]["optimizer"]["momentum"], 0.9, "{name}: today's names");
        assert_eq!(shown["measurement"]["trace"]["probes"], 5, "{name} has what was measured");
    }
    let compared = run(&[&["runs", "compare", ids[0], ids[1]], &at[..]].concat()).out_with(0);
    assert!(compared.contains("training.learning_rate (0.05 and 0.1)"), "{compared}");
    let exported = run(&[&["runs", "export"], &at[..]].concat()).out_with(0);
    assert_eq!(exported.lines().count(), 3, "a row for each:\n{exported}");
    let drawn = run(&[&["figure", &recipe, "--out", text(dir.path())], &at[..]].concat()).out_with(0);
    assert!(drawn.contains("2 of 2 runs"), "a figure shows both:\n{drawn}");

    let findings = dir.path().join("mine.toml");
    let mine = "[[finding]]\nsection = \"mine\"\nsentence = \"large steps\"\nruns = [{ \"model.arch\" = \"mlp\" }]\n\
                varies = [\"training.learning_rate\"]\n[[finding.condition]]\ny = \"lambda_max\"\n\
                statistic.slope = { x = \"training.learning_rate\" }\nbelow = 1\n";
    fs::write(&findings, mine).unwrap();
    let claims =
        run(&[&["claims", "--with-unconverged", "--findings", text(&findings), "--json"], &at[..]].concat())
            .json_with(0);
    assert_eq!(claims["findings"][0]["runs"].as_array().map(Vec::len), Some(1), "both are judged: {claims}");

    let sweep = [&["sweep", &recipe], &at[..]].concat();
    let swept = run(&sweep);
    assert!(swept.err.contains("older version"), "what is reused is told:\n{}", swept.err);
    let out = swept.out_with(0);
    assert!(out.contains("2 of 2 done, 2 before"), "nothing is made again:\n{out}");
    let after = files(&store);
    assert_eq!(after, before, "nothing is changed");

    // A third learning rate is made beside them.
    fs::write(&recipe, fs::read_to_string(&recipe).unwrap().replace("0.1]", "0.1, 0.2]")).unwrap();
    let out = run(&sweep).out_with(0);
    assert!(out.contains("3 of 3 done, 2 before"), "one is made:\n{out}");
    let after = files(&store);
    assert!(before.iter().all(|(file, old)| after.get(file) == Some(old)), "nothing old is changed");
}

#[test]
fn a_run_of_an_older_version_is_measured_but_not_resumed() {
    let dir = tempdir().unwrap();
    let out = dir.path().join("run");
    let small =
        ["--arch", "mlp", "--dataset", "digits", "--hidden", "4", "--max-epochs", "2", "--examples", "50"];
    run(&[&["train", "--out", text(&out)], &small[..]].concat()).out_with(4);
    let expected = kept_report(&out)["measurement"]["lambda_max"].clone();
    let config = fs::read_to_string(out.join("config.toml")).unwrap();
    assert!(config.contains("schema = 2\n"), "its form is stated:\n{config}");
    fs::write(out.join("config.toml"), config.replace("schema = 2\n", "")).unwrap();
    let before = files(&out);
    let measured = run(&["measure", "--run", text(&out), "--json"]).json_with(0);
    assert_eq!(measured["lambda_max"], expected, "its weights are measured");
    for arguments in [
        &["train", "--resume", "--out", text(&out)][..],
        &["train", "--resume", "--out", text(&out), "--trace=5"],
        &["measure", "--run", text(&out), "--between-iterates"],
    ] {
        run(arguments).refuses(1, &["written by an older version", "another directory"]);
    }
    assert_eq!(files(&out), before, "nothing is changed");
}
