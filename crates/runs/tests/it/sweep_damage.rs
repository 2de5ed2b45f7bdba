//! Sweeps over damaged stores.

use std::fs;

use sharpness_runs::{RunStatus, RunStore};
use tempfile::tempdir;

use crate::small_runs::{copy, files};
use crate::sweeps::{Notes, RECIPE, layout, plan, results, sweep};

/// Every file of a run, damaged or missing, of runs that are done and of runs that were stopped: the next sweep ends in the same
/// bits, and what was damaged is kept.
#[test]
fn a_sweep_repairs_what_is_damaged() {
    let plan = plan(&RECIPE.replace("[0, 1]", "[0]").replace("[0.05, 0.1]", "[0.05]"));
    let run = &plan.runs[0];
    let (whole, stopped) = (tempdir().unwrap(), tempdir().unwrap());
    sweep(&plan, whole.path(), 1, false, &Notes::default());
    sweep(&plan, stopped.path(), 1, false, &Notes::stopping_after(40));
    let expected = results(&plan, whole.path());
    let mut damages = 0;
    for original in [whole.path(), stopped.path()] {
        let measurement = format!("measurements/{}.json", run.identity.run);
        for name in [
            "config.toml",
            "metrics.jsonl",
            "checkpoint.safetensors",
            "state.json",
            "result.json",
            "failure.json",
            "provenance.json",
            &measurement,
        ] {
            let file = layout(original, run).dir().join(name);
            let content = fs::read(&file).unwrap_or_else(|_| b"{\"problem\": \"none\"}".to_vec());
            for (what, damage) in damages_of(&content) {
                let dir = tempdir().unwrap();
                let store = RunStore::new(dir.path());
                copy(layout(original, run).dir(), layout(dir.path(), run).dir());
                let damaged = layout(dir.path(), run).dir().join(name);
                fs::create_dir_all(damaged.parent().unwrap()).unwrap();
                match &damage {
                    Some(bytes) => fs::write(&damaged, bytes).unwrap(),
                    None => _ = fs::remove_file(&damaged),
                }
                let notes = Notes::default();
                sweep(&plan, dir.path(), 1, false, &notes);
                let ended = notes.ends.lock().unwrap().clone();
                assert!(matches!(store.status(&run.config), RunStatus::Done(_)), "{name} {what}: {ended:?}");
                assert!(results(&plan, dir.path()) == expected, "{name} {what}: other bits");
                let is_result = name == "result.json" || name == measurement;
                let is_kept = |bytes| files(layout(dir.path(), run).dir()).values().any(|kept| kept == bytes);
                assert!(!is_result || damage.as_ref().is_none_or(is_kept), "{name} {what}: it is kept");
                damages += 1;
            }
        }
    }
    assert_eq!(damages, 2 * 8 * 9, "all kinds of damage were done");
}

/// Missing, empty, cut at several places, and a byte that no format of text has at several places.
fn damages_of(content: &[u8]) -> Vec<(String, Option<Vec<u8>>)> {
    let mut damages = vec![("missing".to_owned(), None), ("empty".to_owned(), Some(Vec::new()))];
    for place in [1, content.len() / 2, content.len() - 2] {
        damages.push((format!("cut at {place}"), Some(content[..place].to_vec())));
    }
    for place in [0, content.len() / 3, content.len() / 2, content.len() - 2] {
        let mut damaged = content.to_vec();
        damaged[place] ^= 0xa0;
        damages.push((format!("with another byte at {place}"), Some(damaged)));
    }
    damages
}

#[test]
fn a_damaged_run_is_told_from_the_others() {
    let plan = plan(RECIPE);
    let dir = tempdir().unwrap();
    sweep(&plan, dir.path(), 1, false, &Notes::default());
    let store = RunStore::new(dir.path());
    fs::write(layout(dir.path(), &plan.runs[0]).result(), "{").unwrap();
    fs::write(layout(dir.path(), &plan.runs[1]).measurement(&plan.runs[1].identity.run), "{").unwrap();
    let statuses: Vec<RunStatus> = plan.runs.iter().map(|run| store.status(&run.config)).collect();
    let done = statuses.iter().filter(|status| matches!(status, RunStatus::Done(_))).count();
    assert_eq!(done, 2, "{statuses:?}");
    for (status, file) in statuses.iter().zip(["result.json", &plan.runs[1].identity.run]) {
        assert!(matches!(status, RunStatus::Damaged(reason) if reason.contains(file)), "{file}: {status:?}");
    }
    let unreadable =
        store.trainings().unwrap().iter().flat_map(|id| store.reports(id)).filter(Result::is_err).count();
    assert_eq!(unreadable, 2, "what lists the runs hears of both");
}

/// Without it, the weights at its end are not known, and those at its start must not be measured in their place.
#[test]
fn a_training_that_lost_its_checkpoint_is_trained_again_for_another_measurement() {
    let first = plan(&RECIPE.replace("[0, 1]", "[0]").replace("[0.05, 0.1]", "[0.05]"));
    let more =
        RECIPE.replace("[0, 1]", "[0]").replace("[0.05, 0.1]", "[0.05]").replace("rtol", "top_k = 2, rtol");
    let more = plan(&more);
    let (whole, dir) = (tempdir().unwrap(), tempdir().unwrap());
    sweep(&more, whole.path(), 1, false, &Notes::default());
    sweep(&first, dir.path(), 1, false, &Notes::default());
    let layout = layout(dir.path(), &first.runs[0]);
    let metrics = fs::read(layout.metrics()).unwrap();
    fs::remove_file(layout.checkpoint()).unwrap();
    sweep(&more, dir.path(), 1, false, &Notes::default());
    assert!(results(&more, dir.path()) == results(&more, whole.path()), "λ_max is that of the final weights");
    assert!(results(&first, dir.path()).len() == 1, "the first measurement is still there");
    assert_eq!(fs::read(layout.metrics()).unwrap(), metrics, "nothing of the metrics is lost");
}
