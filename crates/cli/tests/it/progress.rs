//! Progress for programs: lines of JSON on standard error.

use std::fs;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::tempdir;

use crate::program::{Ended, command, ended, text};

/// Runs the program as another program does, and returns its lines of progress and its other lines.
fn watched(arguments: &[&str]) -> (Vec<Value>, Vec<String>, Ended, Duration) {
    let mut program = command(arguments);
    program.env("SHARPNESS_PROGRESS", "json");
    let started = Instant::now();
    let ended = ended(program);
    let elapsed = started.elapsed();
    let (shown, notes): (Vec<&str>, Vec<&str>) =
        ended.err.lines().partition(|line| line.starts_with("{\"progress\":"));
    let shown = shown.into_iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let notes = notes.into_iter().map(str::to_owned).collect();
    (shown, notes, ended, elapsed)
}

/// Asserts that each line says how far the work is, and that there are at most five in a second.
#[track_caller]
fn assert_progress(shown: &[Value], elapsed: Duration) {
    assert!(!shown.is_empty(), "progress is shown from the start");
    assert!(shown.len() as f64 <= 1.0 + elapsed.as_secs_f64() * 5.0, "{} lines in {elapsed:?}", shown.len());
    for line in shown {
        let progress = &line["progress"];
        let (position, total) = (progress["position"].as_u64().unwrap(), progress["total"].as_u64().unwrap());
        assert!(total == 0 || position <= total, "a place on the way: {line}");
        assert!(!progress["message"].as_str().unwrap().is_empty(), "what is being done: {line}");
    }
}

#[test]
fn a_training_shows_its_steps_and_its_notes() {
    let (shown, notes, ended, elapsed) =
        watched(&["train", "--arch", "mlp", "--dataset", "digits", "--max-epochs", "2", "--json"]);
    assert_progress(&shown, elapsed);
    let first = &shown[0]["progress"];
    assert_eq!((&first["position"], &first["total"]), (&Value::from(1), &Value::from(15)), "1442 by 100");
    assert!(first["message"].as_str().unwrap().starts_with("epoch 1: loss "), "{first}");
    assert_eq!(notes, ["measuring on all 1,442 training examples"], "notes stay text");
    ended.json_with(4);
}

#[test]
fn a_sweep_shows_its_runs_and_names_failures_in_words() {
    let dir = tempdir().unwrap();
    let (recipe, store) = (dir.path().join("recipe.toml"), dir.path().join("store"));
    let recipe_text = "fixed = { arch = \"mlp\", data.name = \"digits\", hidden = [16], max_epochs = 20, examples = 50, rtol = 0.1 }\n\
                       seeds = [0, 1]\n[[block]]\nname = \"a \\\"b\\\"\"\n";
    fs::write(&recipe, recipe_text).unwrap();
    let arguments = ["sweep", text(&recipe), "--store", text(&store), "--json"];
    let (shown, notes, ended, elapsed) = watched(&arguments);
    assert_progress(&shown, elapsed);
    assert!(shown.iter().all(|line| line["progress"]["total"] == 2), "of two runs: {shown:?}");
    let message = shown[0]["progress"]["message"].as_str().unwrap();
    assert!(message.starts_with("a \"b\" seed="), "the run is named: {message}");
    assert!(notes.is_empty(), "nothing else is told: {notes:?}");
    ended.json_with(0);

    // The runs that are done are read, and nothing about them is a failure.
    let (shown, notes, ended, _) = watched(&arguments);
    assert!(shown[0]["progress"]["message"].as_str().unwrap().contains(": done before"), "{shown:?}");
    assert!(notes.is_empty(), "{notes:?}");
    ended.json_with(0);

    fs::write(&recipe, recipe_text.replace("digits", "mnist").replace("[0, 1]", "[0]")).unwrap();
    let (_, notes, ended, _) = watched(&arguments);
    if ended.code == Some(0) {
        println!("skipped: MNIST is on this machine");
        return;
    }
    assert!(notes[0].contains("not made: the data set 'mnist' was not found"), "{notes:?}");
    ended.json_with(1);
}
