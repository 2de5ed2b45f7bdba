//! All runs, one row each.

use maud::{Markup, html};
use sharpness_runs::Report;
use sharpness_training::number::{duration_secs, percent, significant, with_error};

pub(super) fn section(reports: &[Report]) -> Markup {
    html! {
        section id="runs" {
            h2 { "Runs" }
            div.scroll { table {
                thead { tr {
                    th { "run" } th { "network" } th { "data" } th { "η" } th { "batch" } th { "ρ" } th { "p" } th { "seed" }
                    th { "epochs" } th { "test accuracy" } th { "λ_max" } th { "products" } th { "time" }
                } }
                tbody { @for report in reports { (row(report)) } }
            } }
        }
    }
}

fn row(Report { id, config, training, measurement, .. }: &Report) -> Markup {
    let rho = config.training.sam.as_ref().map_or(0.0, |sam| sam.rho);
    html! {
        tr {
            td { code { (id.get(..8).unwrap_or(id)) } }
            td { (config.model.arch.name()) }
            td { (config.data.name) }
            td.number { (config.training.learning_rate) }
            td.number { (config.training.batch_size) }
            td.number { (significant_or_zero(rho)) }
            td.number { (significant_or_zero(config.model.dropout)) }
            td.number { (config.seed) }
            td.number { (training.epochs) }
            td.number { (training.test_accuracy.map_or_else(String::new, percent)) }
            @match measurement {
                Some(measured) => {
                    td.number { (with_error(measured.lambda_max.value, measured.lambda_max.residual)) }
                    td.number { (measured.lambda_max.products) }
                }
                None => { td.number { (format!("{:?}", training.outcome).to_lowercase()) } td {} }
            }
            td.number { (duration_secs(training.seconds)) }
        }
    }
}

fn significant_or_zero(value: f64) -> String {
    if value > 0.0 { significant(value, 3) } else { "0".to_owned() }
}
