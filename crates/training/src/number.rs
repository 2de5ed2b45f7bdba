//! Formats numbers for people.

use std::ops::Range;
use std::time::Duration;

/// The most decimals.
const MOST_DECIMALS: i32 = 12;

/// A count with a comma between thousands: `1,442`.
pub fn count(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A count of things: `1 product`, `2,000 products`.
pub fn plural(number: usize, thing: &str) -> String {
    format!("{} {thing}{}", count(number), if number == 1 { "" } else { "s" })
}

/// A share as a percentage with two decimals.
pub fn percent(share: f64) -> String {
    format!("{:.2} %", 100.0 * share)
}

/// A time in a suitable unit.
pub fn duration(time: Duration) -> String {
    let secs = time.as_secs_f64();
    let whole = time.as_secs();
    match whole {
        0 if secs < 0.05 && secs > 0.0 => format!("{:.1} ms", 1e3 * secs),
        0..60 => format!("{secs:.1} s"),
        60..3600 => format!("{} min {} s", whole / 60, whole % 60),
        _ => format!("{} h {} min", whole / 3600, whole / 60 % 60),
    }
}

/// As [`duration`], of seconds.
pub fn duration_secs(secs: f64) -> String {
    Duration::try_from_secs_f64(secs).map_or_else(|_| format!("{secs} s"), duration)
}

/// A range of seconds as the time left, rounded outwards: `12–40 min left`.
pub fn time_left(seconds: &Range<f64>) -> String {
    let units = [("s", 1.0, 100.0), ("min", 60.0, 100.0), ("h", 3600.0, 48.0)];
    let fitting = units.into_iter().find(|(_, unit, most)| seconds.end < unit * most);
    let (name, unit, most) = fitting.unwrap_or(("days", 86400.0, f64::INFINITY));
    let step = if most < 100.0 && seconds.end < 10.0 * unit { unit / 2.0 } else { unit };
    let (low, high) =
        ((seconds.start / step).floor() * step / unit, (seconds.end / step).ceil() * step / unit);
    if low <= 0.0 {
        format!("at most {high} {name} left")
    } else if low < high {
        format!("{low}–{high} {name} left")
    } else {
        format!("about {high} {name} left")
    }
}

/// A number with this many significant digits.
pub fn significant(value: f64, digits: i32) -> String {
    let is_plain = value == 0.0 || (1e-4..1e7).contains(&value.abs());
    if !value.is_finite() {
        value.to_string()
    } else if is_plain {
        let decimals = (digits - 1 - exponent(value)).clamp(0, MOST_DECIMALS);
        format!("{value:.*}", usize::try_from(decimals).unwrap_or(0))
    } else {
        format!("{value:.*e}", usize::try_from(digits - 1).unwrap_or(0))
    }
}

/// A value and the bound of its error, both to the last digit that the bound supports: `12.345 ± 0.004`.
///
/// The bound is rounded up, and the value's own rounding is added to it, so that the printed interval holds the true one.
pub fn with_error(value: f64, error: f64) -> String {
    if !value.is_finite() || !error.is_finite() || error <= 0.0 {
        return significant(value, 6);
    }
    // Two digits of the bound, so that rounding it up does not blur it much.
    let decimals = (1 - exponent(error)).clamp(0, MOST_DECIMALS);
    let unit = 10_f64.powi(-decimals);
    let rounded = (value / unit).round() * unit;
    let bound = ((error + (rounded - value).abs()) / unit).ceil() * unit;
    let decimals = usize::try_from(decimals).unwrap_or(0);
    format!("{rounded:.decimals$} ± {bound:.decimals$}")
}

/// An interval to the digits that its width supports, rounded outwards; a side without a bound is infinite.
pub fn interval(lower: Option<f64>, upper: Option<f64>) -> String {
    let width = lower.zip(upper).map_or(0.0, |(lower, upper)| upper - lower);
    let decimals = if width > 0.0 { (1 - exponent(width)).clamp(0, MOST_DECIMALS) } else { 6 };
    let unit = 10_f64.powi(-decimals);
    let places = usize::try_from(decimals).unwrap_or(0);
    let lower = lower.map_or_else(|| "-∞".to_owned(), |x| format!("{:.places$}", (x / unit).floor() * unit));
    let upper = upper.map_or_else(|| "∞".to_owned(), |x| format!("{:.places$}", (x / unit).ceil() * unit));
    format!("[{lower}, {upper}]")
}

/// The power of ten of a number's first digit; 0 of 0.
#[expect(clippy::cast_possible_truncation, reason = "the power of ten of a double lies between -324 and 308")]
fn exponent(value: f64) -> i32 {
    if value == 0.0 { 0 } else { value.abs().log10().floor() as i32 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_separated() {
        for (number, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (9_756_426, "9,756,426")] {
            assert_eq!(count(number), text, "{number}");
        }
    }

    #[test]
    fn a_value_has_the_digits_that_its_error_supports() {
        for (value, error, text) in [
            (12.345_678, 0.004, "12.3457 ± 0.0041"),
            (12.345_678, 0.12, "12.35 ± 0.13"),
            (1234.5, 70.0, "1235 ± 71"),
            (-0.5, 0.001, "-0.5000 ± 0.0010"),
            (5.0, 0.0, "5.00000"),
        ] {
            assert_eq!(with_error(value, error), text, "{value} with the error {error}");
        }
    }

    #[test]
    fn an_interval_is_rounded_outwards() {
        for (lower, upper, text) in [
            (Some(2.281_691), Some(2.622_344), "[2.28, 2.63]"),
            (Some(-0.134_294_7), Some(-0.134_281_7), "[-0.134295, -0.134281]"),
            (Some(3.0), None, "[3.000000, ∞]"),
        ] {
            assert_eq!(interval(lower, upper), text, "{lower:?} to {upper:?}");
        }
    }

    #[test]
    fn significant_digits_are_counted_from_the_first() {
        for (value, text) in
            [(0.0, "0.000"), (12.345, "12.35"), (0.012_345, "0.01235"), (1.5e9, "1.500e9"), (f64::NAN, "NaN")]
        {
            assert_eq!(significant(value, 4), text, "{value}");
        }
    }

    #[test]
    fn a_time_that_is_left_is_a_range_rounded_outwards() {
        for (seconds, text) in [
            (730.0..2390.0, "12–40 min left"),
            (12.2..12.9, "12–13 s left"),
            (0.2..7.5, "at most 8 s left"),
            (600.0..600.0, "about 10 min left"),
            (5500.0..15_000.0, "1.5–4.5 h left"),
            (40_000.0..100_000.0, "11–28 h left"),
            (200_000.0..400_000.0, "2–5 days left"),
        ] {
            assert_eq!(time_left(&seconds), text, "{seconds:?}");
        }
    }

    #[test]
    fn times_have_the_unit_that_suits_them() {
        for (secs, text) in [(3, "3.0 s"), (61, "1 min 1 s"), (7320, "2 h 2 min")] {
            assert_eq!(duration(Duration::from_secs(secs)), text, "{secs} s");
        }
    }
}
