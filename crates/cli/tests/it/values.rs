//! Values that cannot be right, from the command line, a configuration and a recipe: the exit code is 2 in each case, and the flag, or
//! the file, the line and the key are named.

use std::fs;

use tempfile::tempdir;

use crate::program::{run, text};

/// Flags with their keys and values that are out of range, in the words of TOML.
const VALUES: [(&str, &str, &[&str]); 27] = [
    ("--seed", "seed", &["-1", "0.5"]),
    ("--precision", "precision", &["\"f16\""]),
    ("--convolution", "convolution", &["\"fft\""]),
    ("--arch", "model.arch", &["\"nothing\"", "1"]),
    ("--activation", "model.activation", &["\"nothing\""]),
    ("--hidden", "model.hidden", &["[0]", "[4, 0]", "[-1]", "[1048577]", "[1048576, 1048576]", "[nan]"]),
    ("--dropout", "model.dropout", &["1", "1.5", "-0.1", "nan", "inf"]),
    ("--width-divisor", "model.width_divisor", &["0", "-1"]),
    ("--dataset", "data.name", &["\"nothing\""]),
    ("--standardize", "data.standardize", &["\"nothing\""]),
    ("--train-examples", "data.train_examples", &["0", "-1", "1443", "inf"]),
    ("--loss", "training.loss", &["\"nothing\""]),
    ("--lr", "training.learning_rate", &["0", "-1", "nan", "inf", "-inf"]),
    ("--batch-size", "training.batch_size", &["0", "-1", "1443", "1.5", "1e3"]),
    ("--micro-batch-size", "training.micro_batch_size", &["0", "-1"]),
    ("--momentum", "training.optimizer.momentum", &["1", "-0.1", "nan", "inf"]),
    ("--weight-decay", "training.optimizer.weight_decay", &["-1", "nan", "inf"]),
    ("--sam-rho", "training.sam.rho", &["-1", "nan", "inf"]),
    ("--target-accuracy", "training.target_accuracy", &["0", "-1", "1.01", "nan", "inf"]),
    ("--max-epochs", "training.max_epochs", &["0", "-1", "4294967295", "4294967296"]),
    ("--examples", "measure.examples", &["0", "-1", "1443", "nan"]),
    ("--bn-chunk", "measure.chunk", &["0", "-1"]),
    ("--top-k", "measure.top_k", &["0", "-1", "311", "9223372036854775807"]),
    ("--max-products", "measure.max_products", &["0", "-1"]),
    ("--trace", "measure.trace", &["0", "1", "-1"]),
    ("--sam-bound", "measure.sam_bound", &["0", "-1", "nan", "inf"]),
    ("--through-training", "training.through_training", &["0", "-1", "nan", "inf"]),
];

/// The settings of a small network: 310 parameters, and 1442 training examples.
const SMALL: [(&str, &str, &str); 4] = [
    ("--arch", "model.arch", "\"mlp\""),
    ("--dataset", "data.name", "\"digits\""),
    ("--hidden", "model.hidden", "[4]"),
    ("--max-epochs", "training.max_epochs", "1"),
];

/// A value of TOML as a shell's user writes it.
fn typed(value: &str) -> String {
    value.replace(['"', '[', ']', ' '], "")
}

#[test]
fn values_out_of_range_are_usage_errors_wherever_they_are_given() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("file.toml");
    for (flag, key, values) in VALUES {
        let others = || SMALL.into_iter().filter(|small| small.1 != key);
        for value in values {
            let mut arguments = vec!["train".to_owned(), format!("{flag}={}", typed(value))];
            arguments.extend(others().map(|(flag, _, value)| format!("{flag}={}", typed(value))));
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            run(&arguments).refuses(2, &[flag]);

            let settings = others().map(|(_, key, value)| format!("{key} = {value}\n")).collect::<String>();
            fs::write(&path, format!("{settings}{key} = {value}\n")).unwrap();
            let place = format!("file.toml, line {}", others().count() + 1);
            run(&["train", "--config", text(&path)]).refuses(2, &[&place, key]);

            // A recipe gets its micro-batches from its batches.
            fs::write(&path, format!("[fixed]\n{settings}{key} = {value}\n")).unwrap();
            let place = format!("file.toml, line {}: ", others().count() + 2);
            run(&["sweep", text(&path), "--dry-run"]).refuses(2, &[&place, key]);
        }
    }
}

/// Files that were written for older versions.
#[test]
fn settings_under_their_old_names_are_taken_and_told_with_their_line() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("file.toml");
    let others =
        "model.arch = \"mlp\"\ndata.name = \"digits\"\nmodel.hidden = [4]\ntraining.max_epochs = 1\n";
    for (old, today, right, wrong) in [
        ("training.momentum", "training.optimizer.momentum", "0.9", "1"),
        ("training.weight_decay", "training.optimizer.weight_decay", "1e-3", "-1"),
        ("training.nesterov", "training.optimizer.nesterov", "false", "3"),
        ("measure.through_training", "training.through_training", "0.1", "0"),
    ] {
        let train = ["train", "--config", text(&path), "--no-measure", "--json"];
        let config = |key: &str| {
            fs::write(&path, format!("{others}{key} = {right}\n")).unwrap();
            run(&train).json_with(4)["config"].clone()
        };
        assert_eq!(config(old), config(today), "{old} is {today}");
        fs::write(&path, format!("{others}{old} = {wrong}\n")).unwrap();
        run(&train).refuses(2, &["file.toml, line 5", today]);
        fs::write(&path, format!("[fixed]\n{others}{old} = {wrong}\n")).unwrap();
        run(&["sweep", text(&path), "--dry-run"]).refuses(2, &["file.toml, line 6: ", today]);
    }
}

#[test]
fn settings_that_exclude_each_other_are_usage_errors() {
    let small = ["--arch", "mlp", "--dataset", "digits", "--max-epochs", "1"];
    for (arguments, part) in [
        (&["--nesterov"][..], "--nesterov"),
        (&["--seed", "18446744073709551615"], "--seed"),
        (&["--sam-rho", "0.1", "--sam-m", "0"], "--sam-m"),
        (&["--sam-rho", "0.1", "--sam-m", "101"], "--sam-m"),
        (&["--train-examples", "1442"], "--train-examples"),
        (&["--train-examples", "50"], "--batch-size"),
        (&["--train-examples", "100", "--examples", "101"], "--examples"),
    ] {
        run(&[&["train"][..], &small, arguments].concat()).refuses(2, &[part]);
    }
    for (arguments, parts) in [
        (&["train", "--arch", "vgg11", "--dataset", "digits"][..], &["--dataset", "vgg11", "32x32"][..]),
        (&["train", "--arch", "cnn", "--dataset", "digits", "--dropout", "0.5"], &["--dropout", "only mlp"]),
        (&["info", "vgg11", "--dataset", "digits"], &["--dataset", "32x32"]),
        (&["info", "mlp", "--hidden", "0"], &["--hidden"]),
        (&["info", "mlp", "--dropout", "1"], &["--dropout"]),
        (&["info", "cnn", "--width-divisor", "0"], &["--width-divisor"]),
        (&["bench", "--arch", "mlp", "--dataset", "digits", "--random", "--top-k", "10000000"], &["--top-k"]),
        (
            &["bench", "--arch", "mlp", "--dataset", "digits", "--random", "--repetitions", "0"],
            &["--repetitions"],
        ),
        (&["sweep", "recipe.toml", "--jobs", "0"], &["--jobs"]),
        (&["sweep", "recipe.toml", "--jobs", "1000000"], &["--jobs"]),
        (&["figure", "recipe.toml", "--examples", "0"], &["--examples"]),
        (&["runs", "list", "--store", ".", "--where", "learning_rat=1"], &["learning_rat=1"]),
        (&["data", "fetch", "digits"], &["no download"]),
    ] {
        run(arguments).refuses(2, parts);
    }
    let dir = tempdir().unwrap();
    let recipe = dir.path().join("plain.toml");
    fs::write(&recipe, "fixed = { arch = \"mlp\", data.name = \"digits\" }\n").unwrap();
    run(&["figure", text(&recipe), "--store", text(dir.path())]).refuses(2, &["plain.toml", "[figure]"]);
}

/// A configuration with a larger number could not be read again.
#[test]
fn the_largest_values_are_taken_and_kept() {
    let dir = tempdir().unwrap();
    let (store, out) = (dir.path().join("store"), dir.path().join("store/run"));
    let small = ["train", "--arch", "mlp", "--dataset", "digits", "--hidden", "4", "--max-epochs", "1"];
    let most =
        ["--max-products", "9223372036854775807", "--bn-chunk", "9223372036854775807", "--top-k", "310"];
    let all = [&small[..], &most, &["--examples", "20", "--json", "--out", text(&out)]].concat();
    let report = run(&all).json_with(4);
    assert_eq!(report["measurement"]["top"].as_array().map(Vec::len), Some(310), "all eigenvalues");
    fs::remove_dir_all(out.join("measurements")).unwrap();
    run(&["train", "--resume", "--out", text(&out)]).out_with(4);
    let table = run(&["runs", "export", "--store", text(&store)]).out_with(0);
    assert!(table.contains("9223372036854775807"), "the table has it:\n{table}");
    for flag in ["--max-products", "--bn-chunk", "--trace"] {
        let given = format!("{flag}=9223372036854775808");
        run(&[&small[..], &[&given, "--examples", "20"]].concat()).refuses(2, &[flag, "9223372036854775807"]);
    }
}
