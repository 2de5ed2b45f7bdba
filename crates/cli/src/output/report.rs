//! The text report of a measurement.

use std::fmt::Write as _;

use sharpness_data::Subset;
use sharpness_training::measures::Measurement;
use sharpness_training::number::{count, duration_secs, percent, significant};

use super::style::{Style, escaped, styled};

/// Width of the names in front of values.
const NAME_WIDTH: usize = 15;

/// Appends a line `name  value`.
pub(crate) fn line(text: &mut String, name: &str, value: &str) {
    // The width counts characters, so the name is padded before it is made bold.
    let name = styled(Style::Bold, &format!("{:<NAME_WIDTH$}", escaped(name)));
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{name} {}", escaped(value));
}

/// Appends a measurement.
pub(crate) fn measurement(text: &mut String, measured: &Measurement) {
    let largest = &measured.lambda_max;
    line(text, "λ_max", &largest.value_text());
    line(text, "", &largest.bounds_text());
    for (place, further) in measured.top.iter().enumerate().skip(1) {
        line(text, &format!("λ_{}", place + 1), &further.value_text());
    }
    for (name, text_of_outcome) in measured.summaries() {
        line(text, name, &text_of_outcome);
    }
    line(
        text,
        "loss",
        &format!(
            "{}   gradient norm {}",
            significant(measured.loss, 4),
            significant(measured.gradient_norm, 3)
        ),
    );
    line(text, "accuracy", &format!("{} of the measured examples", percent(measured.accuracy)));
    line(text, "measured on", &conditions(measured));
    if let Some((together, separate)) = measured.saving() {
        let [took, alone] = [together, separate].map(duration_secs);
        let share = significant(together / separate, 2);
        line(
            text,
            "time",
            &format!("{took} for all; one call for each measure would take {alone} ({share} of it)"),
        );
    }
}

/// The examples, the batch norm and the precision.
fn conditions(measured: &Measurement) -> String {
    let subset = match measured.subset {
        Subset::Every => "evenly strided",
        Subset::First => "the first",
        Subset::Random => "at random",
    };
    let batch_norm = match (measured.batch_norm.as_str(), measured.batch_norm_chunk) {
        ("batch", Some(chunk)) => format!(", batch norm over chunks of {}", count(chunk)),
        ("running", _) => ", batch norm with running statistics".to_owned(),
        _ => String::new(),
    };
    let examples = count(measured.examples);
    let ranks = if measured.ranks > 1 { format!(", by {} processes", measured.ranks) } else { String::new() };
    let precision = &measured.precision;
    format!("{examples} training examples ({subset}), dropout off{batch_norm}, {precision}{ranks}")
}
