//! Tracking finished runs.

use std::collections::BTreeSet;
use std::fs;

use super::point::{Card, now, since_1970, varied};
use super::target::TrackerTarget;
use super::tracker::{End, EndState, Failure};
use super::watch::{of_past, of_report, outcome};
use crate::Result;
use crate::report::Report;
use crate::run::Past;
use crate::store::RunStore;

/// Gives the finished runs `reports` of a store to a tracker, which then has each of their points once, whatever it had before. Calls
/// `told` after each run with why it failed, if it did. If nothing can be given to the tracker, the rest is not tried.
///
/// The store does not hold when the points became known: all have the time at which the training ended.
///
/// # Errors
/// [`Config`](sharpness_training::Error::Config) if a number is not finite.
pub fn track_finished(
    store: &RunStore,
    reports: &[Report],
    target: &TrackerTarget,
    told: &mut dyn FnMut(&Report, Option<&str>),
) -> Result<()> {
    let varied = varied(reports.iter().map(|report| &report.config))?;
    for report in reports {
        match track(store, report, target, &varied) {
            Ok(()) => told(report, None),
            Err(Failure::Refused(reason)) => told(report, Some(&reason)),
            Err(Failure::Unreachable(reason)) => {
                told(report, Some(&reason));
                break;
            }
        }
    }
    Ok(())
}

fn track(
    store: &RunStore,
    report: &Report,
    target: &TrackerTarget,
    varied: &BTreeSet<String>,
) -> std::result::Result<(), Failure> {
    let refused = |error: crate::Error| Failure::Refused(error.to_string());
    let layout = store.training(&report.training_id);
    let time = fs::metadata(layout.result()).and_then(|metadata| metadata.modified());
    let time = time.map_or_else(|_| now(), since_1970);
    let past = Past::finished(&layout, &report.training);
    let mut points = of_past(&past, &report.config, time).map_err(refused)?;
    points.extend(of_report(report, time));
    let started = time - report.training.seconds;
    let card = Card::new(&report.config, varied, started).map_err(refused)?;
    let mut tracker = (target.open)(&card, &points)?;
    let outcome = Some(outcome(report.training.outcome));
    tracker.end(&End { state: EndState::Finished, outcome, time })
}
