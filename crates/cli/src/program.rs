//! The process that runs the command line, and command lines of this program to suggest to users.

use std::ffi::OsString;
use std::fmt;
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Context as _, Result};
use sharpness_runs::shell_word as quoted;
use sharpness_training::peak_bytes;

/// What runs the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Host {
    /// The program `sharpness`.
    Program,
    /// An interpreter. The first argument is the start of a command line for a shell, such as `python -m sharpness`.
    Interpreter,
}

/// The interpreter that hosts this process.
#[derive(Debug)]
struct Interpreter {
    /// How to call the program in a shell.
    called: String,
    /// The memory that it took before the command line ran, in bytes.
    bytes: usize,
}

static INTERPRETER: OnceLock<Interpreter> = OnceLock::new();

/// Remembers how the process was called, and what it already holds.
pub(crate) fn start(arguments: &[OsString], host: Host) {
    if host == Host::Program {
        return;
    }
    let arguments: Vec<String> =
        arguments.iter().map(|argument| argument.to_string_lossy().into_owned()).collect();
    let called = arguments.first().cloned().unwrap_or_default();
    // A second command line in one process would fail when it starts its threads, so nothing is lost here.
    let _ = INTERPRETER.set(Interpreter { called, bytes: peak_bytes().unwrap_or_default() });
    sharpness_runs::set_command_line(arguments);
}

/// The memory that an interpreter takes beside the program, in bytes.
pub(crate) fn interpreter_bytes() -> usize {
    INTERPRETER.get().map_or(0, |interpreter| interpreter.bytes)
}

/// A command line to suggest.
pub(crate) struct Suggestion(String);

impl Suggestion {
    /// This program as it was invoked, with these arguments, which need no quotes.
    pub(crate) fn new(arguments: &str) -> Self {
        Self(format!("{} {arguments}", called()))
    }

    /// Adds a flag with a path.
    pub(crate) fn with_path(self, flag: &str, path: &Path) -> Self {
        Self(format!("{} {flag} {}", self.0, quoted(&path.to_string_lossy())))
    }

    /// Adds a path.
    pub(crate) fn with_file(self, path: &Path) -> Self {
        Self(format!("{} {}", self.0, quoted(&path.to_string_lossy())))
    }

    /// Adds arguments that need no quotes.
    pub(crate) fn with(self, arguments: &str) -> Self {
        Self(format!("{} {arguments}", self.0))
    }
}

impl fmt::Display for Suggestion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// This program as it was invoked, for a shell.
fn called() -> String {
    if let Some(interpreter) = INTERPRETER.get() {
        return interpreter.called.clone();
    }
    if std::env::var_os("CARGO").is_some() {
        return "cargo run --release --".to_owned();
    }
    let called = std::env::args_os().next().unwrap_or_else(|| "sharpness".into());
    quoted(&called.to_string_lossy())
}

/// This program for a shell in any directory.
///
/// # Errors
/// The path of the program is not known, or not text.
pub(crate) fn called_from_anywhere() -> Result<String> {
    if let Some(interpreter) = INTERPRETER.get() {
        return Ok(interpreter.called.clone());
    }
    let path = std::env::current_exe().context("the path of this program is not known")?;
    let text = path.to_str().with_context(|| format!("the path {} is not text; move it", path.display()))?;
    Ok(quoted(text))
}

/// A process that runs this program again.
///
/// # Errors
/// The path of the program is not known.
pub(crate) fn self_command() -> Result<Command> {
    if let Some(interpreter) = INTERPRETER.get() {
        let mut shell = Command::new("sh");
        // The shell replaces itself, so that signals reach the program.
        shell.args(["-c", &format!("exec {} \"$@\"", interpreter.called), "sh"]);
        return Ok(shell);
    }
    Ok(Command::new(std::env::current_exe().context("the path of this program is not known")?))
}
