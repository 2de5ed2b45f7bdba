//! Flags about trackers.

use std::time::Duration;

use clap::Args;
use sharpness_runs::{TrackerTarget, Trackers, Undelivered};

use crate::output::{note, plural};
use crate::program::Suggestion;
use crate::ranks;

/// How long the end of a command waits for a slow tracker.
const PATIENCE: Duration = Duration::from_secs(10);

/// Trackers.
#[derive(Args, Debug, Default)]
pub(crate) struct TrackArgs {
    /// Show the curves and settings in TensorBoard (tensorboard=DIR) or MLflow (mlflow=URL#EXPERIMENT) too; repeatable. A tracker
    /// that fails never stops a run
    #[arg(long = "track", value_name = "TRACKER=PLACE", value_parser = str::parse::<TrackerTarget>)]
    targets: Vec<TrackerTarget>,
}

impl TrackArgs {
    /// The trackers, each as the value of its flag, the same from another directory.
    pub(crate) fn targets(&self) -> Vec<String> {
        self.targets.iter().map(ToString::to_string).collect()
    }

    /// Starts the trackers. Of several ranks, the first tells them.
    pub(crate) fn start(&self) -> Trackers {
        Trackers::start(if ranks::ranks().is_first() { &self.targets } else { &[] })
    }

    /// Waits a little for the trackers, and says what they lack and which command gives it to a target.
    pub(crate) fn finish(mut trackers: Trackers, command: impl Fn(&str) -> Option<Suggestion>) {
        let undelivered = trackers.finish(PATIENCE);
        trackers.notes().iter().for_each(|text| note(text));
        for Undelivered { target, runs } in undelivered {
            let what = match runs {
                Some(runs) => format!("{target} lacks numbers of {}", plural(runs, "run")),
                None => format!("{target} did not take everything within {} s", PATIENCE.as_secs()),
            };
            let again = command(&target);
            let again =
                again.map_or_else(String::new, |again| format!("; once it works, send all with:\n  {again}"));
            note(&format!("{what}{again}"));
        }
    }
}
