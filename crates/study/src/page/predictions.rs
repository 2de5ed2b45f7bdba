//! How well each measure predicts generalization: a picture, and every number.

use maud::{Markup, PreEscaped, html};

use crate::claims::{PREDICTION_MEANING, Prediction, Target, without_tau_text};
use crate::figures::PredictorsFigure;

pub(super) fn section(predictions: &[Prediction]) -> Markup {
    html! {
        section id="predictions" {
            h2 { "What predicts generalization" }
            @match PredictorsFigure::new(predictions) {
                None => p { "There are too few settings to say." },
                Some(figure) => {
                    figure {
                        div.picture role="img" aria-label="What predicts generalization" { (PreEscaped(figure.svg())) }
                        figcaption { (figure.caption()) }
                    }
                    @for group in predictions.chunk_by(|a, b| a.group() == b.group()) { (tables(group)) }
                    p.faint { (PREDICTION_MEANING) }
                }
            }
        }
    }
}

fn tables(group: &[Prediction]) -> Markup {
    html! {
        @for target in Target::ALL {
            @let found: Vec<&Prediction> = group.iter().filter(|found| found.target == target).collect();
            @if found.iter().any(|found| found.kendall_tau.is_some()) {
                details {
                    summary { (found[0].group()) ": " (target.name()) }
                    (table(&found))
                }
            }
        }
    }
}

fn table(predictions: &[&Prediction]) -> Markup {
    let with_tau: Vec<&&Prediction> =
        predictions.iter().filter(|found| found.kendall_tau.is_some()).collect();
    html! {
        div.scroll { table {
            thead { tr {
                th { "predictor" } th { "settings" } th { "seeds" } th { "Kendall τ" } th { "95 %" } th { "granulated Ψ" } th { "K" }
                th { "sign-error: worst, 90 %, mean" } th { "worst pair of settings" }
            } }
            tbody { @for found in with_tau { tr {
                td { (found.starred()) }
                td.number { (found.settings) }
                td.number { @if let Some(seeds) = found.seeds { (seeds) } }
                td.number { (found.tau_text()) }
                td.number { (found.interval_text()) }
                td.number { (found.psi_text()) }
                td { (found.conditional_text()) }
                td { @if found.sign_error.is_some() { (found.sign_error_text()) } @else { "-" } }
                td { (found.worst_text()) }
            } } }
        } }
        @let without = without_tau_text(predictions.iter().copied());
        @if !without.is_empty() { p.faint { (without) } }
    }
}
