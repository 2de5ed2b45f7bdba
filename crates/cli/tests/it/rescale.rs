//! `rescale`: the same function beside itself.

use tempfile::tempdir;

use crate::program::{run, text};

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
