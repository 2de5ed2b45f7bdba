//! `measure`: weights in, the same report out as at the end of a training.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use safetensors::tensor::{Dtype, SafeTensors, TensorView, serialize};
use serde_json::Value;

use crate::program::{kept_report, run, text};

const MODEL: [&str; 8] =
    ["--arch", "cnn-bn", "--dataset", "digits", "--width-divisor", "4", "--examples", "300"];

/// A run of a small network in a new directory.
fn trained(folder: &Path) -> PathBuf {
    let out = folder.join("run");
    let arguments = [&["train"], &MODEL[..], &["--lr", "0.3", "--out", text(&out), "--json"]].concat();
    run(&arguments).json_with(0);
    out
}

fn measured(weights: &Path, more: &[&str]) -> Value {
    run(&[&["measure"], &MODEL[..], &["--weights", text(weights), "--json"], more].concat()).json_with(0)
}

/// The numbers that must not depend on how a measurement was asked for.
fn essence(measured: &Value) -> Value {
    let mut essence = measured.clone();
    let map = essence.as_object_mut().unwrap();
    for key in [
        "seconds",
        "costs",
        "arch",
        "dataset",
        "standardize",
        "weights",
        "weights_sha256",
        "matched",
        "pairs",
        "seed",
        "peak_bytes",
        "memory",
    ] {
        map.remove(key);
    }
    essence
}

#[test]
fn the_weights_of_a_run_measure_as_at_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let out = trained(folder.path());
    let result = kept_report(&out);
    let by_weights = measured(&out.join("weights.safetensors"), &["--bn-chunk", "100"]);
    let by_run = run(&["measure", "--run", text(&out), "--json"]).json_with(0);
    assert_eq!(essence(&by_weights), essence(&result["measurement"]), "measured from the file of weights");
    assert_eq!(essence(&by_run), essence(&result["measurement"]), "measured from the directory of the run");
    for key in ["loss", "gradient_norm", "examples", "batch_norm"] {
        assert!(!by_weights[key].is_null(), "the document must have {key}: {by_weights}");
    }
    for key in ["value", "residual", "lower", "upper", "products", "converged"] {
        assert!(!by_weights["lambda_max"][key].is_null(), "λ_max must have {key}: {by_weights}");
    }
    let table = run(&["measure", "--run", text(&out), "--bn", "running"]).out_with(0);
    assert!(
        table.contains("batch norm with running statistics"),
        "the report says which statistics:\n{table}"
    );
}

#[test]
fn the_precision_of_the_engine_changes_little() {
    let folder = tempfile::tempdir().unwrap();
    let weights = trained(folder.path()).join("weights.safetensors");
    let more = ["--bn", "running", "--rtol", "1e-6"];
    let single = measured(&weights, &more);
    let double = measured(&weights, &[&more[..], &["--precision", "f64"]].concat());
    let value = |measured: &Value| measured["lambda_max"]["value"].as_f64().unwrap();
    let difference = (value(&single) - value(&double)).abs() / value(&double);
    assert!(difference < 1e-3, "λ_max differs by {difference} of it");
    assert_eq!(double["precision"], "f64", "the report says the precision");
}

/// The file with every tensor renamed.
fn renamed(weights: &Path, to: &Path, rename: impl Fn(&str) -> String) {
    let bytes = fs::read(weights).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let tensors: BTreeMap<String, (Dtype, Vec<usize>, Vec<u8>)> = file
        .tensors()
        .into_iter()
        .map(|(name, view)| (rename(&name), (view.dtype(), view.shape().to_vec(), view.data().to_vec())))
        .collect();
    let views = tensors
        .iter()
        .map(|(name, (dtype, shape, data))| (name, TensorView::new(*dtype, shape.clone(), data).unwrap()));
    fs::write(to, serialize(views, None).unwrap()).unwrap();
}

#[test]
fn other_names_are_paired_and_recorded_or_refused() {
    let folder = tempfile::tempdir().unwrap();
    let weights = trained(folder.path()).join("weights.safetensors");
    let other = folder.path().join("other.safetensors");
    let own = measured(&weights, &[]);
    let pair = |measured: &Value, place: usize| {
        ["file", "network"].map(|side| measured["pairs"][place][side].as_str().unwrap().to_owned())
    };
    assert_eq!(pair(&own, 0), ["features.0.weight", "features.0.weight"], "{own}");
    assert_eq!(own["weights_sha256"].as_str().map(str::len), Some(64), "{own}");

    renamed(&weights, &other, |name| format!("module.{name}"));
    let ended = run(&[&["measure"], &MODEL[..], &["--weights", text(&other), "--json"]].concat());
    assert!(ended.err.contains("without the prefix `module.`"), "{}", ended.err);
    let wrapped = ended.json_with(0);
    assert_eq!(essence(&wrapped), essence(&own), "the same weights with a prefix");
    assert_eq!(pair(&wrapped, 0), ["module.features.0.weight", "features.0.weight"], "{wrapped}");
    assert_ne!(wrapped["weights_sha256"], own["weights_sha256"], "another file");

    renamed(&weights, &other, |name| name.replace("features.", "body.").replace("classifier", "head"));
    let arguments = [&["measure"], &MODEL[..], &["--weights", text(&other)]].concat();
    run(&arguments).refuses(1, &["body.0.weight", "classifier.weight", "--match order", "--rename"]);
    let by_order = measured(&other, &["--match", "order"]);
    assert_eq!(essence(&by_order), essence(&own), "the same weights under other names");
    assert_eq!(by_order["matched"], "order", "{by_order}");
    let table = run(&[&arguments[..], &["--match", "order"]].concat());
    assert!(table.err.contains("head.weight -> classifier.weight"), "the pairs are told:\n{}", table.err);

    let list = folder.path().join("renames");
    let renames = ["head=classifier", "body.0=features.0", "body.1=features.1", "body.4=features.4"];
    fs::write(&list, format!("# modules\n{}\n", renames.join("\n"))).unwrap();
    let stated = measured(&other, &["--rename-file", text(&list), "--rename", "body.5=features.5"]);
    assert_eq!(essence(&stated), essence(&own), "stated pairs");
    fs::write(&list, "head=classifier\nbody.0\n").unwrap();
    run(&[&arguments[..], &["--rename-file", text(&list)]].concat())
        .refuses(1, &["renames, line 2", "body.0"]);
    run(&[&arguments[..], &["--rename-file", text(folder.path())]].concat())
        .refuses(1, &["not a regular file"]);
    run(&[&arguments[..], &["--rename", "body.0"]].concat()).refuses(2, &["FILE_NAME=NETWORK_NAME"]);
}

#[test]
fn weights_that_guess_though_they_are_trained_are_doubted() {
    let folder = tempfile::tempdir().unwrap();
    let model = ["--arch", "mlp", "--dataset", "digits", "--hidden", "64,64,64", "--examples", "300"];
    let measure = |weights: &Path, more: &[&str]| {
        run(&[&["measure"], &model[..], &["--weights", text(weights), "--rtol", "0.1"], more].concat())
    };
    let out = folder.path().join("run");
    let train = [&["train"], &model[..], &["--lr", "0.1", "--no-measure", "--out", text(&out)]].concat();
    run(&train).out_with(0);
    let weights = out.join("weights.safetensors");
    let right = measure(&weights, &["--json"]).json_with(0);
    assert!(right["accuracy"].as_f64() > Some(0.9) && right["warnings"].is_null(), "{right}");

    // Stated pairs are believed, also wrong ones.
    let turned = ["--rename", "fc1=fc3", "--rename", "fc2=fc1", "--rename", "fc3=fc2"];
    let wrong = measure(&weights, &[&turned[..], &["--json"]].concat()).json_with(0);
    assert!(wrong["accuracy"].as_f64() < Some(0.2), "else this test tests nothing: {wrong}");
    let warning = wrong["warnings"][0].as_str().unwrap();
    assert!(warning.contains("near chance (10.00 %)") && warning.contains("paired wrongly"), "{warning}");
    let report = measure(&weights, &turned).out_with(0);
    assert!(report.contains("WARNING") && report.contains("near chance"), "{report}");

    let out = folder.path().join("begun");
    let train = ["--lr", "1e-30", "--max-epochs", "1", "--no-measure", "--out", text(&out)];
    run(&[&["train"], &model[..], &train].concat()).out_with(4);
    let begun = measure(&out.join("weights.safetensors"), &["--json"]).json_with(0);
    assert!(begun["accuracy"].as_f64() < Some(0.2), "else this test tests nothing: {begun}");
    assert!(begun["warnings"].is_null(), "an initialization guesses: {begun}");
}

#[test]
fn cut_weights_and_weights_of_another_network_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let weights = trained(folder.path()).join("weights.safetensors");
    let cut = folder.path().join("cut.safetensors");
    let bytes = fs::read(&weights).unwrap();
    for len in [0, 4, 8, 100, bytes.len() / 2, bytes.len() - 1] {
        fs::write(&cut, &bytes[..len]).unwrap();
        let arguments = [&["measure"], &MODEL[..], &["--weights", text(&cut)]].concat();
        run(&arguments).refuses(1, &["cut.safetensors"]);
    }
    let other = ["measure", "--arch", "mlp", "--dataset", "digits", "--weights", text(&weights)];
    run(&other).refuses(1, &["does not fit mlp", "fc1.weight", "features.4.weight"]);
}

#[test]
fn the_upper_bound_comes_as_near_as_asked() {
    let folder = tempfile::tempdir().unwrap();
    let weights = trained(folder.path()).join("weights.safetensors");
    let excess = |measured: &Value| {
        let number = |key: &str| measured["lambda_max"][key].as_f64().unwrap();
        (number("upper") - number("value")) / number("value")
    };
    let free = measured(&weights, &[]);
    let near = measured(&weights, &["--bound-rtol", "1e-3"]);
    assert!(excess(&free) > 1e-3, "else this test tests nothing: {free}");
    assert!(excess(&near) <= 1e-3, "{near}");
    assert!(near["lambda_max"]["products"].as_u64() > free["lambda_max"]["products"].as_u64(), "at a price");
}

#[test]
fn the_trace_is_reported_where_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let weights = trained(folder.path()).join("weights.safetensors");
    assert!(measured(&weights, &[]).get("trace").is_none(), "not asked for");
    let few = measured(&weights, &["--trace=5"]);
    assert_eq!(few["trace"]["probes"], 5, "the most probes: {few}");
    let (value, error) =
        (few["trace"]["value"].as_f64().unwrap(), few["trace"]["standard_error"].as_f64().unwrap());
    assert!(value > 0.0 && error > 0.0 && error < value, "{few}");
    let double = ["--trace=5", "--bn-chunk", "100", "--precision", "f64"];
    let refused =
        [&["measure"], &MODEL[..], &["--weights", text(&weights)], &double, &["--memory", "1MiB"]].concat();
    let least = format!("{}MiB", run(&refused).smallest_memory());
    let tight = measured(&weights, &[&double[..], &["--memory", &least]].concat());
    assert_eq!(tight["cached_chunks"], 0, "little memory: {tight}");
    let whole = measured(&weights, &double);
    assert_eq!(tight["trace"], whole["trace"], "memory changes no trace");
    let arguments = [&["measure"], &MODEL[..], &["--weights", text(&weights), "--trace"]].concat();
    let table = run(&arguments).out_with(0);
    assert!(table.contains("trace") && table.contains("probes)"), "the report has a line of it:\n{table}");
}

/// Buffers dominate here, so that this compares what is said of them with what they take.
#[cfg(target_os = "linux")]
#[test]
fn the_peak_of_the_memory_is_as_predicted() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    for (arch, settings) in [
        ("cnn-bn", [["--bn-chunk", "1442"], ["--memory", "1GB"], ["--precision", "f64"]]),
        ("cnn-bn", [["--bn-chunk", "1000"], ["--memory", "1GB"], ["--precision", "f32"]]),
        ("fixup-resnet20", [["--examples", "200"], ["--memory", "104MB"], ["--bn-chunk", "50"]]),
        ("fixup-resnet20", [["--examples", "200"], ["--memory", "1GB"], ["--precision", "f32"]]),
    ] {
        let model = ["--arch", arch, "--dataset", "digits"];
        let train = ["train", "--max-epochs", "1", "--no-measure", "--train-examples", "200"];
        run(&[&train[..], &model, &["--out", text(&out)]].concat());
        let weights = out.join("weights.safetensors");
        let measure = ["measure", "--weights", text(&weights), "--rtol", "0.1", "--json"];
        let measured = run(&[&measure[..], &model, settings.as_flattened()].concat()).json_with(0);
        let predicted = measured["memory"]["predicted_bytes"].as_f64().unwrap();
        let ratio = measured["peak_bytes"].as_f64().unwrap() / predicted;
        assert!(
            (0.8..=1.1).contains(&ratio),
            "{arch}, {settings:?}: {ratio} times the prediction, {measured}"
        );
        std::fs::remove_dir_all(&out).unwrap();
    }
}

#[test]
fn a_run_is_searched_between_iterates_later_as_it_would_have_been_by_its_training() {
    let folder = tempfile::tempdir().unwrap();
    let sam = ["--arch", "cnn-bn", "--width-divisor", "4", "--sam-rho", "0.05", "--sam-m", "10"];
    let dropout = ["--arch", "mlp", "--hidden", "16", "--dropout", "0.3", "--precision", "f64"];
    let momentum = ["--momentum", "0.9", "--nesterov", "--weight-decay", "1e-3", "--seed", "3"];
    let rest = ["--dataset", "digits", "--train-examples", "300", "--batch-size", "50", "--max-epochs", "2"];
    for (name, settings) in [("sam", &sam[..]), ("dropout", &dropout)] {
        let train = [&["train", "--json"], settings, &momentum, &rest].concat();
        let asked = run(&[&train[..], &["--between-iterates"]].concat()).json_with(4);
        let out = folder.path().join(name);
        run(&[&train[..], &["--out", text(&out)]].concat()).json_with(4);
        let later = run(&["measure", "--run", text(&out), "--between-iterates", "--json"]).json_with(0);
        let points = later["between_iterates"]["points"].as_array().unwrap();
        assert_eq!(points.len(), 8, "{name}: {later}");
        assert_ne!(points[0]["lambda_max"], points[7]["lambda_max"], "{name}: the step moves");
        assert_eq!(essence(&later), essence(&asked["measurement"]), "{name}: bit for bit");
    }
}

#[test]
fn a_search_between_iterates_needs_a_run_and_its_network() {
    let folder = tempfile::tempdir().unwrap();
    let out = trained(folder.path());
    let weights = out.join("weights.safetensors");
    let between = |more: &[&str]| run(&[&["measure", "--between-iterates"], more].concat());
    between(&[&MODEL[..], &["--weights", text(&weights)]].concat()).refuses(2, &["--run"]);
    between(&["--run", text(&out), "--weights", text(&weights)]).refuses(2, &["--weights"]);
    between(&["--run", text(&out), "--activation", "tanh"])
        .refuses(2, &["the network must be the run's own"]);
    fs::remove_file(out.join("checkpoint.safetensors")).unwrap();
    between(&["--run", text(&out)]).refuses(1, &["checkpoint.safetensors", "missing"]);
}
