//! The command line.

use std::ffi::OsString;

use pyo3::prelude::*;
use sharpness_cli::Host;

/// Runs the command line `arguments`, which begins with how the program is called in a shell, and returns its exit code. For a
/// process of its own: see `sharpness_cli::main`.
#[pyfunction]
pub(crate) fn main(py: Python<'_>, arguments: Vec<OsString>) -> u8 {
    py.detach(|| sharpness_cli::main(arguments, Host::Interpreter))
}
