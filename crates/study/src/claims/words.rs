//! The text of verdicts and their numbers.

use sharpness_training::number::{plural, significant};

use super::findings::{Judged as Condition, Judgement};
use super::judge::{Bounds, Effect, Need, Verdict};
use super::statistics::{Combination, Outcome};

/// A verdict in words, with what is missing.
pub fn verdict_words(judgement: &Judgement) -> String {
    let lacking = judgement.conditions.iter().find(|condition| condition.effects.is_empty());
    match (judgement.verdict, lacking) {
        (Verdict::NotEnoughRuns { .. }, Some(condition)) if !condition.runs.is_empty() => {
            format!("not enough runs ({}: nothing to compare)", condition.runs)
        }
        (Verdict::NotEnoughRuns { more_seeds: Some(more) }, _) => {
            format!("not enough runs ({} would do)", plural(more, "more seed"))
        }
        (other, _) => short(other).to_owned(),
    }
}

/// A verdict in two or three words.
pub const fn short(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Holds => "holds",
        Verdict::DoesNotHold => "does not hold",
        Verdict::NotEnoughRuns { .. } => "not enough runs",
    }
}

/// A condition: its subject and its bounds.
pub fn condition_text(condition: &Condition) -> String {
    let Condition {
        name,
        runs,
        outcome,
        bounds: Bounds { lower, upper },
        unit,
        need,
        effects,
        settings_left_out,
        verdict,
    } = condition;
    let bound = |bound: f64| {
        if outcome.is_log() { format!("×{}", significant(bound, 3)) } else { signed(bound) }
    };
    let lowest = if outcome.is_log() { 0.0 } else { f64::NEG_INFINITY };
    let wanted = match (*lower > lowest, upper.is_finite()) {
        (true, true) => format!("between {} and {}", bound(*lower), bound(*upper)),
        (true, false) => format!("above {}", bound(*lower)),
        _ => format!("below {}", bound(*upper)),
    };
    let need = match need {
        Need::All => "",
        Need::Most => ", most of them",
        Need::Any => ", at least one",
    };
    let none = if effects.is_empty() { ": nothing to compare" } else { "" };
    let left_out = match settings_left_out {
        0 => String::new(),
        count => format!(" ({} left out: fewer than three seeds, or no λ_max)", plural(*count, "setting")),
    };
    let runs = if runs.is_empty() { String::new() } else { format!("{runs}: ") };
    format!("{} {runs}{name}{unit}, must be {wanted}{need}{none}{left_out}", mark(*verdict))
}

const fn mark(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Holds => "✓",
        Verdict::DoesNotHold => "✗",
        Verdict::NotEnoughRuns { .. } => "?",
    }
}

/// A number with everything that is known about it.
pub fn numbers_text(condition: &Condition, effect: &Effect) -> String {
    let place = if effect.place.is_empty() { String::new() } else { format!("  {}", effect.place) };
    let how = match effect.combination {
        Combination::Paired => "paired",
        Combination::Stratified => "not paired",
    };
    let number = effect_text(condition, effect, false);
    let count = format!("{}, {} {how}", plural(effect.settings, "setting"), plural(effect.seeds, "seed"));
    format!("{} {number}  ({count}){place}", mark(effect.verdict))
}

/// `+1.9 [1.2, 2.6] points per tenfold η`.
pub fn effect_text(Condition { outcome, unit, .. }: &Condition, effect: &Effect, with_unit: bool) -> String {
    let (is_log, value) = (outcome.is_log(), effect.value);
    let number = |x: f64| significant(x, 3);
    let value = if is_log { format!("×{}", number(value)) } else { signed(value) };
    let interval = effect
        .interval
        .map_or_else(String::new, |(lower, upper)| format!(" [{}, {}]", number(lower), number(upper)));
    let what = match (with_unit, *outcome) {
        (false, _) => String::new(),
        (true, Outcome::TestAccuracy) => format!(" points{unit}"),
        (true, _) => unit.clone(),
    };
    format!("{value}{interval}{what}")
}

fn signed(value: f64) -> String {
    if value > 0.0 {
        format!("+{}", significant(value, 3))
    } else if value < 0.0 {
        significant(value, 3)
    } else {
        "0".to_owned()
    }
}
