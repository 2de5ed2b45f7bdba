//! The files of a measurement and of a training: vectors, and pictures.

use std::fs;

use safetensors::SafeTensors;
use serde_json::Value;
use tempfile::tempdir;

use crate::program::{run, text};

const NETWORK: [&str; 9] =
    ["--arch", "mlp", "--dataset", "digits", "--hidden", "16", "--batch-size", "50", "--precision=f64"];
const TRAINING: [&str; 6] = ["--max-epochs", "3", "--target-accuracy", "1", "--examples", "100"];

#[test]
fn vectors_have_the_names_of_the_network_and_are_orthonormal() {
    let dir = tempdir().unwrap();
    let (out, file) = (dir.path().join("run"), dir.path().join("vectors.safetensors"));
    run(&[&["train"], &NETWORK[..], &TRAINING, &["--out", text(&out)]].concat()).out_with(4);
    let arguments =
        ["measure", "--run", text(&out), "--top-k", "2", "--rtol", "1e-6", "--diagonal=4", "--json"];
    let printed = run(&[&arguments[..], &["--vectors", text(&file)]].concat()).out_with(0);
    let document: Value = serde_json::from_str(&printed).unwrap();

    let bytes = fs::read(&file).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let vector = |name: &str| -> Vec<f64> {
        let parts = ["fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias"];
        let parts = parts.map(|part| tensors.tensor(&format!("{name}.{part}")).unwrap());
        let numbers = parts.iter().flat_map(|part| part.data().chunks_exact(8));
        numbers.map(|number| f64::from_le_bytes(number.try_into().unwrap())).collect()
    };
    assert_eq!(tensors.tensor("eigenvector.0.fc1.weight").unwrap().shape(), [16, 64]);
    let dot = |x: &[f64], y: &[f64]| x.iter().zip(y).map(|(x, y)| x * y).sum::<f64>();
    let [first, second] = ["eigenvector.0", "eigenvector.1"].map(vector);
    assert!((dot(&first, &first) - 1.0).abs() < 1e-9 && dot(&first, &second).abs() < 1e-6);
    let diagonal = vector("diagonal");
    let norm = document["diagonal"]["norm"].as_f64().unwrap();
    assert!((dot(&diagonal, &diagonal).sqrt() / norm - 1.0).abs() < 1e-9, "the norm of the diagonal");
    let (_, metadata) = SafeTensors::read_metadata(&bytes).unwrap();
    let values: Vec<f64> =
        serde_json::from_str(&metadata.metadata().as_ref().unwrap()["eigenvalues"]).unwrap();
    assert_eq!(Value::from(values[0]), document["lambda_max"]["value"]);
}

#[test]
fn pictures_of_a_training_have_their_numbers_beside_them() {
    let dir = tempdir().unwrap();
    let out = dir.path().join("plots");
    let tracked = ["--through-training", "0.1", "--through-every", "5 steps", "--through-measures", "trace"];
    let measured = ["--density=2", "--per-layer", "--plots", text(&out)];
    run(&[&["train"], &NETWORK[..], &TRAINING, &tracked, &measured].concat()).out_with(4);
    for name in
        ["through_training.html", "through_training.png", "density.html", "density.svg", "per_layer.png"]
    {
        assert!(fs::metadata(out.join(name)).is_ok_and(|file| file.len() > 500), "{name}");
    }
    let table = fs::read_to_string(out.join("through_training.csv")).unwrap();
    let head = table.lines().next().unwrap();
    for column in ["steps", "λ_max: λ_max", "λ_max: 2/η", "loss: loss", "tr H"] {
        assert!(head.contains(column), "no {column} in {head}");
    }
    assert!(table.lines().nth(2).unwrap().starts_with("5,"), "a row for every fifth step: {table}");
    let layers = fs::read_to_string(out.join("per_layer.csv")).unwrap();
    assert!(layers.lines().any(|line| line.starts_with("fc1,")), "{layers}");
    let density = fs::read_to_string(out.join("density.svg")).unwrap();
    assert!(density.contains("standard error"), "the band is in the legend");
}

#[test]
fn a_call_for_many_measures_says_what_it_saves() {
    let weights = tempdir().unwrap();
    let out = weights.path().join("run");
    run(&[&["train"], &NETWORK[..], &TRAINING, &["--out", text(&out)]].concat()).out_with(4);
    let measures = ["--trace", "--frobenius", "--effective-rank", "--per-layer=fc1", "--gauss-newton=10"];
    let printed = run(&[&["measure", "--run", text(&out)], &measures[..]].concat()).out_with(0);
    for part in ["Gauss-Newton", "per layer", "one call for each measure would take"] {
        assert!(printed.contains(part), "no `{part}` in {printed}");
    }
}
