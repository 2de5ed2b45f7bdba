//! Runs that are killed or stopped, and go on to the same bits.
#![cfg(unix)]

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::program::{command, run, text};

/// A run of some seconds with momentum, dropout and SAM, so that all of their state must survive.
fn arguments<'a>(out: &'a Path, threads: &'a str) -> Vec<&'a str> {
    let mut all = vec!["train", "--arch", "mlp", "--dataset", "digits", "--hidden", "64,32"];
    all.extend([
        "--lr",
        "0.01",
        "--batch-size",
        "20",
        "--momentum",
        "0.5",
        "--dropout",
        "0.2",
        "--sam-rho",
        "0.05",
    ]);
    all.extend(["--target-accuracy", "1", "--max-epochs", "40", "--examples", "100", "--rtol", "0.1"]);
    all.extend(["--checkpoint-epochs", "1", "--threads", threads, "--out", text(out)]);
    all
}

fn start(arguments: &[&str]) -> Child {
    command(arguments).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
}

fn signal(child: &Child, name: &str) {
    // The shell's own `kill`: the program of that name is not on every machine.
    let sent = Command::new("sh").args(["-c", &format!("kill {name} {}", child.id())]).status().unwrap();
    assert!(sent.success(), "the signal {name} was sent");
}

/// Waits until the run has a first checkpoint; a condition rather than a time, so that a slow machine changes nothing.
fn wait_for_checkpoint(child: &mut Child, out: &Path) {
    while !out.join("checkpoint.safetensors").exists() && child.try_wait().unwrap().is_none() {
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn weights(out: &Path) -> Vec<u8> {
    fs::read(out.join("weights.safetensors")).unwrap()
}

#[test]
fn a_killed_run_goes_on_to_the_same_bits() {
    let folder = tempfile::tempdir().unwrap();
    let whole = folder.path().join("whole");
    run(&arguments(&whole, "1")).out_with(4);
    for threads in ["1", "2"] {
        let out = folder.path().join(format!("killed-{threads}"));
        let first = arguments(&out, threads);
        let again = [&first[..], &["--resume"]].concat();
        let mut kills = 0;
        // Some kills come before the first checkpoint, some in the middle of a write, some after the end.
        for (round, delay_ms) in [0, 3, 10, 20, 35, 60, 90, 130].into_iter().enumerate() {
            let mut child = start(if round == 0 { &first } else { &again });
            if round > 2 {
                wait_for_checkpoint(&mut child, &out);
            }
            std::thread::sleep(Duration::from_millis(delay_ms));
            kills += usize::from(child.try_wait().unwrap().is_none());
            child.kill().unwrap();
            child.wait().unwrap();
        }
        assert!(kills > 0, "no run was alive when it was killed");
        run(&again).out_with(4);
        assert!(weights(&whole) == weights(&out), "{threads} threads, {kills} kills: the weights differ");
        let lines = |out: &Path| fs::read_to_string(out.join("metrics.jsonl")).unwrap();
        assert_eq!(lines(&out), lines(&whole), "the metrics are those of an uninterrupted run");
    }
}

#[test]
fn signals_save_and_say_how_to_resume() {
    let folder = tempfile::tempdir().unwrap();
    let whole = folder.path().join("whole");
    run(&arguments(&whole, "2")).out_with(4);
    for name in ["INT", "TERM", "HUP", "USR1", "XCPU"] {
        let out = folder.path().join(name);
        let mut child = start(&arguments(&out, "2"));
        wait_for_checkpoint(&mut child, &out);
        signal(&child, &format!("-{name}"));
        // A scheduler may send its signal again, or another one, while the run is being saved.
        if name != "INT" && child.try_wait().unwrap().is_none() {
            signal(&child, &format!("-{name}"));
        }
        let ended = child.wait_with_output().unwrap();
        let err = String::from_utf8(ended.stderr).unwrap();
        assert_eq!(ended.status.code(), Some(130), "{name}: the exit code of a stopped run:\n{err}");
        let expected = format!("train --out {} --resume", text(&out));
        assert!(err.contains(&expected), "{name}: how to resume must be told as `{expected}`:\n{err}");
        assert!(!out.join("result.json").exists(), "{name}: a stopped run is not done");
        run(&["train", "--out", text(&out), "--resume"]).out_with(4);
        assert!(weights(&whole) == weights(&out), "{name}: other weights than of an uninterrupted run");
    }
}

#[test]
fn a_run_whose_configuration_is_damaged_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let mut child = start(&arguments(&out, "2"));
    wait_for_checkpoint(&mut child, &out);
    signal(&child, "-INT");
    child.wait().unwrap();
    let config = out.join("config.toml");
    let whole = fs::read(&config).unwrap();
    let unknown = [&whole[..], b"\n[width]\n"].concat();
    // Within the first key of the network.
    let cut = String::from_utf8_lossy(&whole).find("activation").unwrap() + 4;
    for (content, problem) in [
        (Some(&b""[..]), "it is empty"),
        (Some(&whole[..cut]), "is not that of a run's configuration"),
        (Some(b"seed = "), "line 1"),
        (Some(&unknown), "unknown field `width`"),
        (None, "it is missing"),
    ] {
        match content {
            Some(content) => fs::write(&config, content).unwrap(),
            None => fs::remove_file(&config).unwrap(),
        }
        let parts = [text(&config), "is damaged", problem, "restore it"];
        run(&["train", "--out", text(&out), "--resume"]).refuses(1, &parts);
        run(&["measure", "--run", text(&out)]).refuses(1, &parts);
    }
    fs::write(&config, whole).unwrap();
    run(&["train", "--out", text(&out), "--resume"]).out_with(4);
}

#[test]
fn a_stopped_run_without_a_directory_says_that_nothing_is_kept() {
    let mut child =
        command(&["train", "--arch", "mlp", "--dataset", "digits", "--target-accuracy", "1", "--lr", "1e-6"])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
    // The program listens for signals before it prints its first note, which is about the measured examples.
    let mut seen = Vec::new();
    let mut stderr = child.stderr.take().unwrap();
    while !seen.contains(&b'\n') {
        let mut byte = [0];
        std::io::Read::read_exact(&mut stderr, &mut byte).unwrap();
        seen.push(byte[0]);
    }
    signal(&child, "-TERM");
    let mut rest = String::new();
    std::io::Read::read_to_string(&mut stderr, &mut rest).unwrap();
    let code = child.wait().unwrap().code();
    assert_eq!(code, Some(130), "the exit code of a stopped run:\n{rest}");
    assert!(rest.contains("--out DIR"), "how to keep a run is told:\n{rest}");
}
