//! The programs of Slurm.

use std::io;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// Runs programs: those of this machine, or recorded ones in tests.
pub trait Commands: Sync {
    /// Runs a program in `dir`, or in the working directory.
    ///
    /// # Errors
    /// It cannot be started; [`io::ErrorKind::NotFound`] if it is not installed.
    fn run(&self, program: &str, arguments: &[&str], dir: Option<&Path>) -> io::Result<Output>;
}

/// The programs of this machine.
#[derive(Clone, Copy, Debug)]
pub struct Installed;

impl Commands for Installed {
    fn run(&self, program: &str, arguments: &[&str], dir: Option<&Path>) -> io::Result<Output> {
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null());
        // Its answers are parsed.
        command.env("LC_ALL", "C").env_remove("SQUEUE_FORMAT").env_remove("SQUEUE_STATES");
        if let Some(dir) = dir {
            command.current_dir(dir);
        }
        command.output()
    }
}
