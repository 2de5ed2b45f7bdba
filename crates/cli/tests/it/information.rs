//! `--help`, `info`, `data` and `completions`.

use crate::program::{command, ended, run, text};

#[test]
fn help_names_commands_and_exit_codes() {
    let help = run(&["--help"]).out_with(0);
    for part in ["train", "measure", "data", "info", "completions", "Exit codes:", "130"] {
        assert!(help.contains(part), "the help must name {part}:\n{help}");
    }
    for command in ["train", "measure", "info", "data", "completions"] {
        assert!(run(&[command, "--help"]).out_with(0).contains("Usage: sharpness"), "help of {command}");
    }
    assert!(run(&["--version"]).out_with(0).starts_with("sharpness "), "the program says its name");
}

#[test]
fn info_counts_the_parameters_of_vgg11() {
    let facts = run(&["info", "vgg11", "--json"]).json_with(0);
    assert_eq!(facts["parameters"], 9_750_922, "parameters of VGG-11 for 32x32 images, without batch norm");
    assert_eq!(facts["input"], serde_json::json!([3, 32, 32]), "the images are CIFAR-10's");
    let layers = facts["layers"].as_array().unwrap();
    let sum: u64 = layers.iter().map(|layer| layer["parameters"].as_u64().unwrap()).sum();
    assert_eq!(sum, 9_750_922, "the layers add up");
    assert_eq!(layers[0]["kind"], "conv2d+relu+pool", "what one pass makes is one layer");
    assert_eq!(layers[0]["output"], serde_json::json!([64, 16, 16]), "its output is the pooled one");
    let table = run(&["info", "vgg11"]).out_with(0);
    assert!(table.contains("9,750,922") && table.contains("features.0"), "the table shows them:\n{table}");
}

#[test]
fn info_takes_the_options_of_a_model() {
    let arguments = ["info", "mlp", "--dataset", "digits", "--hidden", "3,5", "--json"];
    let parameters = (64 * 3 + 3) + (3 * 5 + 5) + (5 * 10 + 10);
    assert_eq!(run(&arguments).json_with(0)["parameters"], parameters, "three linear layers");
}

#[test]
fn the_embedded_digits_are_listed_and_checked() {
    let list = run(&["data", "list", "--json"]).json_with(0);
    assert_eq!(list[0]["name"], "digits", "the embedded data set comes first");
    assert_eq!(list[0]["place"], "in the program", "it needs no file");
    let checked = run(&["data", "check", "digits", "--json"]).json_with(0);
    assert_eq!(checked[0]["train_examples"], 1442, "training examples of the digits");
    assert_eq!(checked[0]["established"], "embedded", "nothing can have changed them");
}

#[test]
fn files_that_are_not_the_published_ones_are_told() {
    let folder = tempfile::tempdir().unwrap();
    for (name, count, header, len) in [
        ("train-images-idx3-ubyte", 60_000_u32, &[0, 0, 8, 3], 16 + 60_000 * 784),
        ("train-labels-idx1-ubyte", 60_000, &[0, 0, 8, 1], 8 + 60_000),
        ("t10k-images-idx3-ubyte", 10_000, &[0, 0, 8, 3], 16 + 10_000 * 784),
        ("t10k-labels-idx1-ubyte", 10_000, &[0, 0, 8, 1], 8 + 10_000),
    ] {
        // Black images of the class 0.
        let path = folder.path().join(name);
        let sizes = [count, 28, 28].map(u32::to_be_bytes).concat();
        let sizes = if header[3] == 3 { &sizes[..] } else { &sizes[..4] };
        std::fs::write(&path, [header.as_slice(), sizes].concat()).unwrap();
        std::fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(len).unwrap();
    }
    let arguments = ["data", "check", "mnist", "--data-dir", text(folder.path())];
    let report = run(&arguments).out_with(0);
    for part in ["well-formed, but not the published files", "t10k-labels-idx1-ubyte"] {
        assert!(report.contains(part), "the report must contain `{part}`:\n{report}");
    }
    let checked = run(&[&arguments[..], &["--json"]].concat()).json_with(0);
    assert_eq!(checked[0]["established"], "well-formed", "{checked}");
    assert_eq!(checked[0]["files"][1]["published_md5"], "a25bea736e30d166cdddb491f175f624", "{checked}");
    assert_eq!(checked[0]["files"][1]["md5"].as_str().map(str::len), Some(32), "{checked}");
}

#[test]
fn a_missing_data_set_is_listed_with_the_places_and_the_way_out() {
    let empty = tempfile::tempdir().unwrap();
    let mut program = command(&["data", "list", "--data-dir", text(empty.path())]);
    program.env("HOME", empty.path()).env("XDG_CACHE_HOME", empty.path());
    let list = ended(program).out_with(0);
    assert!(list.contains("sharpness data fetch cifar10"), "the way out is named:\n{list}");
    assert!(list.contains(text(empty.path())), "the place is named:\n{list}");
}

#[test]
fn a_download_without_a_server_says_so() {
    let cache = tempfile::tempdir().unwrap();
    let arguments =
        ["data", "fetch", "cifar10", "--base-url", "http://127.0.0.1:9/x", "--cache-dir", text(cache.path())];
    run(&arguments).refuses(1, &["cannot download http://127.0.0.1:9/x", "network"]);
    run(&["data", "fetch", "digits"]).refuses(2, &["digits", "no download"]);
}

#[test]
fn every_shell_gets_completions() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = run(&["completions", shell]).out_with(0);
        assert!(script.contains("between-iterates"), "completions of {shell} know the flags");
    }
}
