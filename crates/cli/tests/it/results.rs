//! What is committed in results/ follows from its tables of runs.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::program::{command, python_with, text};
use crate::skip::{assert_skips_are_told, skip};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../results");

/// Runs a script of results/ with the program. Returns what it prints.
fn script(python: PathBuf, name: &str, arguments: &[&str]) -> String {
    let mut command = Command::new(python);
    let ended = command.arg(format!("{FOLDER}/{name}")).args(arguments).output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&ended.stdout), String::from_utf8_lossy(&ended.stderr));
    assert!(ended.status.success(), "{name}:\n{out}\n{err}");
    out.into_owned()
}

fn program() -> String {
    command(&[]).get_program().to_str().unwrap().to_owned()
}

#[test]
fn no_committed_figure_verdict_or_number_is_stale() {
    let Some(python) = python_with(&["sys"]) else {
        skip("there is no Python; install it with `apt-get install python3`");
        return;
    };
    script(python, "page.py", &["--check", &program()]);
}

#[test]
fn numpy_finds_the_same_numbers_and_verdicts() {
    let Some(python) = python_with(&["numpy"]) else {
        skip("there is no Python with numpy; install it with `apt-get install python3-numpy`");
        return;
    };
    let out = script(python.clone(), "check.py", &[&program()]);
    assert_eq!(out.matches("numbers agree").count(), 3, "three tables:\n{out}");
    let folders = fs::read_dir(FOLDER).unwrap().map(|entry| entry.unwrap().path().join("runs.csv"));
    let tables: Vec<PathBuf> = folders.filter(|table| table.is_file()).collect();
    assert!(tables.len() > 3, "the committed tables: {tables:?}");
    for table in tables {
        let out = script(python.clone(), "verdicts.py", &[&program(), text(&table)]);
        assert!(out.contains("verdicts and"), "{}:\n{out}", table.display());
    }
}

#[test]
fn an_absent_python_is_told() {
    assert_skips_are_told(&[
        "results::no_committed_figure_verdict_or_number_is_stale",
        "results::numpy_finds_the_same_numbers_and_verdicts",
    ]);
}
