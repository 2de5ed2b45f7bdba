//! `landscape` and `interpolate`: their files, and resuming.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::{TempDir, tempdir};

use crate::program::{command, run, text};

const ENDINGS: [&str; 5] = ["csv", "json", "png", "svg", "html"];

/// Two small trained runs, one of another seed, of a network with or without batch norm.
fn runs(arch: &str) -> (TempDir, [PathBuf; 2]) {
    let dir = tempdir().unwrap();
    let runs = [0, 1].map(|seed| {
        let (out, seed) = (dir.path().join(format!("run-{seed}")), seed.to_string());
        let size: &[&str] = if arch == "mlp" { &["--hidden", "16"] } else { &["--width-divisor", "8"] };
        let train = ["train", "--arch", arch, "--dataset", "digits", "--lr", "0.1", "--batch-size", "50"];
        let rest = ["--max-epochs", "3", "--target-accuracy", "1", "--seed", &seed, "--examples", "100"];
        run(&[&train[..], size, &rest, &["--rtol", "0.1", "--out", text(&out)]].concat()).out_with(4);
        out
    });
    (dir, runs)
}

/// The numbers of a column of a table.
fn column(table: &Path, name: &str) -> Vec<f64> {
    let text = fs::read_to_string(table).unwrap();
    let mut lines = text.lines().map(|line| line.split(',').collect::<Vec<_>>());
    let place = lines.next().unwrap().iter().position(|head| *head == name).unwrap();
    lines.map(|line| line[place].parse().unwrap()).collect()
}

/// Asserts that a page loads nothing and can be used with the keyboard.
fn check_page(page: &Path) {
    // Parts of the page itself.
    let page = fs::read_to_string(page).unwrap().replace("url(#", "");
    for outside in ["http:", "https:", "//cdn", "src=", "@import", "fetch(", "XMLHttpRequest", "url("] {
        assert!(!page.contains(outside), "the page must not contain `{outside}`");
    }
    for part in ["default-src 'none'", "ArrowLeft", "tabindex=", "aria-live", "prefers-color-scheme: dark"] {
        assert!(page.contains(part), "the page must contain `{part}`");
    }
}

/// Asserts that every file is there and not empty, and gives the bytes of those that must be the same each time.
fn files(out: &Path, name: &str) -> Vec<Vec<u8>> {
    ENDINGS.map(|ending| fs::read(out.join(format!("{name}.{ending}"))).unwrap()).to_vec()
}

#[test]
fn a_landscape_has_its_numbers_in_every_form() {
    for arch in ["mlp", "cnn-bn"] {
        let (dir, [first, _]) = runs(arch);
        for (directions, dimensions) in [("eigenvectors", "1"), ("gradient", "2"), ("random", "2")] {
            let out = dir.path().join(format!("{directions}-{dimensions}"));
            let arguments = [
                &["landscape", "--run", text(&first), "--directions", directions, "--dimensions", dimensions]
                    [..],
                &["--points", "7", "--precision", "f64", "--out", text(&out)],
            ]
            .concat();
            let made = run(&[&arguments[..], &["--json"]].concat()).json_with(0);
            let points = made["points"].as_array().unwrap();
            assert_eq!(points.len(), if dimensions == "1" { 7 } else { 49 }, "{directions}");
            let table = out.join("landscape.csv");
            for key in ["loss", "accuracy", "predicted"] {
                let numbers: Vec<f64> = points.iter().map(|point| point[key].as_f64().unwrap()).collect();
                assert_eq!(column(&table, key), numbers, "{directions}: the column {key}");
            }
            let (middle, loss) = (&points[points.len() / 2], made["quadratic"]["loss"].as_f64().unwrap());
            let rounding = (middle["loss"].as_f64().unwrap() - loss).abs();
            assert!(rounding <= 1e-12 * loss, "{arch} {directions}: the middle is the weights, {rounding}");
            let measured =
                run(&["measure", "--run", text(&first), "--precision", "f64", "--json"]).json_with(0);
            assert!((measured["loss"].as_f64().unwrap() - loss).abs() <= 1e-12 * loss, "the measured loss");
            let first_files = files(&out, "landscape");
            check_page(&out.join("landscape.html"));
            let stored: Value = serde_json::from_slice(&first_files[1]).unwrap();
            assert_eq!(stored["points"], made["points"], "the file of the document");
            let shown = run(&arguments).out_with(0);
            for part in ["is off by at most", "landscape.html", "training examples"] {
                assert!(shown.contains(part), "the text must contain `{part}`:\n{shown}");
            }
            assert_eq!(shown.contains("statistics of each chunk"), arch == "cnn-bn", "{shown}");
            assert!(files(&out, "landscape") == first_files, "a second call finds everything done");
        }
    }
}

#[test]
fn a_landscape_in_single_precision_keeps_its_directions() {
    let (dir, [first, _]) = runs("mlp");
    let out = dir.path().join("landscape");
    let arguments = ["landscape", "--run", text(&first), "--points", "5", "--out", text(&out)];
    run(&arguments).out_with(0);
    let kept = files(&out, "landscape");
    let journal = out.join("landscape.journal");
    let lines = fs::read_to_string(&journal).unwrap();
    assert!(lines.lines().nth(1).unwrap().starts_with("direction-1 "), "{lines}");
    assert!(out.join("direction-1.safetensors").is_file(), "the eigenvector");
    // Only the directions are known.
    fs::write(&journal, lines.lines().take(2).map(|line| format!("{line}\n")).collect::<String>()).unwrap();
    run(&arguments).out_with(0);
    assert!(files(&out, "landscape") == kept, "from known directions");
    // A damaged file is found again.
    fs::write(out.join("direction-1.safetensors"), b"damaged").unwrap();
    run(&arguments).out_with(0);
    assert!(files(&out, "landscape") == kept, "from scratch");
    let other = run(&[&arguments[..3], &["--out", text(&out), "--points", "6"]].concat());
    assert!(other.err.contains("other weights or settings"), "{}", other.err);
}

/// Starts a command, kills it once its journal has some points, and repeats it.
fn killed_and_repeated(arguments: &[&str], journal: &Path) {
    let mut child = command(arguments).spawn().unwrap();
    let lines = || fs::read_to_string(journal).map_or(0, |text| text.lines().count());
    while lines() < 20 && child.try_wait().unwrap().is_none() {
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    assert!(child.try_wait().unwrap().is_none(), "it was alive when it was killed");
    child.kill().unwrap();
    child.wait().unwrap();
    // As if a line had been torn.
    let torn = [&fs::read(journal).unwrap()[..], b"landscape-9999 0.2"].concat();
    fs::write(journal, torn).unwrap();
    let before = lines();
    run(arguments).out_with(0);
    assert!(lines() > before, "there was work left");
}

#[test]
fn a_killed_landscape_resumes_to_the_same_bytes() {
    let (dir, [first, _]) = runs("cnn-bn");
    let out = dir.path().join("out");
    let plane = ["landscape", "--run", text(&first), "--dimensions", "2", "--points", "15", "--out"];
    let arguments = [&plane[..], &[text(&out)]].concat();
    killed_and_repeated(&arguments, &out.join("landscape.journal"));
    let whole = dir.path().join("whole");
    run(&[&plane[..], &[text(&whole), "--threads", "1"]].concat()).out_with(0);
    assert!(files(&out, "landscape") == files(&whole, "landscape"), "the same bytes");
}

#[test]
fn an_interpolation_has_its_numbers_in_every_form() {
    for arch in ["mlp", "cnn-bn"] {
        let (dir, [first, second]) = runs(arch);
        let out = dir.path().join("between");
        let arguments = [
            &["interpolate", text(&first), text(&second), "--points", "13", "--out", text(&out)][..],
            &["--curve", "--curve-steps", "40", "--curve-batch-size", "50", "--precision", "f64"],
        ]
        .concat();
        let made = run(&[&arguments[..], &["--json"]].concat()).json_with(0);
        let points = made["segment"]["points"].as_array().unwrap();
        assert_eq!(points.len(), 13, "0 and 1 are among the points");
        let at = |t: f64| &points.iter().find(|point| point["t"] == t).unwrap()["train"]["loss"];
        let (a, b) = (at(0.0).as_f64().unwrap(), at(1.0).as_f64().unwrap());
        for (run_dir, loss) in [(&first, a), (&second, b)] {
            let measured =
                run(&["measure", "--run", text(run_dir), "--precision", "f64", "--json"]).json_with(0);
            let expected = measured["loss"].as_f64().unwrap();
            assert!((loss - expected).abs() <= 1e-12 * expected, "{arch}: {loss}, {expected}");
        }
        let excess = |point: &Value| {
            let (t, loss) = (point["t"].as_f64().unwrap(), point["train"]["loss"].as_f64().unwrap());
            if (0.0..=1.0).contains(&t) { loss - ((1.0 - t) * a + t * b) } else { 0.0 }
        };
        let largest = points.iter().map(excess).fold(0.0, f64::max);
        let barrier = made["segment"]["train_barrier"]["value"].as_f64().unwrap();
        assert!((barrier - largest).abs() < 1e-12, "{arch}: {barrier}, {largest}");
        let curve = made["curve"]["points"].as_array().unwrap();
        assert_eq!(curve.len(), 9, "from 0 to 1");
        assert_eq!(curve[0]["train"], points[2]["train"], "the curve starts at the first end");
        let statistics = if arch == "mlp" { "none" } else { "re-estimated" };
        assert_eq!(made["test_batch_norm"], statistics, "{arch}");
        let table = out.join("interpolation.csv");
        let losses: Vec<f64> =
            points.iter().chain(curve).map(|point| point["test"]["loss"].as_f64().unwrap()).collect();
        assert_eq!(column(&table, "test_loss"), losses, "the table");
        let kept = files(&out, "interpolation");
        check_page(&out.join("interpolation.html"));
        let shown = run(&arguments).out_with(0);
        for part in ["barrier", "Bézier curve (Garipov et al. 2018)", "interpolation.html", "t = 0"] {
            assert!(shown.contains(part), "the text must contain `{part}`:\n{shown}");
        }
        assert!(files(&out, "interpolation") == kept, "a second call finds everything done");
    }
}

#[test]
fn a_killed_interpolation_resumes_to_the_same_bytes() {
    let (dir, [first, second]) = runs("cnn-bn");
    let out = dir.path().join("out");
    let path = ["interpolate", text(&first), text(&second), "--curve", "--curve-steps", "10", "--out"];
    let arguments = [&path[..], &[text(&out)]].concat();
    killed_and_repeated(&arguments, &out.join("interpolation.journal"));
    let whole = dir.path().join("whole");
    run(&[&path[..], &[text(&whole), "--threads", "1"]].concat()).out_with(0);
    assert!(files(&out, "interpolation") == files(&whole, "interpolation"), "the same bytes");
}

#[test]
fn a_killed_training_of_a_curve_resumes_to_the_same_bytes() {
    let (dir, [first, second]) = runs("mlp");
    let out = dir.path().join("out");
    let path = ["interpolate", text(&first), text(&second), "--points", "5", "--curve"];
    let path = [&path[..], &["--curve-steps", "3000", "--out"]].concat();
    let arguments = [&path[..], &[text(&out)]].concat();
    let mut child = command(&arguments).spawn().unwrap();
    let checkpoint = out.join("curve.checkpoint");
    while !checkpoint.exists() && child.try_wait().unwrap().is_none() {
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    assert!(child.try_wait().unwrap().is_none(), "it was alive when it was killed");
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(checkpoint.exists(), "killed in the middle");
    run(&arguments).out_with(0);
    assert!(!checkpoint.exists(), "the training is done");
    let whole = dir.path().join("whole");
    run(&[&path[..], &[text(&whole)]].concat()).out_with(0);
    assert!(files(&out, "interpolation") == files(&whole, "interpolation"), "the same bytes");
}

#[test]
fn weights_files_are_interpolated_like_runs_and_a_network_has_no_barrier_to_itself() {
    let (dir, [first, _]) = runs("mlp");
    let (out, weights) = (dir.path().join("between"), first.join("weights.safetensors"));
    let arguments = [
        &["interpolate", text(&weights), text(&first), "--points", "5", "--out", text(&out)][..],
        &["--json"],
    ]
    .concat();
    let made = run(&arguments).json_with(0);
    assert_eq!(made["segment"]["train_barrier"]["value"], 0.0, "exactly");
    assert_eq!(made["segment"]["test_barrier"]["value"], 0.0, "exactly");
    assert_eq!(made["distance"], 0.0, "one network");
}

#[test]
fn what_makes_no_sense_is_refused() {
    let (dir, [first, second]) = runs("mlp");
    let (_other, [of_other, _]) = runs("cnn-bn");
    let out = text(dir.path());
    let landscape = |arguments: &[&str], parts: &[&str]| {
        run(&[&["landscape", "--run", text(&first), "--out", out], arguments].concat()).refuses(2, parts);
    };
    landscape(&["--dimensions", "3"], &["--dimensions", "1 or 2"]);
    landscape(&["--points", "2"], &["--points", "at least 3"]);
    landscape(&["--radius", "-1"], &["--radius", "positive"]);
    landscape(&["--directions", "up"], &["eigenvectors", "random"]);
    landscape(&["--between-iterates"], &["remove --between-iterates"]);
    landscape(&["--examples", "10,20"], &["one number of --examples"]);
    let interpolate = |to: &Path, arguments: &[&str], parts: &[&str]| {
        let ends = ["interpolate", text(&first), text(to), "--out", out];
        run(&[&ends[..], arguments].concat()).refuses(2, parts);
    };
    interpolate(&of_other, &[], &["another network", "one network on the same data"]);
    interpolate(&second, &["--points", "1"], &["--points must be from 3"]);
    interpolate(&second, &["--range", "0.2,0.5"], &["around 0 and 1"]);
    interpolate(&second, &["--curve-steps", "5"], &["--curve"]);
    interpolate(&second, &["--curve", "--curve-lr", "-1"], &["--curve-lr", "positive"]);
    let missing = run(&["interpolate", text(&first), "nowhere.safetensors", "--out", out]);
    missing.refuses(1, &["nowhere.safetensors"]);
    let ends = ["interpolate", text(&of_other), text(&of_other), "--bn", "running", "--out", out];
    run(&ends).refuses(2, &["--bn", "leave --bn at `batch`"]);
}
