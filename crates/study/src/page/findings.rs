//! The verdicts, each with its numbers.

use maud::{Markup, html};

use crate::claims::{
    Claims, JudgedFinding, Judgement, Prediction, SignError, Verdict, condition_text, numbers_text, short,
    verdict_words,
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
        section id="predictions" {
            h2 { "λ_max as a predictor of the test error" }
            @if claims.predictions.is_empty() { p { "There are too few settings to say." } } @else { (table(&claims.predictions)) }
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

fn table(predictions: &[Prediction]) -> Markup {
    let round = |value: f64| format!("{value:.2}");
    html! {
        div.scroll { table {
            thead { tr {
                th { "network" } th { "settings" } th { "Kendall τ" } th { "95 %" } th { "granulated Ψ" }
                th { "sign-error: worst, 90 %, mean" }
            } }
            tbody { @for found in predictions { tr {
                td { (found.network) " on " (found.data) }
                td.number { (found.settings) }
                td.number { (round(found.kendall_tau)) }
                td.number { @if let Some((lower, upper)) = found.interval { (round(lower)) " to " (round(upper)) } }
                td.number { @if let Some(psi) = found.granulated_psi { (round(psi)) } }
                td { @match found.sign_error {
                    Some(SignError { max, percentile_90, mean, environments }) => {
                        (round(max)) ", " (round(percentile_90)) ", " (round(mean)) " (" (environments) " of "
                        (found.environments) " pairs of settings)"
                    }
                    None => { "none of " (found.environments) " pairs of settings is known well enough" }
                } }
            } } }
        } }
        p.faint {
            "τ and Ψ are 1 if a smaller λ_max always goes with a smaller test error and 0 for a coin (Jiang et al. 2020); the sign-error "
            "is 0 and 0.5 (Dziugaite et al. 2020)."
        }
    }
}
