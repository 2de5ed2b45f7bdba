//! A measurement as people read it.

use std::fmt::Write as _;

use sharpness_experiments::data::Subset;
use sharpness_experiments::measures::{Eigenvalue, Measurement, SamBound};

use super::{Style, count, escaped, interval, percent, plural, significant, styled, with_error};

/// Width of the names in front of values.
const NAME_WIDTH: usize = 15;

/// Appends a line `name  value`.
pub(crate) fn line(text: &mut String, name: &str, value: &str) {
    // The width counts characters, so the name is padded before it is made bold.
    let name = styled(Style::Bold, &format!("{:<NAME_WIDTH$}", escaped(name)));
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{name} {}", escaped(value));
}

/// Appends everything that was measured.
pub(crate) fn measurement(text: &mut String, measured: &Measurement) {
    let largest = &measured.lambda_max;
    line(text, "λ_max", &eigenvalue(largest));
    line(text, "", &bounds(largest));
    for (place, further) in measured.top.iter().enumerate().skip(1) {
        line(text, &format!("λ_{}", place + 1), &eigenvalue(further));
    }
    if let Some(smallest) = &measured.lambda_min {
        line(text, "λ_min", &eigenvalue(smallest));
        line(text, "", &bounds(smallest));
    }
    if let Some(trace) = &measured.trace {
        let value = with_error(trace.value, trace.standard_error);
        line(text, "trace", &format!("{value} (standard error)  ({})", plural(trace.probes, "probe")));
    }
    if let Some(between) = &measured.between_iterates {
        let points = between.points.len();
        let value = significant(between.maximum, 5);
        let at = significant(between.at, 2);
        line(
            text,
            "between",
            &format!(
                "{value}, the largest λ_max of {points} points up to the next iterate (at {at} of the way)"
            ),
        );
    }
    if let Some(SamBound { rho, maximum, bound, refuted, tightness, gradients }) = &measured.sam_bound {
        let [found, bound] = [maximum, bound].map(|loss| significant(*loss, 4));
        let relation = if *refuted { "REFUTED" } else { "not refuted" };
        let work = plural(*gradients, "gradient");
        let found = format!("{found} found within ρ = {rho} by {work}, bound {bound}");
        let share = tightness.map(|share| format!(" (the rise is {} of the bound's)", percent(share)));
        line(text, "SAM bound", &format!("{relation}: {found}{}", share.unwrap_or_default()));
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
}

/// The value with the bound of its error, and what it took.
fn eigenvalue(eigenvalue: &Eigenvalue) -> String {
    let work = plural(eigenvalue.products, "Hessian-vector product");
    let doubt = match (eigenvalue.converged, eigenvalue.certified) {
        (true, true) => "",
        (true, false) => "  an eigenvalue, not shown to be the extreme one (--bound-rtol is off)",
        (false, _) => {
            "  NOT CONVERGED: the residual or the bound misses its tolerance; raise --max-products or --memory, relax --rtol or \
             --bound-rtol, or try --precision f64"
        }
    };
    format!("{}  ({work}){doubt}", with_error(eigenvalue.value, eigenvalue.residual))
}

/// Where the true value lies: certainly on the inner side, and with a stated probability on the outer side.
fn bounds(eigenvalue: &Eigenvalue) -> String {
    let interval = interval(eigenvalue.lower, eigenvalue.upper);
    let risks = [eigenvalue.lower_failure_probability, eigenvalue.upper_failure_probability];
    let risk = risks.into_iter().flatten().fold(0.0, f64::max);
    let certainty = if risk > 0.0 { format!(" with probability {}", 1.0 - risk) } else { String::new() };
    format!("in {interval}{certainty}")
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
    format!("{examples} training examples ({subset}), dropout off{batch_norm}, {}", measured.precision)
}
