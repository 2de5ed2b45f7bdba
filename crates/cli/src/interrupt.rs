//! Signals that ask a command to finish its step and save: Ctrl-C, and those that schedulers send before a time limit.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result};
use signal_hook::consts::signal::{SIGINT, SIGTERM};
use signal_hook::flag;

use crate::exit::Exit;

/// The signals that stop a command. Slurm sends `SIGUSR1` (with `--signal`) or `SIGTERM` before a time limit, the
/// kernel `SIGXCPU` once a second after a CPU time limit, a terminal `SIGHUP` when it closes.
#[cfg(unix)]
const STOPPING: &[i32] = {
    use signal_hook::consts::signal::{SIGHUP, SIGUSR1, SIGXCPU};
    &[SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGXCPU]
};
/// The signals that stop a command.
#[cfg(not(unix))]
const STOPPING: &[i32] = &[SIGINT, SIGTERM];

/// Whether the command was asked to stop.
#[derive(Clone, Debug, Default)]
pub(crate) struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Starts to listen.
    ///
    /// # Errors
    /// The operating system does not allow it.
    pub(crate) fn listen() -> Result<Self> {
        let interrupt = Self::default();
        interrupt.register().context("cannot listen for signals")?;
        Ok(interrupt)
    }

    fn register(&self) -> std::io::Result<()> {
        // A second Ctrl-C ends the command at once. Handlers run in the order of their registration, so the first
        // Ctrl-C does not see the flag that it sets. The other signals may arrive repeatedly and never force the exit.
        flag::register_conditional_shutdown(SIGINT, Exit::Interrupted as i32, Arc::clone(&self.0))?;
        for signal in STOPPING {
            flag::register(*signal, Arc::clone(&self.0))?;
        }
        // Writing beyond the file size limit is then an error, like a full disk, and does not kill the process.
        #[cfg(unix)]
        flag::register(signal_hook::consts::signal::SIGXFSZ, Arc::default())?;
        Ok(())
    }

    /// Whether the command was asked to stop.
    pub(crate) fn is_raised(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
