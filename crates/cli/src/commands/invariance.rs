//! Which measures of sharpness the rescaling of two layers changes.

use serde::Serialize;
use sharpness_training::measures::{Measurement, SharpnessNumber};

use crate::output::{escaped, percent, significant};

/// Reported errors are taken this many times: standard errors then hold 99.7 %, and residuals are generous.
const ERRORS: f64 = 3.0;
/// Relative differences below which numbers are equal, in single and double precision: the rounding of the engine at other weights.
const ROUNDING: (f64, f64) = (1e-3, 1e-6);

/// A number at the given weights and at each α.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Invariance {
    /// `test_loss`, `lambda_max.value`, or the measure and the key of its number: `trace.value`.
    number: String,
    #[serde(skip)]
    label: String,
    /// At the given weights, then at each α; null where it is not known.
    values: Vec<Option<f64>>,
    /// The reported errors of these; null where none is reported.
    errors: Vec<Option<f64>>,
    /// Whether all values are equal within three times their errors and the rounding; null if one is not known.
    invariant: Option<bool>,
    /// The largest of these bounds on a difference, relative to the value at the given weights.
    resolution: Option<f64>,
    /// The factor between the given weights and those that differ most; null if the number is invariant, or changes its sign.
    factor: Option<f64>,
}

/// A value with its error.
type Reading = Option<(f64, Option<f64>)>;

impl Invariance {
    /// The test losses, λ_max and every number of sharpness of the measurements, the one at the given weights first.
    pub(super) fn all(measurements: &[&Measurement], test_losses: &[f64]) -> Vec<Self> {
        let is_double = measurements.iter().all(|measured| measured.precision == "f64");
        let rounding = if is_double { ROUNDING.1 } else { ROUNDING.0 };
        let losses: Vec<Reading> = test_losses.iter().map(|loss| Some((*loss, None))).collect();
        let lambda_max = measurements.iter().map(|measured| &measured.lambda_max);
        let lambda_max: Vec<Reading> =
            lambda_max.map(|found| Some((found.value, Some(found.residual)))).collect();
        let mut all = vec![
            Self::new(("test_loss".to_owned(), "test loss".to_owned()), &losses, rounding),
            Self::new(("lambda_max.value".to_owned(), "λ_max".to_owned()), &lambda_max, rounding),
        ];
        for number in SharpnessNumber::all() {
            let reading = |measured: &&Measurement| -> Reading {
                let outcome = measured.outcomes.get(number.measure)?;
                Some((number.value(outcome)?, number.error(outcome)))
            };
            let readings: Vec<Reading> = measurements.iter().map(reading).collect();
            if readings.iter().any(Option::is_some) {
                all.push(Self::new((number.name(), number.label()), &readings, rounding));
            }
        }
        all
    }

    fn new((number, label): (String, String), readings: &[Reading], rounding: f64) -> Self {
        let known: Option<Vec<(f64, f64)>> = readings.iter().map(|reading| with_zero(*reading)).collect();
        let (mut invariant, mut resolution, mut factor) = (None, None, None);
        if let Some(((first, error), others)) =
            known.as_deref().and_then(|known| Some((*known.first()?, &known[1..])))
        {
            let bound = |(value, other): &(f64, f64)| {
                ERRORS * (error + other) + rounding * first.abs().max(value.abs())
            };
            let is_equal = others.iter().all(|other| (other.0 - first).abs() <= bound(other));
            let largest = others.iter().map(bound).fold(0.0, f64::max) / first.abs();
            (invariant, resolution) = (Some(is_equal), Some(largest).filter(|largest| largest.is_finite()));
            let factors: Vec<f64> = others.iter().map(|(value, _)| value / first).collect();
            if !is_equal && factors.iter().all(|factor| *factor > 0.0 && factor.is_finite()) {
                factor = factors.into_iter().max_by(|a, b| a.ln().abs().total_cmp(&b.ln().abs()));
            }
        }
        Self {
            number,
            label,
            values: readings.iter().map(|reading| reading.map(|(value, _)| value)).collect(),
            errors: readings.iter().map(|reading| reading.and_then(|(_, error)| error)).collect(),
            invariant,
            resolution,
            factor,
        }
    }

    /// `invariant, to 0.30 %`, `changes ×1.3`.
    fn verdict(&self) -> String {
        match (self.invariant, self.resolution, self.factor) {
            (None, ..) => "not known".to_owned(),
            (Some(true), Some(resolution), _) => format!("invariant, to {}", percent(resolution)),
            (Some(true), None, _) => "invariant".to_owned(),
            (Some(false), _, Some(factor)) => format!("changes ×{}", significant(factor, 2)),
            (Some(false), ..) => "changes its sign".to_owned(),
        }
    }
}

/// A reading whose error is 0 if none is reported; none if one of them is not finite.
fn with_zero(reading: Reading) -> Option<(f64, f64)> {
    let (value, error) = reading?;
    Some((value, error.unwrap_or(0.0))).filter(|(value, error)| value.is_finite() && error.is_finite())
}

/// A table with a column for each of the weights.
pub(super) fn table(all: &[Invariance], weights: &[String]) -> String {
    let mut rows = vec![[&[String::new()], weights, &["under rescaling".to_owned()]].concat()];
    for one in all {
        let values = one
            .values
            .iter()
            .map(|value| value.map_or_else(|| "-".to_owned(), |value| significant(value, 5)));
        rows.push([vec![one.label.clone()], values.collect(), vec![one.verdict()]].concat());
    }
    let columns = weights.len() + 2;
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let line = |row: &Vec<String>| {
        let cell = |(column, text): (usize, &String)| match column {
            0 => format!("{:<width$}", escaped(text), width = widths[column]),
            last if last + 1 == columns => escaped(text),
            _ => format!("{:>width$}", escaped(text), width = widths[column]),
        };
        format!("{}\n", row.iter().enumerate().map(cell).collect::<Vec<_>>().join("  "))
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(readings: &[Reading]) -> String {
        Invariance::new((String::new(), String::new()), readings, 1e-6).verdict()
    }

    #[test]
    fn differences_within_the_errors_are_no_change() {
        let noisy = |value| Some((value, Some(0.1)));
        assert_eq!(verdict(&[noisy(10.0), noisy(10.5)]), "invariant, to 6.00 %");
        assert_eq!(verdict(&[noisy(10.0), noisy(10.5), noisy(13.0), noisy(9.0)]), "changes ×1.3");
        assert_eq!(verdict(&[Some((10.0, None)), Some((10.5, None))]), "changes ×1.1", "no error is none");
        assert_eq!(verdict(&[Some((10.0, None)), Some((10.0, None))]), "invariant, to 0.00 %");
        assert_eq!(verdict(&[noisy(10.0), noisy(-10.0)]), "changes its sign");
        assert_eq!(verdict(&[noisy(10.0), None]), "not known");
        assert_eq!(verdict(&[noisy(0.0), noisy(0.0)]), "invariant", "nothing is relative to 0");
        assert_eq!(verdict(&[noisy(f64::NAN), noisy(0.0)]), "not known");
    }
}
