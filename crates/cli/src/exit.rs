//! Exit codes.

use sharpness_runs::Report;
use sharpness_training::Outcome;
use sharpness_training::measures::Measurement;

/// How a command ended; its discriminant is the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Done as asked.
    Done = 0,
    /// Data, weights, files or the machine did not allow it.
    Failed = 1,
    /// The command line, a configuration or a recipe does not make sense.
    Usage = 2,
    /// The loss of a training run became infinite or undefined.
    Diverged = 3,
    /// Training reached its last epoch without the target accuracy.
    TargetNotReached = 4,
    /// An eigenvalue was not found to the requested tolerance.
    NotConverged = 5,
    /// The program has a bug; the code of Rust's panics.
    Bug = 101,
    /// Stopped by Ctrl-C or a signal; the run is saved if it has a directory.
    Interrupted = 130,
}

/// The exit codes, for help texts.
pub(crate) const EXIT_CODES: &str = "\
Exit codes:
  0    done
  1    data, weights, files or the machine did not allow it
  2    the command line, a configuration or a recipe does not make sense
  3    the training run diverged
  4    training ended without reaching the target accuracy
  5    an eigenvalue was not found to the requested tolerance
  101  an internal error: a bug
  130  stopped by Ctrl-C or a signal; a run with a directory is saved";

/// The signals that stop a command, for help texts.
pub(crate) const SIGNALS: &str = "\
Signals:
  SIGINT (Ctrl-C), SIGTERM, SIGHUP, SIGUSR1, SIGXCPU   finish the step, save, and exit with 130
  a second SIGINT                                      exit at once; earlier checkpoints are kept";

/// A command line that does not make sense.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Usage(String);

impl Usage {
    /// An error with a message that says what is wrong and what would be right.
    pub(crate) const fn new(message: String) -> Self {
        Self(message)
    }
}

/// The exit code that says how a run went.
pub(crate) fn of_report(report: &Report) -> Exit {
    let is_found = report.measurement.as_ref().is_none_or(Measurement::is_converged);
    match report.training.outcome {
        Outcome::Converged if is_found => Exit::Done,
        Outcome::Converged => Exit::NotConverged,
        Outcome::MaxEpochs => Exit::TargetNotReached,
        Outcome::Diverged => Exit::Diverged,
        Outcome::Interrupted => Exit::Interrupted,
    }
}

/// The exit code of an error.
pub(crate) fn of_error(error: &anyhow::Error) -> Exit {
    let is_usage = error.is::<Usage>()
        || error.downcast_ref().is_some_and(sharpness_data::Error::is_usage)
        || error.downcast_ref().is_some_and(sharpness_training::Error::is_usage)
        || error.downcast_ref().is_some_and(sharpness_runs::Error::is_usage)
        || error.downcast_ref().is_some_and(sharpness_study::Error::is_usage)
        || error.downcast_ref().is_some_and(sharpness_serve::Error::is_usage);
    if is_usage { Exit::Usage } else { Exit::Failed }
}

/// Whether an error says that more memory is needed than the process may take.
pub(crate) fn is_out_of_memory(error: &anyhow::Error) -> bool {
    use sharpness_training::Error::Memory;
    matches!(error.downcast_ref(), Some(sharpness_runs::Error::Training(Memory { .. })))
}

/// Whether an error says that a measurement was stopped on request.
pub(crate) fn is_stopped(error: &anyhow::Error) -> bool {
    use sharpness_training::Error::MeasureStopped;
    matches!(error.downcast_ref(), Some(MeasureStopped))
        || matches!(error.downcast_ref(), Some(sharpness_runs::Error::Training(MeasureStopped)))
}

/// An error and its causes on one line, without causes that an outer message already contains.
pub(crate) fn message(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}
