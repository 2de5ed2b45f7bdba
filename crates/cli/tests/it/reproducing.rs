//! Figures of the paper, from their runs to the pictures.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use tempfile::tempdir;

use crate::program::{command, ended, run, text};
use crate::skip::{assert_skips_are_told, skip};

/// What `SHARPNESS_DATA` names, if CIFAR-10 and Fashion-MNIST are found there or in the usual places.
fn data() -> Option<OsString> {
    let data = std::env::var_os("SHARPNESS_DATA").unwrap_or_default();
    let mut list = command(&["data", "list", "--json"]);
    list.env("SHARPNESS_DATA", &data);
    let listed = ended(list).json_with(0);
    for name in ["cifar10", "fashion-mnist"] {
        let is_found = |set: &serde_json::Value| set["name"] == name && !set["place"].is_null();
        if !listed.as_array().unwrap().iter().any(is_found) {
            skip(&format!("{name} is not on this machine; get it with `sharpness data fetch {name}`"));
            return None;
        }
    }
    Some(data)
}

/// Reproduces figures at the smallest scale, and looks at what was drawn.
fn reproduce(figures: &[&str], dir: &Path, data: &OsStr) -> Vec<serde_json::Value> {
    let (store, out) = (dir.join("store"), dir.join("figures"));
    let mut arguments = vec!["reproduce"];
    arguments.extend(figures);
    arguments.extend([
        "--scale",
        "smoke",
        "--jobs",
        "2",
        "--json",
        "--store",
        text(&store),
        "--out",
        text(&out),
    ]);
    let made = command(&arguments).env("SHARPNESS_DATA", data).output().unwrap();
    let errors = String::from_utf8_lossy(&made.stderr);
    assert!(made.status.success(), "the figures are made:\n{errors}");
    let drawn: serde_json::Value = serde_json::from_slice(&made.stdout).unwrap();
    let drawn = drawn.as_array().unwrap().clone();
    for figure in &drawn {
        assert_eq!(figure["runs_done"], figure["runs_planned"], "all runs are done: {figure}");
        let caption = figure["caption"].as_str().unwrap();
        assert!(caption.contains("Smaller than the paper's"), "the caption says so: {caption}");
        assert!(!caption.contains("Not drawn"), "all runs fit their data: {caption}");
        for file in figure["files"].as_array().unwrap() {
            let size = std::fs::metadata(file.as_str().unwrap()).unwrap().len();
            assert!(size > 100, "{file} has {size} bytes");
        }
    }
    drawn
}

#[test]
fn figures_of_every_kind_are_reproduced() {
    let Some(data) = data() else { return };
    let dir = tempdir().unwrap();
    let drawn = reproduce(&["fig1", "fig2", "fig5", "fig8", "fig10"], dir.path(), &data);
    let captions: Vec<&str> = drawn.iter().map(|figure| figure["caption"].as_str().unwrap()).collect();
    assert_eq!(captions.len(), 5, "each is drawn");
    assert!(captions[2].contains("measurements through training"), "figure 5: {}", captions[2]);
    assert!(captions[4].contains("eight points up to the next iterate"), "figure 10: {}", captions[4]);
    let store = dir.path().join("store");
    let judged = run(&["claims", "--store", text(&store), "--json"]).json_with(0);
    assert_eq!(judged["findings"].as_array().unwrap().len(), 28, "all findings are judged");
    assert!(!judged["predictions"].as_array().unwrap().is_empty(), "λ_max is judged as a predictor");
}

#[test]
fn absent_data_are_told() {
    assert_skips_are_told(&["reproducing::figures_of_every_kind_are_reproduced"]);
}

#[test]
fn recipes_are_shown_to_be_edited_and_mistakes_are_told() {
    let recipe = run(&["reproduce", "fig8", "--scale", "paper", "--recipe"]).out_with(0);
    assert!(recipe.starts_with("title = \"Figure 8") && recipe.contains("dropout = [0.0, 0.1,"), "{recipe}");
    let dir = tempdir().unwrap();
    let store = dir.path().join("store");
    let shown =
        run(&["reproduce", "8", "--scale", "paper", "--dry-run", "--store", text(&store)]).out_with(0);
    for part in ["1 figure at paper scale", "fig8 η=0.01", "dropout=0.7 seed=2", "30 runs, 30 to make"] {
        assert!(shown.contains(part), "the dry run must show `{part}`:\n{shown}");
    }
    run(&["reproduce", "fig16"]).refuses(2, &["'fig16'", "fig1 to fig15"]);
    run(&["reproduce"]).refuses(2, &["FIGURE"]);
}
