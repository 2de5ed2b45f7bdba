//! How well each measure predicts generalization, as text.

use sharpness_study::claims::{PREDICTION_MEANING, Prediction, Target, without_tau_text};

use crate::output::{Align, Table, escaped};

/// λ_max by itself, then every predictor of every group and target.
pub(super) fn text(predictions: &[Prediction]) -> String {
    if predictions.iter().all(|found| found.kendall_tau.is_none()) {
        return String::new();
    }
    let mut text = lambda_max(predictions);
    for group in predictions.chunk_by(|a, b| a.group() == b.group()) {
        for target in Target::ALL {
            let found: Vec<&Prediction> = group.iter().filter(|found| found.target == target).collect();
            if found.iter().any(|found| found.kendall_tau.is_some()) {
                text.push_str(&all(&found, target));
            }
        }
    }
    text + "\n" + PREDICTION_MEANING + "\n"
}

fn lambda_max(predictions: &[Prediction]) -> String {
    let mut table = Table::new([
        ("λ_max as a predictor of test error", Align::Left),
        ("settings", Align::Right),
        ("seeds", Align::Right),
        ("τ", Align::Right),
        ("95 %", Align::Left),
        ("Ψ", Align::Right),
        ("along each hyperparameter", Align::Left),
        ("sign-error: worst, 90 %, mean", Align::Left),
    ]);
    let is_lambda_max = |found: &&Prediction| {
        let is_of_error = found.predictor == "lambda_max" && found.target == Target::TestError;
        is_of_error && found.kendall_tau.is_some()
    };
    let mut rows = 0;
    for found in predictions.iter().filter(is_lambda_max) {
        rows += 1;
        table.push([
            found.group(),
            found.settings.to_string(),
            seeds(found),
            found.tau_text(),
            found.interval_text(),
            found.psi_text(),
            found.along_text(),
            found.sign_error_text(),
        ]);
    }
    if rows == 0 { String::new() } else { format!("\n{}", table.render()) }
}

fn all(predictions: &[&Prediction], target: Target) -> String {
    let of = predictions.first().map_or_else(String::new, |found| found.group());
    let mut table = Table::new([
        ("predictor", Align::Left),
        ("settings", Align::Right),
        ("seeds", Align::Right),
        ("τ", Align::Right),
        ("95 %", Align::Left),
        ("Ψ", Align::Right),
        ("K", Align::Left),
        ("sign-error: worst, 90 %, mean", Align::Left),
        ("worst pair of settings", Align::Left),
    ]);
    for found in predictions.iter().filter(|found| found.kendall_tau.is_some()) {
        table.push([
            found.starred(),
            found.settings.to_string(),
            seeds(found),
            found.tau_text(),
            found.interval_text(),
            found.psi_text(),
            found.conditional_text(),
            if found.sign_error.is_some() { found.sign_error_text() } else { "-".to_owned() },
            found.worst_text(),
        ]);
    }
    let without = without_tau_text(predictions.iter().copied());
    let without = if without.is_empty() { without } else { format!("{}\n", escaped(&without)) };
    format!("\nWhat predicts the {} of {}\n{}{without}", target.name(), escaped(&of), table.render())
}

fn seeds(found: &Prediction) -> String {
    found.seeds.map_or_else(String::new, |seeds| seeds.to_string())
}
