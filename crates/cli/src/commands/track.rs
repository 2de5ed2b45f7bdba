//! `sharpness runs track`: shows the finished runs of a store in trackers.

use anyhow::Result;
use serde::Serialize;
use sharpness_runs::{Report, RunStore, TrackerTarget, track_finished};

use crate::exit::Exit;
use crate::output::{Style, note, plural, print, print_json, styled};

/// What became of the runs.
#[derive(Default, Serialize)]
struct Tracked {
    /// For each tracker, the number of runs that it shows.
    shown: Vec<(String, usize)>,
    /// Those that it does not show, each with why.
    missing: Vec<Missing>,
}

#[derive(Serialize)]
struct Missing {
    target: String,
    run: String,
    problem: String,
}

/// Shows the runs `reports` of a store.
pub(super) fn run(
    targets: &[TrackerTarget],
    (store, reports): (&RunStore, &[Report]),
    json: bool,
) -> Result<Exit> {
    let mut tracked = Tracked::default();
    for target in targets {
        let mut shown = 0;
        let missing = &mut tracked.missing;
        track_finished(store, reports, target, &mut |report, problem| match problem {
            None => shown += 1,
            Some(problem) => {
                let (target, run, problem) = (target.to_string(), report.id.clone(), problem.to_owned());
                missing.push(Missing { target, run, problem });
            }
        })?;
        tracked.shown.push((target.to_string(), shown));
    }
    let is_whole = tracked.shown.iter().all(|(_, shown)| *shown == reports.len());
    if json {
        print_json(&tracked)?;
    } else {
        for Missing { target, run, problem } in &tracked.missing {
            note(&format!("{} {run} is not in {target}: {problem}", styled(Style::Red, "error:")));
        }
        for (target, shown) in &tracked.shown {
            print(&format!("{target} shows {} of {}\n", shown, plural(reports.len(), "run")))?;
        }
    }
    Ok(if is_whole { Exit::Done } else { Exit::Failed })
}
