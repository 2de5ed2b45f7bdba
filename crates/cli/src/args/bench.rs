//! Flags about benches.

use sharpness_experiments::bench::Task;

use super::one_of;

/// Accepts the names of what can be timed.
pub(crate) fn task_parser() -> impl clap::builder::TypedValueParser<Value = Task> {
    one_of(Task::ALL.map(|task| (task.as_str(), task)))
}
