//! What the program prints: results on standard output, progress and notes on standard error.

mod number;
mod progress;
mod report;
mod table;

use std::io::{self, IsTerminal as _, Write};

use anyhow::{Context, Result};
use serde::Serialize;

pub(crate) use number::{
    bytes, count, duration, duration_secs, interval, percent, plural, significant, with_error,
};
pub(crate) use progress::Progress;
pub(crate) use report::{line, measurement};
pub(crate) use table::{Align, Table};

/// Writes a text to standard output, without colors where it is no terminal.
///
/// A reader that has gone away (`| head`) is no error.
///
/// # Errors
/// The text cannot be written, as on a full disk.
pub(crate) fn print(text: &str) -> Result<()> {
    write(anstream::stdout().lock(), text.as_bytes())
}

fn write(mut out: impl Write, bytes: &[u8]) -> Result<()> {
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(error).context("cannot write to standard output")
        }
        _ => Ok(()),
    }
}

/// Writes bytes to standard output, which a terminal is not meant to show.
///
/// # Errors
/// As [`print()`]; if standard output is a terminal.
pub(crate) fn print_bytes(bytes: &[u8]) -> Result<()> {
    let out = io::stdout().lock();
    if out.is_terminal() {
        anyhow::bail!("this is no text; write it into a file, as in `… > runs.parquet`");
    }
    write(out, bytes)
}

/// Writes one JSON document to standard output.
///
/// # Errors
/// As [`print()`].
pub(crate) fn print_json(document: &impl Serialize) -> Result<()> {
    let text = serde_json::to_string_pretty(document).context("cannot write the result as JSON")?;
    print(&format!("{text}\n"))
}

/// Writes a line to standard error, without colors where it is no terminal.
pub(crate) fn note(text: &str) {
    // Nobody can be told that standard error cannot be written to.
    let _ = writeln!(anstream::stderr().lock(), "{text}");
}
