//! The state of a run in one word.

use sharpness_runs::RunStatus;

/// The state of a run, in one word.
pub(super) const fn status_word(status: &RunStatus) -> &'static str {
    match status {
        RunStatus::Missing => "to do",
        RunStatus::Started(_) => "started",
        RunStatus::Running => "running",
        RunStatus::Failed(_) => "failed",
        RunStatus::Damaged(_) => "damaged",
        RunStatus::Done(_) => "done",
    }
}
