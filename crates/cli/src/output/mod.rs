//! What the program prints: results on standard output, progress and notes on standard error.

mod progress;
mod report;
mod style;
mod table;

use std::io::{self, IsTerminal as _, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result};
use serde::Serialize;
use sharpness_runs::is_unprintable;

pub(crate) use sharpness_training::number::{
    count, duration, duration_secs, percent, plural, significant, time_left, with_error,
};

pub(crate) use progress::{Progress, ProgressForm, fitted, progress_json};
pub(crate) use report::{line, measurement};
pub(crate) use style::{Style, escaped, styled};
pub(crate) use table::{Align, Table};

/// A size in bytes with a unit of powers of 1024.
pub(crate) fn bytes(number: usize) -> String {
    indicatif::BinaryBytes(number as u64).to_string()
}

/// Writes a text to standard output, without colors unless that is a terminal. Control characters of the text other
/// than line ends, tabs and [styles](styled) are escaped.
///
/// A closed pipe (`| head`) is not an error.
///
/// # Errors
/// The text cannot be written, for example because the disk is full.
pub(crate) fn print(text: &str) -> Result<()> {
    write(anstream::stdout().lock(), style::shown(text).as_bytes())
}

/// Whether this process prints nothing but errors.
static IS_SILENT: AtomicBool = AtomicBool::new(false);

/// Makes this process print nothing but errors: another one prints the same.
#[cfg_attr(not(feature = "mpi"), expect(dead_code, reason = "no other process prints the same"))]
pub(crate) fn silence() {
    IS_SILENT.store(true, Ordering::Relaxed);
}

/// Makes this process print without colors. Launchers give it a terminal of their own, whatever its output goes to.
#[cfg_attr(
    not(feature = "mpi"),
    expect(dead_code, reason = "no launcher has started this process with others")
)]
pub(crate) fn make_plain() {
    anstream::ColorChoice::Never.write_global();
}

fn is_silent() -> bool {
    IS_SILENT.load(Ordering::Relaxed)
}

fn write(mut out: impl Write, bytes: &[u8]) -> Result<()> {
    if is_silent() {
        return Ok(());
    }
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(error).context("cannot write to standard output")
        }
        _ => Ok(()),
    }
}

/// Writes bytes that are not text to standard output.
///
/// # Errors
/// Those of [`print()`]; standard output is a terminal.
pub(crate) fn print_bytes(bytes: &[u8]) -> Result<()> {
    let out = io::stdout().lock();
    if out.is_terminal() {
        anyhow::bail!("this is not text; write it to a file, as in `… > runs.parquet`");
    }
    write(out, bytes)
}

/// Writes one JSON document to standard output.
///
/// # Errors
/// As [`print()`].
pub(crate) fn print_json(document: &impl Serialize) -> Result<()> {
    let text = serde_json::to_string_pretty(document).context("cannot write the result as JSON")?;
    // These occur in strings only, where JSON allows numeric escapes.
    let escaped =
        |c: char| c.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")).collect::<String>();
    let acts = |c: &char| is_unprintable(*c) && *c != '\n';
    let mut shown: String = text.chars().map(|c| if acts(&c) { escaped(c) } else { c.to_string() }).collect();
    shown.push('\n');
    write(io::stdout().lock(), shown.as_bytes())
}

/// Writes a line to standard error, escaped like [`print()`].
pub(crate) fn note(text: &str) {
    if is_silent() {
        return;
    }
    write_line(text);
}

fn write_line(text: &str) {
    // There is nowhere to report that standard error is not writable.
    let _ = writeln!(anstream::stderr().lock(), "{}", style::shown(text));
}

/// Writes an error to standard error.
pub(crate) fn error(text: &str) {
    write_line(&format!("{} {text}", styled(Style::Red, "error:")));
}
