//! `rescale`: the same function beside itself.

use tempfile::tempdir;

use crate::program::{run, text};

#[test]
fn measures_that_rescaling_changes_are_told_from_those_that_it_does_not() {
    let dir = tempdir().unwrap();
    let of_run = dir.path().join("run");
    let network = ["--arch", "mlp", "--dataset", "digits", "--hidden", "16,8"];
    let train =
        [&["train"], &network[..], &["--lr", "0.1", "--target-accuracy", "0.8", "--out", text(&of_run)]];
    run(&train.concat()).out_with(0);
    let rescale = [
        "rescale",
        "--alpha",
        "1,0.1",
        "--run",
        text(&of_run),
        "--precision",
        "f64",
        "--trace=50",
        "--frobenius",
    ];
    let made = run(&[&rescale[..], &["--json"]].concat()).json_with(0);
    let of = |number: &str| {
        let all = made["invariance"].as_array().unwrap();
        all.iter().find(|one| one["number"] == number).unwrap_or_else(|| panic!("no {number} in {all:?}"))
    };
    assert_eq!(of("test_loss")["invariant"], true, "the same function: {}", of("test_loss"));
    for number in ["lambda_max.value", "trace.value", "frobenius.value"] {
        let found = of(number);
        assert_eq!(found["invariant"], false, "{number} is of the weights: {found}");
        let values: Vec<f64> =
            found["values"].as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect();
        let factor = found["factor"].as_f64().unwrap();
        assert!((factor - values[2] / values[0]).abs() < 1e-9 * factor && factor > 2.0, "{number}: {found}");
        assert!(found["errors"][0].as_f64().unwrap() > 0.0, "with its error: {found}");
    }
    let measured = &made["rescaled"][1]["trace"];
    assert_eq!(measured["value"], of("trace.value")["values"][2], "the number of the measurement");
    // α = 1 alone changes nothing.
    let same = run(&["rescale", "--alpha", "1", "--run", text(&of_run), "--trace=50", "--json"]).json_with(0);
    let all = same["invariance"].as_array().unwrap();
    assert!(all.iter().all(|one| one["invariant"] == true), "the same weights: {all:?}");
    let shown = run(&rescale).out_with(0);
    for part in ["under rescaling", "invariant, to", "tr H", "changes ×"] {
        assert!(shown.contains(part), "the table must show `{part}`:\n{shown}");
    }
}

#[test]
fn rescaled_weights_have_the_same_loss_and_another_lambda_max() {
    let dir = tempdir().unwrap();
    let of_run = dir.path().join("run");
    let network = ["--arch", "mlp", "--dataset", "digits", "--hidden", "16,8"];
    let train =
        [&["train"], &network[..], &["--lr", "0.1", "--target-accuracy", "0.8", "--out", text(&of_run)]];
    run(&train.concat()).out_with(0);
    let rescale = ["rescale", "--alpha", "1,10", "--run", text(&of_run), "--precision", "f64"];
    let made = run(&[&rescale[..], &["--json"]].concat()).json_with(0);
    let points = [&made["original"], &made["rescaled"][0], &made["rescaled"][1]];
    for key in ["loss", "accuracy", "test_loss", "test_accuracy"] {
        let [original, same, scaled] = points.map(|point| point[key].as_f64().unwrap());
        assert_eq!(same.to_bits(), original.to_bits(), "α = 1 changes no bit of the {key}");
        assert!((scaled - original).abs() <= 1e-12 * original, "{key} stays: {scaled}, {original}");
    }
    let [original, same, scaled] = points.map(|point| point["lambda_max"]["value"].as_f64().unwrap());
    assert_eq!(same.to_bits(), original.to_bits(), "α = 1 changes no bit of λ_max");
    assert!(scaled > 3.0 * original, "λ_max is another one: {scaled}, {original}");
    assert_eq!(made["layers"]["multiplied"], "fc1", "the first layer that can be rescaled");
    let shown = run(&rescale).out_with(0);
    for part in ["original", "α = 10", "fc1 times α, fc2 divided by α", "λ_max"] {
        assert!(shown.contains(part), "the table must show `{part}`:\n{shown}");
    }

    let of_run = text(&of_run);
    let refused = |arguments: &[&str], parts: &[&str]| {
        run(&[&["rescale", "--run", of_run], arguments].concat()).refuses(2, parts);
    };
    refused(&["--alpha", "-1"], &["--alpha must be positive and finite, got -1"]);
    refused(&["--alpha", "inf"], &["positive and finite"]);
    refused(
        &["--alpha", "1e40"],
        &["--alpha 1e40 --layers fc1,fc2: alpha 1e40 takes", "out of the range of f32"],
    );
    refused(
        &["--alpha", "2", "--layers", "fc1,fc3"],
        &["--layers fc1,fc3: ", "is `fc2`, not `fc3`", "fc1,fc2; fc2,fc3"],
    );
    refused(&["--alpha", "2", "--layers", "fc1"], &["such as fc1,fc2"]);
    refused(&["--alpha", "2", "--activation", "gelu"], &["no two layers", "--activation relu"]);
    refused(&["--alpha", "2", "--between-iterates"], &["remove --between-iterates"]);
    refused(&["--alpha", "2", "--examples", "100,all"], &["one number of --examples"]);
}
