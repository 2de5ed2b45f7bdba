//! The verdicts, each with its numbers.

use maud::{Markup, html};
use sharpness_training::number::plural;

use crate::claims::{
    Claims, JudgedFinding, Judgement, Verdict, condition_text, numbers_text, short, verdict_words,
};

/// Findings that runs decide come first, then those that need more runs. Those that no run is about are folded.
pub(super) fn section(claims: &Claims) -> Markup {
    let is_decided = |judgement: &Judgement| !matches!(judgement.verdict, Verdict::NotEnoughRuns { .. });
    let (decided, others): (Vec<_>, Vec<_>) =
        claims.findings.iter().partition(|finding| finding.runs.iter().any(is_decided));
    let (open, untouched): (Vec<_>, Vec<_>) =
        others.into_iter().partition(|finding| finding.runs.iter().any(has_effect));
    html! {
        section id="findings" {
            h2 { "Findings" }
            p.lead { (summary(&decided, open.len(), untouched.len())) }
            @if !decided.is_empty() { (table(&decided)) }
            @if !open.is_empty() {
                details open[decided.is_empty()] {
                    summary { (plural(open.len(), "finding")) " with too few runs for a verdict" }
                    (table(&open))
                }
            }
            @if !untouched.is_empty() {
                details {
                    summary { (plural(untouched.len(), "finding")) " without runs: verdicts by the paper's own numbers" }
                    (table(&untouched))
                }
            }
            p.faint {
                "Effects with intervals of 95 % by Student's t over seeds, in points of accuracy or as factors of λ_max. The paper does "
                "not say what its bars are; they are taken as standard deviations over runs."
            }
        }
    }
}

/// Whether runs say anything about a finding, be it not enough.
fn has_effect(judgement: &Judgement) -> bool {
    judgement.conditions.iter().any(|condition| !condition.effects.is_empty())
}

/// What is known, in a sentence.
fn summary(decided: &[&JudgedFinding], open: usize, untouched: usize) -> String {
    let count = |verdict| {
        decided
            .iter()
            .filter(|finding| finding.runs.iter().any(|judgement| judgement.verdict == verdict))
            .count()
    };
    if decided.is_empty() {
        return format!(
            "No finding can be judged by these runs yet: {open} of {} have too few, the others none.",
            open + untouched
        );
    }
    let (hold, fail) = (count(Verdict::Holds), count(Verdict::DoesNotHold));
    let both = hold + fail - decided.len();
    let both = if both > 0 { format!(" ({both} of them depending on the setting)") } else { String::new() };
    format!(
        "By these runs, {}, {fail} {} not{both}; {open} have too few runs, {untouched} none.",
        if hold == 1 { "1 finding holds".to_owned() } else { format!("{hold} findings hold") },
        if fail == 1 { "does" } else { "do" },
    )
}

fn table(findings: &[&JudgedFinding]) -> Markup {
    html! {
        div.scroll { table.findings {
            thead { tr { th { "section" } th { "finding" } th { "these runs" } th { "paper's numbers" } } }
            tbody {
                @for finding in findings { tr {
                    td.section { (finding.section) }
                    td.finding { (finding.sentence) (numbers(finding)) }
                    td data-who="these runs" {
                        @for judgement in &finding.runs { div { (verdict(judgement)) } }
                        @if finding.runs.is_empty() { span class="verdict not-enough-runs" { "no runs" } }
                    }
                    td data-who="paper's numbers" {
                        @if let Some(judgement) = &finding.published { (verdict(judgement)) }
                    }
                } }
            }
        } }
    }
}

/// The conditions of a finding; none if it has no runs.
fn numbers(finding: &JudgedFinding) -> Markup {
    let judged = finding.runs.iter().map(|judgement| (judgement.runs.as_str(), judgement));
    let all = judged.chain(finding.published.iter().map(|judgement| ("the paper's numbers", judgement)));
    html! {
        details {
            summary { "Numbers" }
            @for (who, judgement) in all {
                p.faint { (who) ": " (short(judgement.verdict)) }
                ul.numbers {
                    @for condition in &judgement.conditions {
                        li {
                            (condition_text(condition))
                            ul { @for effect in &condition.effects { li { (numbers_text(condition, effect)) } } }
                        }
                    }
                }
            }
        }
    }
}

fn verdict(judgement: &Judgement) -> Markup {
    let class = match judgement.verdict {
        Verdict::Holds => "verdict holds",
        Verdict::DoesNotHold => "verdict does-not-hold",
        Verdict::NotEnoughRuns { .. } => "verdict not-enough-runs",
    };
    html! { span class=(class) { (verdict_words(judgement)) } }
}
