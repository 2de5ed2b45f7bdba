//! The text report of a run.

use std::fmt::Write as _;

use sharpness_runs::Report;
use sharpness_training::Outcome;

use crate::output::{count, duration_secs, line, measurement, percent, significant};

/// The text report of a run.
pub(super) fn report_text(report: &Report) -> String {
    let (config, training) = (&report.config, &report.training);
    let mut text = String::new();
    let network = format!(
        "{} on {}, {} parameters, seed {}",
        config.model.arch.name(),
        config.data.name,
        count(training.parameters),
        config.seed
    );
    line(&mut text, "run", &network);
    let target = percent(config.training.target_accuracy);
    let end = match training.outcome {
        Outcome::Converged => format!("reached the target ({target})"),
        Outcome::MaxEpochs => format!("ended below the target ({target})"),
        Outcome::Diverged => "DIVERGED (the loss is not finite; try a smaller --lr)".to_owned(),
        Outcome::Interrupted => "was stopped".to_owned(),
    };
    let time = duration_secs(training.seconds);
    let work = format!("{end} after {} epochs, {} steps, {time}", training.epochs, training.steps);
    line(&mut text, "training", &work);
    for (name, accuracy, loss, examples) in [
        ("train accuracy", training.train_accuracy, training.train_loss, training.train_examples),
        ("test accuracy", training.test_accuracy, training.test_loss, training.test_examples),
    ] {
        if let (Some(accuracy), Some(loss)) = (accuracy, loss) {
            let value = percent(accuracy);
            line(
                &mut text,
                name,
                &format!("{value}   loss {} on {} examples", significant(loss, 4), count(examples)),
            );
        }
    }
    if let (Some(last), Some(products)) = (training.lambda_max.last(), training.median_products()) {
        let (value, count) = (significant(last.value, 4), training.lambda_max.len());
        let each = format!("last {value} of {count} through training, {products} products each (median)");
        line(&mut text, "λ_max", &each);
    }
    if let Some(loss) = training.last_batch_loss.filter(|_| training.outcome == Outcome::Diverged) {
        line(&mut text, "last loss", &significant(loss, 4));
    }
    if let Some(measured) = &report.measurement {
        // Writing to a string cannot fail.
        let _ = writeln!(text);
        measurement(&mut text, measured);
    }
    text
}
