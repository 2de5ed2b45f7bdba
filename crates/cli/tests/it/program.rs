//! Runs the program and looks at what comes back.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

/// What a finished program left.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// The program, to be started with nothing of the user's surroundings.
pub(crate) fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sharpness"));
    command.args(arguments).stdin(Stdio::null());
    for variable in ["SHARPNESS_DATA", "CLICOLOR_FORCE", "RUST_BACKTRACE"] {
        command.env_remove(variable);
    }
    command
}

/// Runs the program to its end.
pub(crate) fn run(arguments: &[&str]) -> Ended {
    ended(command(arguments))
}

/// Runs a prepared program to its end.
pub(crate) fn ended(mut command: Command) -> Ended {
    command.output().unwrap().into()
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Self { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }
}

impl Ended {
    /// Its standard output, if it ended with `code`.
    #[track_caller]
    pub(crate) fn out_with(self, code: i32) -> String {
        assert_eq!(self.code, Some(code), "exit code of a program that printed\n{}\n{}", self.out, self.err);
        self.out
    }

    /// The one JSON document on standard output, if it ended with `code`.
    #[track_caller]
    pub(crate) fn json_with(self, code: i32) -> serde_json::Value {
        serde_json::from_str(&self.out_with(code)).unwrap()
    }

    /// The smallest `--memory` that it names in MiB, if it refused a smaller one.
    #[track_caller]
    pub(crate) fn smallest_memory(self) -> u32 {
        let named = self.err.split("--memory must be at least ").nth(1);
        let named = named.and_then(|text| text.split("MiB").next()?.parse().ok());
        self.refuses(2, &["--memory must be at least "]);
        named.unwrap()
    }

    /// Asserts that it ended with `code`, printed no result, and said why in words that contain all of `parts`.
    #[track_caller]
    pub(crate) fn refuses(self, code: i32, parts: &[&str]) {
        assert_eq!(self.code, Some(code), "exit code of a program that printed\n{}\n{}", self.out, self.err);
        assert_eq!(self.out, "", "an error prints no result");
        assert!(self.err.contains("error: "), "an error is called one:\n{}", self.err);
        assert!(!self.err.contains("panicked"), "an error is no panic:\n{}", self.err);
        for part in parts {
            assert!(self.err.contains(part), "the error must contain `{part}`:\n{}", self.err);
        }
    }
}

/// The one measurement in the directory of a run.
pub(crate) fn measurement_file(dir: &Path) -> PathBuf {
    let files: Vec<PathBuf> =
        fs::read_dir(dir.join("measurements")).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files.len(), 1, "one measurement: {files:?}");
    files[0].clone()
}

/// What the directory of a run with one measurement holds, as `train --json` prints it without the memory of its process.
pub(crate) fn kept_report(dir: &Path) -> Value {
    let read = |path: &Path| -> Value { serde_json::from_slice(&fs::read(path).unwrap()).unwrap() };
    let (result, measured) = (read(&dir.join("result.json")), read(&measurement_file(dir)));
    assert_eq!(result["id"], measured["training_id"], "the measurement is of the training");
    json!({
        "id": measured["id"],
        "training_id": result["id"],
        "config": measured["config"],
        "training": result["training"],
        "measurement": measured["measurement"],
    })
}

/// The first Python on the path that has one of these packages: they are for the system's, which need not be the first.
pub(crate) fn python_with(packages: &[&str]) -> Option<PathBuf> {
    let has = |python: &PathBuf| {
        packages.iter().any(|package| {
            let ended = Command::new(python).args(["-c", &format!("import {package}")]).output();
            ended.is_ok_and(|ended| ended.status.success())
        })
    };
    let path = std::env::var_os("PATH")?;
    let folders = std::env::split_paths(&path).filter(|folder| folder.is_absolute());
    folders.map(|folder| folder.join("python3")).find(has)
}

/// The text of a path of a test, which is UTF-8.
pub(crate) fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}
