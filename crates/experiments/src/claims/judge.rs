//! From conditions on numbers to a verdict.

use serde::Serialize;

use super::Cell;
use super::statistics::{Estimate, Mean, estimate};

/// More runs than this are not asked for: an effect that small is none.
const MOST_RUNS: f64 = 1000.0;

/// Where a number must lie for a finding to hold.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Wanted {
    /// Above a bound.
    Above(f64),
    /// Below a bound.
    Below(f64),
    /// Between two bounds.
    Between(f64, f64),
}

impl Wanted {
    const fn bounds(self) -> (f64, f64) {
        match self {
            Self::Above(bound) => (bound, f64::INFINITY),
            Self::Below(bound) => (f64::NEG_INFINITY, bound),
            Self::Between(lower, upper) => (lower, upper),
        }
    }
}

/// Whether something holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Every interval lies where it must.
    Holds,
    /// An interval lies where it must not.
    DoesNotHold,
    /// An interval lies across a bound, or runs are missing altogether.
    NotEnoughRuns {
        /// Runs of each setting that would be enough if the numbers stay as they are.
        more: usize,
    },
}

/// A number, where it must lie, and what follows.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Condition {
    /// What the number is.
    pub name: String,
    /// Where it must lie.
    pub wanted: Wanted,
    /// The number; absent where there are not enough runs to say one with an interval.
    pub value: Option<f64>,
    /// The confidence interval of 95 %.
    pub interval: Option<(f64, f64)>,
    /// Settings that it is from.
    pub settings: usize,
    /// The fewest runs of one of these settings.
    pub runs: usize,
    /// Whether it lies where it must.
    pub verdict: Verdict,
}

impl Condition {
    /// Tests whether `statistic` of `cells`, of which there must be `least`, lies where it must.
    pub(super) fn test(
        name: impl Into<String>,
        wanted: Wanted,
        (cells, least): (&[&Cell], usize),
        statistic: impl Fn(&[Mean<'_>]) -> Option<f64>,
    ) -> Self {
        let (name, settings) = (name.into(), cells.len());
        let found = if settings >= least { estimate(cells, statistic) } else { None };
        let fewest = cells.iter().map(|cell| cell.test_accuracy.count().min(cell.lambda_max.count())).min();
        match found {
            None => Self {
                name,
                wanted,
                value: None,
                interval: None,
                settings,
                runs: fewest.unwrap_or(0),
                verdict: Verdict::NotEnoughRuns { more: 1 },
            },
            Some(found) => {
                let interval = Some((found.lower, found.upper));
                let (value, runs, verdict) = (Some(found.value), found.runs, verdict(wanted, &found));
                Self { name, wanted, value, interval, settings, runs, verdict }
            }
        }
    }
}

fn verdict(wanted: Wanted, found: &Estimate) -> Verdict {
    let (lowest, highest) = wanted.bounds();
    let (lower, upper) = (found.lower, found.upper);
    if lower > lowest && upper < highest {
        return Verdict::Holds;
    }
    if upper < lowest || lower > highest {
        return Verdict::DoesNotHold;
    }
    // The interval shrinks as the root of the number of runs.
    let gap = [lowest, highest].iter().map(|bound| (found.value - bound).abs()).fold(f64::INFINITY, f64::min);
    let needed = found.runs.max(1) as f64 * ((upper - lower) / 2.0 / gap).powi(2);
    let more = (needed.min(MOST_RUNS) - found.runs as f64).ceil().max(1.0);
    #[expect(clippy::cast_possible_truncation, reason = "at most a thousand")]
    Verdict::NotEnoughRuns { more: more as usize }
}

/// A finding with its numbers.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Judgement {
    /// The section of the paper, as `3.1 (i)`.
    pub section: &'static str,
    /// The finding.
    pub sentence: &'static str,
    /// The data of the runs that it is judged by; absent where no run is about it.
    pub data: Option<String>,
    /// Whether it holds: all conditions do, or one does not.
    pub verdict: Verdict,
    /// The conditions. None where no run is about the finding.
    pub conditions: Vec<Condition>,
}

/// What several conditions come to.
pub(super) fn together(conditions: &[Condition]) -> Verdict {
    let verdicts = || conditions.iter().map(|condition| condition.verdict);
    if verdicts().any(|verdict| verdict == Verdict::DoesNotHold) {
        return Verdict::DoesNotHold;
    }
    let more = verdicts().filter_map(|verdict| match verdict {
        Verdict::NotEnoughRuns { more } => Some(more),
        _ => None,
    });
    match more.max() {
        Some(more) => Verdict::NotEnoughRuns { more },
        None if conditions.is_empty() => Verdict::NotEnoughRuns { more: 1 },
        None => Verdict::Holds,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(value: f64, lower: f64, upper: f64) -> Estimate {
        Estimate { value, lower, upper, runs: 4 }
    }

    #[test]
    fn a_verdict_follows_from_where_the_interval_lies() {
        let wanted = Wanted::Above(0.0);
        assert_eq!(verdict(wanted, &found(2.0, 1.0, 3.0)), Verdict::Holds, "all of it above");
        assert_eq!(verdict(wanted, &found(-2.0, -3.0, -1.0)), Verdict::DoesNotHold, "none of it above");
        // Half of the width that 4 runs give is as far as 4 · (3 / 1.5)² = 16 runs would reach.
        let more = Verdict::NotEnoughRuns { more: 12 };
        assert_eq!(verdict(wanted, &found(1.5, -1.5, 4.5)), more, "across the bound");
        let between = Wanted::Between(-1.0, 1.0);
        assert_eq!(verdict(between, &found(0.0, -0.5, 0.5)), Verdict::Holds, "within both bounds");
        assert_eq!(verdict(between, &found(2.0, 1.5, 2.5)), Verdict::DoesNotHold, "beyond one");
        let none = Verdict::NotEnoughRuns { more: 996 };
        assert_eq!(verdict(wanted, &found(0.0, -1.0, 1.0)), none, "no effect asks for the most runs");
    }

    #[test]
    fn a_finding_holds_if_all_of_it_does() {
        let condition = |verdict| Condition {
            name: String::new(),
            wanted: Wanted::Above(0.0),
            value: None,
            interval: None,
            settings: 2,
            runs: 1,
            verdict,
        };
        let (holds, not) = (condition(Verdict::Holds), condition(Verdict::DoesNotHold));
        let more = |more| condition(Verdict::NotEnoughRuns { more });
        assert_eq!(together(&[holds.clone(), holds.clone()]), Verdict::Holds, "all hold");
        assert_eq!(together(&[holds.clone(), not, more(3)]), Verdict::DoesNotHold, "one does not");
        let expected = Verdict::NotEnoughRuns { more: 5 };
        assert_eq!(together(&[holds, more(3), more(5)]), expected, "the most that one asks for");
        assert_eq!(together(&[]), Verdict::NotEnoughRuns { more: 1 }, "nothing is known without conditions");
    }
}
