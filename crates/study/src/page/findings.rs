//! The verdicts, each with its numbers.

use maud::{Markup, html};

use crate::claims::{
    Claims, JudgedFinding, Judgement, Verdict, condition_text, numbers_text, short, verdict_words,
};

pub(super) fn section(claims: &Claims) -> Markup {
    html! {
        section id="findings" {
            h2 { "Findings" }
            div.scroll { table.findings {
                thead { tr { th { "section" } th { "finding" } th { "these runs" } th { "paper's numbers" } } }
                tbody {
                    @for finding in &claims.findings { tr {
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
            p.faint {
                "Effects with intervals of 95 % by Student's t over seeds, in points of accuracy or as factors of λ_max. The paper does "
                "not say what its bars are; they are taken as standard deviations over runs."
            }
        }
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
