//! Signals that ask a command to finish its step and save: Ctrl-C, and those that schedulers send before a time limit.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result};
use signal_hook::consts::signal::{SIGINT, SIGTERM};
use signal_hook::flag;
use signal_hook::low_level::signal_name;

use crate::exit::Exit;

/// The signals that stop a command. Slurm sends `SIGUSR1` (with `--signal`) or `SIGTERM` before a time limit, the
/// kernel `SIGXCPU` once a second after a CPU time limit, a terminal `SIGHUP` when it closes.
#[cfg(unix)]
const STOPPING: &[i32] = {
    use signal_hook::consts::signal::{SIGHUP, SIGUSR1, SIGXCPU};
    &[SIGINT, SIGTERM, SIGHUP, SIGXCPU, SIGUSR1]
};
/// The signals that stop a command.
#[cfg(not(unix))]
const STOPPING: &[i32] = &[SIGINT, SIGTERM];

/// Whether the command was asked to stop.
#[derive(Clone, Debug, Default)]
pub(crate) struct Interrupt {
    is_raised: Arc<AtomicBool>,
    /// Whether each of [`STOPPING`] arrived.
    signals: Vec<Arc<AtomicBool>>,
}

impl Interrupt {
    /// Starts to listen.
    ///
    /// # Errors
    /// The operating system does not allow it.
    pub(crate) fn listen() -> Result<Self> {
        let signals = STOPPING.iter().map(|_| Arc::default()).collect();
        let interrupt = Self { is_raised: Arc::default(), signals };
        interrupt.register().context("cannot listen for signals")?;
        Ok(interrupt)
    }

    fn register(&self) -> std::io::Result<()> {
        // A second Ctrl-C ends the command at once. Handlers run in the order of their registration, so the first
        // Ctrl-C does not see the flag that it sets. The other signals may arrive repeatedly and never force the exit.
        flag::register_conditional_shutdown(SIGINT, Exit::Interrupted as i32, Arc::clone(&self.is_raised))?;
        for (signal, arrived) in STOPPING.iter().zip(&self.signals) {
            flag::register(*signal, Arc::clone(arrived))?;
            flag::register(*signal, Arc::clone(&self.is_raised))?;
        }
        // Writing beyond the file size limit is then an error, like a full disk, and does not kill the process.
        #[cfg(unix)]
        flag::register(signal_hook::consts::signal::SIGXFSZ, Arc::default())?;
        Ok(())
    }

    /// Stops the command as the notice of a time limit does.
    pub(crate) fn give_notice(&self) {
        // Its signal is the last of those that stop a command.
        for flag in self.signals.last().into_iter().chain([&self.is_raised]) {
            flag.store(true, Ordering::Relaxed);
        }
    }

    /// Whether the command was asked to stop.
    pub(crate) fn is_raised(&self) -> bool {
        self.is_raised.load(Ordering::Relaxed)
    }

    /// The name of a signal that arrived, such as `SIGTERM`; of several, that which announces a time limit, since others follow it.
    pub(crate) fn name(&self) -> &'static str {
        let arrived =
            |number: &usize| self.signals.get(*number).is_some_and(|signal| signal.load(Ordering::Relaxed));
        let first = (0..STOPPING.len()).rev().find(arrived);
        first.and_then(|number| signal_name(STOPPING[number])).unwrap_or("a signal")
    }
}
