//! Judges contrasts.

use serde::Serialize;

use super::statistics::{Combination, Contrast, Estimate, FEWEST_SEEDS, Outcome, quantile};

/// The probability that an interval misses its number.
pub(super) const ALPHA: f64 = 0.05;
/// The most seeds to request: an effect that needs more is negligible.
const MOST_SEEDS: usize = 100;

/// Whether something holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Every interval that must be within its bounds is.
    Holds,
    /// An interval is outside its bounds.
    DoesNotHold,
    /// An interval crosses a bound, or runs are missing.
    NotEnoughRuns {
        /// Seeds of each setting that would be enough if the numbers stay as they are; none if settings are missing, or a hundred seeds
        /// are too few.
        more_seeds: Option<usize>,
    },
}

/// How many of several effects must be within the bounds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Need {
    /// Every one.
    #[default]
    All,
    /// More than half of them.
    Most,
    /// At least one. Intervals are then wider, so that the family errs as rarely as one interval (Bonferroni).
    Any,
}

/// The bounds of a number, in its unit.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Bounds {
    /// It must be above this; −∞ if there is no bound.
    pub lower: f64,
    /// It must be below this.
    pub upper: f64,
}

/// A number of one setting, or of one group of them.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Effect {
    /// The settings.
    pub place: String,
    /// The number: points of accuracy, or a factor of λ_max.
    pub value: f64,
    /// Its 95 % interval; none if the spread over seeds is unknown.
    pub interval: Option<(f64, f64)>,
    /// The number of seeds that all settings share, or the fewest of one.
    pub seeds: usize,
    /// How seeds were combined.
    pub combination: Combination,
    /// The number of settings that it uses.
    pub settings: usize,
    /// Whether it is within the bounds.
    pub verdict: Verdict,
    /// Its distance from the nearest bound in standard errors; negative if it is beyond.
    #[serde(skip)]
    pub(super) clearance: f64,
}

impl Bounds {
    /// The bounds on the scale of the contrasts: those of logarithms are logarithms.
    pub(super) fn of(self, outcome: Outcome) -> (f64, f64) {
        let scale = |bound: f64| if outcome.is_log() { bound.max(0.0).log10() } else { bound };
        (scale(self.lower), scale(self.upper))
    }
}

impl Effect {
    /// Judges one of `count` contrasts; `None` if a setting lacks the outcome.
    pub(super) fn new(
        contrast: &Contrast<'_>,
        outcome: Outcome,
        (bounds, need, count): (Bounds, Need, usize),
    ) -> Option<Self> {
        let found = Estimate::new(contrast, outcome)?;
        let shown = |x: f64| if outcome.is_log() { 10_f64.powf(x) } else { x };
        let (lower, upper) = bounds.of(outcome);
        let gap = (found.value - lower).min(upper - found.value);
        Some(Self {
            place: contrast.place.clone(),
            value: shown(found.value),
            interval: found.interval(ALPHA).map(|(lower, upper)| (shown(lower), shown(upper))),
            seeds: found.seeds,
            combination: found.combination,
            settings: contrast.terms.len(),
            verdict: verdict(&found, (lower, upper), need, count.max(1)),
            clearance: found.error.map_or(0.0, |(error, _)| gap / error),
        })
    }
}

/// The verdict on one of `count` numbers. One of many that is outside of its bounds refutes the whole, and one of many that is
/// inside is enough for `Any`: there the intervals hold all numbers at once.
fn verdict(found: &Estimate, (lowest, highest): (f64, f64), need: Need, count: usize) -> Verdict {
    let (inside, outside) = match need {
        Need::All => (ALPHA, ALPHA / count as f64),
        Need::Most => (ALPHA, ALPHA),
        Need::Any => (ALPHA / count as f64, ALPHA),
    };
    let interval = |alpha: f64| found.interval(alpha).filter(|_| found.seeds >= FEWEST_SEEDS);
    if interval(inside).is_some_and(|(lower, upper)| lower > lowest && upper < highest) {
        return Verdict::Holds;
    }
    if interval(outside).is_some_and(|(lower, upper)| upper < lowest || lower > highest) {
        return Verdict::DoesNotHold;
    }
    Verdict::NotEnoughRuns { more_seeds: more_seeds(found, (lowest, highest)) }
}

/// Seeds that would be enough if the value and the deviation over seeds stayed as they are.
fn more_seeds(found: &Estimate, (lowest, highest): (f64, f64)) -> Option<usize> {
    let Some((error, _)) = found.error else {
        return Some(FEWEST_SEEDS.saturating_sub(found.seeds).max(1)).filter(|_| found.seeds > 0);
    };
    let gap = (found.value - lowest).abs().min((highest - found.value).abs());
    let deviation = error * (found.seeds as f64).sqrt();
    let is_enough = |seeds: usize| {
        let half = quantile(seeds as f64 - 1.0, 1.0 - ALPHA / 2.0).unwrap_or(f64::INFINITY);
        half * deviation / (seeds as f64).sqrt() < gap
    };
    let (mut low, mut high) = (FEWEST_SEEDS.max(found.seeds + 1), MOST_SEEDS);
    // The interval shrinks with every additional seed.
    while low < high {
        let middle = usize::midpoint(low, high);
        if is_enough(middle) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    is_enough(low).then(|| low - found.seeds)
}

/// The verdict on several effects.
pub(super) fn together(effects: &[Effect], need: Need) -> Verdict {
    let verdicts: Vec<Verdict> = effects.iter().map(|effect| effect.verdict).collect();
    match need {
        Need::All => all(&verdicts),
        Need::Most | Need::Any => {
            let count = |wanted: Verdict| verdicts.iter().filter(|verdict| **verdict == wanted).count();
            let (held, refuted, total) = (count(Verdict::Holds), count(Verdict::DoesNotHold), verdicts.len());
            let (is_held, is_refuted) = match need {
                Need::Most => (2 * held > total, total > 0 && 2 * refuted >= total),
                _ => (held > 0, total > 0 && refuted == total),
            };
            match (is_held, is_refuted) {
                (true, _) => Verdict::Holds,
                (_, true) => Verdict::DoesNotHold,
                _ => Verdict::NotEnoughRuns { more_seeds: least_more(&verdicts) },
            }
        }
    }
}

/// The verdict on several parts that must all hold.
pub(super) fn all(verdicts: &[Verdict]) -> Verdict {
    if verdicts.contains(&Verdict::DoesNotHold) {
        return Verdict::DoesNotHold;
    }
    let missing: Vec<Option<usize>> = open(verdicts).collect();
    if missing.is_empty() && !verdicts.is_empty() {
        return Verdict::Holds;
    }
    let is_known = !missing.is_empty() && missing.iter().all(Option::is_some);
    Verdict::NotEnoughRuns { more_seeds: missing.into_iter().flatten().max().filter(|_| is_known) }
}

fn open(verdicts: &[Verdict]) -> impl Iterator<Item = Option<usize>> {
    verdicts.iter().filter_map(|verdict| match verdict {
        Verdict::NotEnoughRuns { more_seeds } => Some(*more_seeds),
        _ => None,
    })
}

fn least_more(verdicts: &[Verdict]) -> Option<usize> {
    open(verdicts).flatten().min()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::claims::text::number_text;

    fn found(value: f64, half: f64, seeds: usize) -> Estimate {
        let freedom = seeds as f64 - 1.0;
        let error = half / quantile(freedom, 0.975).unwrap();
        Estimate { value, error: Some((error, freedom)), seeds, combination: Combination::Paired }
    }

    #[test]
    fn a_verdict_follows_from_where_the_interval_lies() {
        let above = (0.0, f64::INFINITY);
        let of = |estimate: Estimate, bounds| verdict(&estimate, bounds, Need::All, 1);
        assert_eq!(of(found(2.0, 1.0, 5), above), Verdict::Holds, "all of it above");
        assert_eq!(of(found(-2.0, 1.0, 5), above), Verdict::DoesNotHold, "none of it above");
        assert_eq!(of(found(0.0, 0.5, 5), (-1.0, 1.0)), Verdict::Holds, "within both bounds");
        assert_eq!(of(found(2.0, 0.5, 5), (-1.0, 1.0)), Verdict::DoesNotHold, "beyond one");
        let Verdict::NotEnoughRuns { more_seeds: Some(more) } = of(found(1.5, 3.0, 4), above) else {
            panic!("across the bound")
        };
        // The deviation is 3 √4 / 3.182 = 1.885; t(8) 1.885 / √9 = 1.449 < 1.5 is the first.
        assert_eq!(more, 5, "nine seeds in all");
        let none = of(found(0.0, 1.0, 4), above);
        assert_eq!(
            none,
            Verdict::NotEnoughRuns { more_seeds: None },
            "no number of seeds shows an effect of 0"
        );
    }

    #[test]
    fn two_seeds_show_nothing() {
        let two = verdict(&found(2.0, 1.0, 2), (0.0, f64::INFINITY), Need::All, 1);
        assert!(matches!(two, Verdict::NotEnoughRuns { .. }), "however clear it looks: {two:?}");
    }

    #[test]
    fn one_of_many_needs_more() {
        let above = (0.0, f64::INFINITY);
        let barely = found(1.01, 1.0, 5);
        assert_eq!(verdict(&barely, above, Need::Any, 1), Verdict::Holds, "alone");
        assert!(
            matches!(verdict(&barely, above, Need::Any, 4), Verdict::NotEnoughRuns { .. }),
            "one of four"
        );
        let refuted = found(-1.01, 1.0, 5);
        assert!(
            matches!(verdict(&refuted, above, Need::All, 4), Verdict::NotEnoughRuns { .. }),
            "nor refutes"
        );
    }

    #[test]
    fn verdicts_add_up() {
        let (holds, not) = (Verdict::Holds, Verdict::DoesNotHold);
        let more = |more_seeds| Verdict::NotEnoughRuns { more_seeds };
        assert_eq!(all(&[holds, holds]), holds, "all hold");
        assert_eq!(all(&[holds, not, more(Some(3))]), not, "one does not");
        assert_eq!(all(&[holds, more(Some(3)), more(Some(5))]), more(Some(5)), "the most that one asks for");
        assert_eq!(all(&[more(Some(3)), more(None)]), more(None), "seeds alone are not enough");
        assert_eq!(all(&[]), more(None), "nothing is known without numbers");
    }

    #[test]
    fn numbers_are_short() {
        let cases = [(0.05, "0.05"), (5000.0, "5000"), (0.0001, "1e-4"), (12.345_678, "12.35"), (0.0, "0")];
        for (number, text) in cases {
            assert_eq!(number_text(number), text, "{number}");
        }
    }
}
