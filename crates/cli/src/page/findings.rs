//! The verdicts, each with its numbers.

use maud::{Markup, html};
use sharpness_experiments::claims::{Judgement, Prediction, SignError, Verdict};

use crate::commands::claims::{Both, condition_text, verdict_words};

pub(super) fn section(findings: &[Both], predictions: &[Prediction]) -> Markup {
    html! {
        section id="findings" {
            h2 { "Findings" }
            div.scroll { table.findings {
                thead { tr { th { "section" } th { "finding" } th { "these runs" } th { "published" } } }
                tbody {
                    @for both in findings { tr {
                        td.section { (both.section) }
                        td.finding { (both.sentence) (numbers(both)) }
                        td data-who="these runs" { @if let Some(judgement) = &both.runs { (verdict(judgement)) } }
                        td data-who="published" { (verdict(&both.published)) }
                    } }
                }
            } }
            p.faint { "Slopes and differences with intervals of 95 % by bootstrap over seeds; more runs are of each setting." }
        }
        section id="predictions" {
            h2 { "λ_max as a predictor of the test error" }
            @if predictions.is_empty() { p { "There are too few settings to say." } } @else { (table(predictions)) }
        }
    }
}

/// The conditions of a finding; none where no run is about it.
fn numbers(both: &Both) -> Markup {
    let judged = both.runs.iter().map(|judgement| ("these runs", judgement));
    let all = judged.chain([("published", &both.published)]);
    html! {
        details {
            summary { "Numbers" }
            @for (who, Judgement { data, conditions, .. }) in all {
                @if !conditions.is_empty() {
                    p.faint { (who) @if let Some(data) = data { " (" (data) ")" } }
                    ul.numbers { @for condition in conditions { li { (condition_text(condition)) } } }
                }
            }
        }
    }
}

fn verdict(Judgement { verdict, conditions, .. }: &Judgement) -> Markup {
    let class = match verdict {
        Verdict::Holds => "verdict holds",
        Verdict::DoesNotHold => "verdict does-not-hold",
        Verdict::NotEnoughRuns { .. } => "verdict not-enough-runs",
    };
    html! { span class=(class) { (verdict_words(*verdict, conditions)) } }
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
