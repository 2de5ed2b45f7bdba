//! Who executes the runs of a sweep.

/// Who executes the runs of a sweep.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Launcher {
    /// This process.
    #[default]
    Inline,
    /// Processes that this one starts, several at once.
    Processes,
    /// Jobs of Slurm.
    Slurm,
    /// Whatever executes the commands that are printed, one for each task.
    Print,
}
