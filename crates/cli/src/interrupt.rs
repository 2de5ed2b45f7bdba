//! Signals that ask a command to finish its step and save: Ctrl-C, and those with which a scheduler announces the end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result};
use signal_hook::consts::signal::{SIGINT, SIGTERM};
use signal_hook::flag;

use crate::exit::Exit;

/// The signals that stop a command. Slurm sends `SIGUSR1` (if asked by `--signal`) or `SIGTERM` before a time limit, the kernel
/// `SIGXCPU` once a second after a limit of processor time, a terminal `SIGHUP` when it closes.
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
    /// Listens from now on.
    ///
    /// # Errors
    /// The operating system does not allow it.
    pub(crate) fn listen() -> Result<Self> {
        let interrupt = Self::default();
        interrupt.register().context("cannot listen for signals")?;
        Ok(interrupt)
    }

    fn register(&self) -> std::io::Result<()> {
        // Ctrl-C while the command is stopping ends it at once. Handlers run in the order of their registration, so the first Ctrl-C
        // does not see its own mark. The other signals may come several times and only ask.
        flag::register_conditional_shutdown(SIGINT, Exit::Interrupted as i32, Arc::clone(&self.0))?;
        for signal in STOPPING {
            flag::register(*signal, Arc::clone(&self.0))?;
        }
        // A write beyond the limit of a file's size is then an error like that of a full disk, and does not kill the process.
        #[cfg(unix)]
        flag::register(signal_hook::consts::signal::SIGXFSZ, Arc::default())?;
        Ok(())
    }

    /// Whether the command was asked to stop since.
    pub(crate) fn is_raised(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
