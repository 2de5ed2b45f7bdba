//! Processes that want the same directory at the same time.

use std::fs;
use std::path::Path;
use std::process::{Child, Stdio};

use serde_json::Value;
use tempfile::tempdir;

use crate::program::{Ended, command, kept_report, run, text};

const PROCESSES: usize = 10;
const ROUNDS: usize = 10;

/// A training of some steps.
fn train<'a>(out: &'a Path, seed: &'a str) -> Vec<&'a str> {
    let mut all = vec!["train", "--arch", "mlp", "--dataset", "digits", "--hidden", "4", "--lr", "0.1"];
    all.extend([
        "--batch-size",
        "50",
        "--max-epochs",
        "1",
        "--threads",
        "1",
        "--examples",
        "50",
        "--rtol",
        "0.5",
    ]);
    all.extend(["--out", text(out), "--seed", seed]);
    all
}

/// Starts all, and waits until they have ended.
fn race(commands: &[Vec<&str>]) -> Vec<Ended> {
    let start = |arguments: &Vec<&str>| {
        command(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let children: Vec<Child> = commands.iter().map(start).collect();
    let children = children.into_iter().map(|child| child.wait_with_output().unwrap());
    children.map(Ended::from).collect()
}

/// Asserts that the run in `dir` is one run: configuration, result and weights are of the same seed, which is given.
fn seed_of(dir: &Path) -> i64 {
    let config: toml::Table = fs::read_to_string(dir.join("config.toml")).unwrap().parse().unwrap();
    let result: Value = serde_json::from_slice(&fs::read(dir.join("result.json")).unwrap()).unwrap();
    let seed = config["seed"].as_integer().unwrap();
    assert_eq!(result["config"]["seed"].as_i64(), Some(seed), "the seeds of config.toml and result.json");
    let weights = String::from_utf8_lossy(&fs::read(dir.join("weights.safetensors")).unwrap()).into_owned();
    assert!(weights.contains(&format!("\\\"seed\\\":{seed},")), "the weights are those of seed {seed}");
    seed
}

#[test]
fn of_ten_trainings_into_one_directory_one_is_made() {
    for round in 0..ROUNDS {
        let folder = tempdir().unwrap();
        let out = folder.path().join("run");
        // Every other round all ask for the same run.
        let seeds: Vec<String> =
            (0..PROCESSES).map(|n| if round % 2 == 0 { n } else { 0 }.to_string()).collect();
        let ended = race(&seeds.iter().map(|seed| train(&out, seed)).collect::<Vec<_>>());
        let (made, refused): (Vec<&Ended>, Vec<&Ended>) =
            ended.iter().partition(|ended| ended.code == Some(4));
        assert_eq!(made.len(), 1, "round {round}: one process says that it made the run: {ended:?}");
        let seed = seed_of(&out);
        let winner = ended.iter().position(|ended| ended.code == Some(4)).unwrap();
        assert_eq!(seed.to_string(), seeds[winner], "round {round}: what is kept is what the winner made");
        for Ended { code, err, .. } in refused {
            let is_told = err.contains("is in use by another process") || err.contains("already holds a run");
            assert!(*code == Some(1) && is_told && !err.contains("delete"), "round {round}: {code:?} {err}");
        }
    }
}

#[test]
fn of_ten_trainings_that_resume_all_come_to_the_one_result() {
    let folder = tempdir().unwrap();
    for round in 0..ROUNDS {
        let out = folder.path().join(round.to_string());
        let seeds: Vec<String> = (0..PROCESSES).map(|n| (n / 5).to_string()).collect();
        let resume = |seed| [train(&out, seed), vec!["--resume", "--json"]].concat();
        let ended = race(&seeds.iter().map(|seed| resume(seed)).collect::<Vec<_>>());
        let seed = seed_of(&out);
        let kept = kept_report(&out);
        for (Ended { code, out, err }, own) in ended.iter().zip(&seeds) {
            match code {
                Some(4) => {
                    assert_eq!(*own, seed.to_string(), "round {round}: only the winner's own run is done");
                    let mut told: Value = serde_json::from_str(out).unwrap();
                    told.as_object_mut().unwrap().remove("peak_bytes").expect("the memory of its process");
                    assert_eq!(told, kept, "round {round}: one result");
                }
                _ => {
                    let is_told =
                        err.contains("is in use by another process") || err.contains("holds another run");
                    assert!(is_told && !err.contains("delete"), "round {round}: {code:?} {err}");
                }
            }
        }
        run(&resume(&seed.to_string())).out_with(4);
    }
}

/// The number before a word of the summary of a sweep, such as `4 of 4 done, 1 before`.
pub(crate) fn count(summary: &str, word: &str) -> usize {
    let part = summary.lines().find(|line| line.starts_with("runs")).unwrap();
    let before = part.split(word).next().filter(|before| before.len() < part.len());
    before.map_or(0, |before| before.split_whitespace().last().unwrap().parse().unwrap())
}

#[test]
fn sweeps_of_one_store_make_each_run_once_and_wait_for_all() {
    const RUNS: usize = 6;
    let folder = tempdir().unwrap();
    let recipe = folder.path().join("recipe.toml");
    let content = "seeds = [0, 1, 2, 3, 4, 5]\nfixed = { arch = \"mlp\", data.name = \"digits\", hidden = [4], \
        batch_size = 50, max_epochs = 1, examples = 50, rtol = 0.5 }\n";
    fs::write(&recipe, content).unwrap();
    for round in 0..ROUNDS {
        let store = folder.path().join(round.to_string());
        let sweep = vec!["sweep", text(&recipe), "--store", text(&store), "--threads", "1"];
        let ended = race(&vec![sweep; 5]);
        let mut made = 0;
        for ended in ended {
            let out = ended.out_with(0);
            assert!(out.contains("6 of 6 done"), "round {round}: a sweep that ends has all runs:\n{out}");
            made += RUNS - count(&out, " before") - count(&out, " by another process");
        }
        assert_eq!(made, RUNS, "round {round}: each run is made once");
    }
}
