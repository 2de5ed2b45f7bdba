//! Sweeps by other processes of this machine.
#![cfg(unix)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::tempdir;

use crate::program::{command, run, text};
use crate::skip::{assert_skips_are_told, skip};

/// Four runs, two of which measure the same training.
const RECIPE: &str = "seeds = [0, 1]\n\
    fixed = { arch = \"mlp\", data.name = \"digits\", hidden = [8], batch_size = 50, max_epochs = 2, rtol = 0.5 }\n\
    grid = { examples = [50, 60] }\n";

/// A directory whose name a shell would misread.
pub(crate) fn awkward(dir: &Path) -> PathBuf {
    let awkward = dir.join("it's \"50 %\" $HOME");
    fs::create_dir_all(&awkward).unwrap();
    awkward
}

/// The final weights of all runs of a store, by their directories.
pub(crate) fn weights(store: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = fs::read_dir(store).unwrap().map(|entry| entry.unwrap());
    let mut weights: Vec<_> = entries
        .filter(|entry| entry.path().join("result.json").exists())
        .map(|entry| {
            let name = entry.file_name().into_string().unwrap();
            (name, fs::read(entry.path().join("weights.safetensors")).unwrap())
        })
        .collect();
    weights.sort();
    weights
}

/// The state of each run.
pub(crate) fn states(status: &Value) -> Vec<&str> {
    status["runs"].as_array().unwrap().iter().map(|run| run["state"].as_str().unwrap()).collect()
}

#[test]
fn processes_make_the_runs_of_one_machine() {
    let folder = tempdir().unwrap();
    let dir = awkward(folder.path());
    let (recipe, store, inline) = (dir.join("my recipe.toml"), dir.join("the store"), dir.join("inline"));
    fs::write(&recipe, RECIPE).unwrap();
    run(&["sweep", text(&recipe), "--store", text(&inline)]).out_with(0);
    let arguments = ["sweep", text(&recipe), "--store", text(&store), "--launch", "processes", "--jobs", "2"];
    let made = run(&arguments).out_with(0);
    assert!(made.contains("4 of 4 done"), "all are made:\n{made}");
    assert_eq!(weights(&store), weights(&inline), "with the same bits");
    let status = run(&["status", "--store", text(&store), "--json"]).json_with(0);
    assert_eq!(states(&status), ["done"; 4], "{status}");
    assert_eq!(status["runs"][0]["last_task"]["attempts"], 1, "by one attempt: {status}");
    let again = run(&arguments).out_with(0);
    assert!(again.contains("4 of 4 done, 4 before"), "nothing is made twice:\n{again}");
}

#[test]
fn a_signal_reaches_the_processes_and_they_save() {
    let dir = tempdir().unwrap();
    let (recipe, store) = (dir.path().join("recipe.toml"), dir.path().join("store"));
    let long = "fixed = { arch = \"mlp\", data.name = \"digits\", hidden = [64], batch_size = 10, max_epochs = 100000, \
        target_accuracy = 1.0, learning_rate = 1e-6, examples = 50 }\nseeds = [0, 1]\n";
    fs::write(&recipe, long).unwrap();
    let arguments = ["sweep", text(&recipe), "--store", text(&store), "--launch", "processes", "--jobs", "2"];
    let child = command(&arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let started = || {
        let entries = fs::read_dir(&store).into_iter().flatten().map(|entry| entry.unwrap().path());
        entries.filter(|dir| fs::metadata(dir.join("metrics.jsonl")).is_ok_and(|file| file.len() > 0)).count()
    };
    while started() < 2 {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    let sent = Command::new("sh").args(["-c", &format!("kill -TERM {}", child.id())]).status().unwrap();
    assert!(sent.success(), "the signal was sent");
    let ended = crate::program::Ended::from(child.wait_with_output().unwrap());
    assert_eq!(ended.code, Some(130), "stopped:\n{}", ended.err);
    assert!(ended.err.contains("stopped and saved"), "and saved:\n{}", ended.err);
    let status = run(&["status", text(&recipe), "--store", text(&store), "--json"]).json_with(0);
    assert_eq!(states(&status), ["stopped"; 2], "{status}");
    assert_eq!(status["runs"][0]["reason"]["kind"], "stopped", "by a signal: {status}");
}

#[test]
fn a_killed_process_takes_no_other_with_it() {
    let dir = tempdir().unwrap();
    let (recipe, store) = (dir.path().join("recipe.toml"), dir.path().join("store"));
    fs::write(&recipe, RECIPE.replace("max_epochs = 2", "max_epochs = 2, precision = \"f64\"")).unwrap();
    // The data of one of them cannot be found.
    let mixed = fs::read_to_string(&recipe).unwrap()
        + "[[block]]\nname = \"a\"\n[[block]]\nname = \"b\"\n\
        fixed = { data.name = \"mnist\" }\n";
    fs::write(&recipe, mixed).unwrap();
    let mut sweep =
        command(&["sweep", text(&recipe), "--store", text(&store), "--launch", "processes", "--jobs", "2"]);
    sweep.env("HOME", dir.path()).env("XDG_CACHE_HOME", dir.path());
    let ended = crate::program::ended(sweep);
    assert_eq!(ended.code, Some(1), "some failed:\n{}", ended.err);
    assert!(ended.out.contains("4 of 8 done"), "the others are made:\n{}", ended.out);
    let status = run(&["status", text(&recipe), "--store", text(&store)]).out_with(0);
    assert!(status.contains("4 done, 4 failed") && status.contains("mnist"), "and why is told:\n{status}");
    assert!(status.contains("log: "), "with the logs:\n{status}");
}

#[test]
fn printed_commands_run_anywhere_and_twice() {
    let folder = tempdir().unwrap();
    let dir = awkward(folder.path());
    let (recipe, store, inline) = (dir.join("my recipe.toml"), dir.join("the store"), dir.join("inline"));
    fs::write(&recipe, RECIPE).unwrap();
    run(&["sweep", text(&recipe), "--store", text(&inline)]).out_with(0);
    let print = ["sweep", text(&recipe), "--store", text(&store), "--launch", "print", "--threads", "1"];
    let printed = run(&print).out_with(0);
    assert_eq!(printed.lines().count(), 2, "runs that share a training are one task:\n{printed}");
    assert!(!store.exists(), "nothing is written");
    for round in 0..2 {
        for line in printed.lines() {
            let status = Command::new("bash").args(["-c", line]).current_dir("/").output().unwrap();
            assert!(status.status.success(), "{round}: {line}\n{}", String::from_utf8_lossy(&status.stderr));
        }
    }
    assert_eq!(weights(&store), weights(&inline), "with the same bits");
    let again = run(&print);
    assert!(again.err.contains("4 runs left out"), "what is done is told:\n{}", again.err);
    assert_eq!(again.out_with(0), "", "and not printed");
}

#[test]
fn gnu_parallel_executes_printed_commands() {
    if Command::new("parallel").arg("--version").output().is_err() {
        return skip("GNU parallel is missing; on Debian, `apt-get install parallel`");
    }
    let folder = tempdir().unwrap();
    let dir = awkward(folder.path());
    let (recipe, store, commands) = (dir.join("recipe.toml"), dir.join("store"), dir.join("commands.txt"));
    fs::write(&recipe, RECIPE).unwrap();
    let printed = run(&["sweep", text(&recipe), "--store", text(&store), "--launch", "print"]).out_with(0);
    fs::write(&commands, printed).unwrap();
    let mut parallel = Command::new("parallel");
    parallel.args(["--will-cite", "--jobs", "2", "--retries", "3"]).stdin(fs::File::open(&commands).unwrap());
    let ended = parallel.env("SHELL", "/bin/bash").env("HOME", folder.path()).output().unwrap();
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    let status = run(&["status", text(&recipe), "--store", text(&store), "--json"]).json_with(0);
    assert_eq!(states(&status), ["done"; 4], "{status}");
}

#[test]
fn a_test_that_needs_gnu_parallel_says_so() {
    assert_skips_are_told(&["launching::gnu_parallel_executes_printed_commands"]);
}

#[test]
fn mistakes_of_launches_are_errors_with_a_way_out() {
    let dir = tempdir().unwrap();
    let (recipe, store) = (dir.path().join("recipe.toml"), dir.path().join("store"));
    fs::write(&recipe, RECIPE).unwrap();
    let sweep = ["sweep", text(&recipe), "--store", text(&store)];
    run(&[&sweep[..], &["--only", "r0"]].concat()).refuses(2, &["no run 'r0'", "--dry-run lists its runs"]);
    run(&[&sweep[..], &["--launch", "cloud"]].concat())
        .refuses(2, &["inline", "processes", "slurm", "print"]);
    run(&["status", "--store", text(&store)]).refuses(1, &["no store of runs at"]);
    let mut without = command(&[&sweep[..], &["--launch", "slurm"]].concat());
    without.env("PATH", "");
    let ended = crate::program::ended(without);
    ended.refuses(1, &["Slurm's scontrol failed", "not installed here"]);
    let mut shown = command(&[&sweep[..], &["--launch", "slurm", "--dry-run"]].concat());
    shown.env("PATH", "");
    let script = crate::program::ended(shown).out_with(0);
    assert!(script.contains("#SBATCH --array=0-1\n"), "a dry run needs no Slurm:\n{script}");
    assert!(!store.exists(), "and writes nothing");
    let status = run(&["status", text(&recipe), "--store", text(&store), "--json"]).json_with(0);
    assert_eq!(states(&status), ["to do"; 4], "{status}");
}
