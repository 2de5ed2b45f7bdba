//! Linear and logarithmic axes.

use std::ops::Range;

use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};

/// The fraction of an axis that is left free at its ends.
const MARGIN: f64 = 0.06;
/// An upper bound on the ticks of an axis.
const MOST_TICKS: usize = 100;
/// Steps of ticks in a decade.
const STEPS: [f64; 3] = [1.0, 2.0, 5.0];

/// An axis that holds some values.
#[derive(Clone, Debug)]
pub(super) struct Axis {
    range: Range<f64>,
    is_log: bool,
}

impl Axis {
    /// An axis that holds all values, or all positive ones if it is logarithmic.
    pub(super) fn around(values: impl IntoIterator<Item = f64>, is_log: bool) -> Self {
        let values = values.into_iter().filter(|value| value.is_finite() && (!is_log || *value > 0.0));
        let scaled = values.map(|value| if is_log { value.log10() } else { value });
        let (low, high) =
            scaled.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), x| (low.min(x), high.max(x)));
        if low > high {
            return Self { range: 0.0..1.0, is_log };
        }
        let free = if high > low {
            MARGIN * (high - low)
        } else if is_log {
            0.5
        } else {
            low.abs().max(0.1) / 2.0
        };
        Self { range: low - free..high + free, is_log }
    }

    /// An axis from `start` to `end`, which are positive if it is logarithmic, without free ends.
    pub(super) fn exactly(start: f64, end: f64, is_log: bool) -> Self {
        Self { range: if is_log { start.log10()..end.log10() } else { start..end }, is_log }
    }

    /// The value at a place of the scale.
    fn value(&self, place: f64) -> f64 {
        if self.is_log { 10_f64.powf(place) } else { place }
    }

    fn ticks(&self, most: usize) -> Vec<f64> {
        let most = most.max(2) as f64;
        if !self.is_log {
            return linear_ticks(&self.range, most);
        }
        let decades = |steps: &'static [f64], every: f64| {
            let (first, last) = (self.range.start.floor(), self.range.end.ceil());
            let exponents =
                std::iter::successors(Some((first / every).floor() * every), move |e| Some(e + every))
                    .take_while(move |exponent| *exponent <= last);
            let values =
                exponents.flat_map(|exponent| steps.iter().map(move |step| step * 10_f64.powf(exponent)));
            values.filter(|value| self.range.contains(&value.log10())).collect::<Vec<f64>>()
        };
        let choices = [(&STEPS[..], 1.0), (&STEPS[..1], 1.0), (&STEPS[..1], 2.0), (&STEPS[..1], 4.0)];
        let fits = choices.into_iter().map(|(steps, every)| decades(steps, every));
        let ticks = fits.into_iter().find(|ticks| ticks.len() as f64 <= most).unwrap_or_default();
        // Less than two steps need the ticks of a linear axis.
        if ticks.len() < 2 {
            let values = self.value(self.range.start)..self.value(self.range.end);
            return linear_ticks(&values, most.min(5.0));
        }
        ticks
    }
}

fn linear_ticks(range: &Range<f64>, most: f64) -> Vec<f64> {
    let rough = (range.end - range.start) / most;
    let decade = 10_f64.powf(rough.log10().floor());
    let step = STEPS.iter().chain(&[10.0]).map(|step| step * decade).find(|step| *step >= rough);
    let step = step.unwrap_or(rough);
    let first = (range.start / step).ceil();
    let ticks = std::iter::successors(Some(first), |tick| Some(tick + 1.0)).map(|tick| tick * step);
    // Numbers that are huge relative to their distance have no next tick.
    ticks.take_while(|tick| *tick <= range.end).take(MOST_TICKS).collect()
}

impl ValueFormatter<f64> for Axis {
    fn format(value: &f64) -> String {
        label(*value)
    }
}

/// The text of a value on an axis and in the table of a figure.
pub(super) fn label(value: f64) -> String {
    let size = value.abs();
    if size > 0.0 && !(1e-3..1e5).contains(&size) {
        return format!("{value:e}");
    }
    // Six decimals hold every tick; trailing zeros are dropped.
    // A zero has no sign.
    let text = format!("{:.6}", value + 0.0);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

impl Ranged for Axis {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, (from, to): (i32, i32)) -> i32 {
        let place = if self.is_log { value.log10() } else { *value };
        let share = (place - self.range.start) / (self.range.end - self.range.start);
        let pixel = f64::from(from) + share * f64::from(to - from);
        #[expect(
            clippy::cast_possible_truncation,
            reason = "values far outside the axis are clamped near it"
        )]
        let pixel = pixel.clamp(-1e4, 1e4).round() as i32;
        pixel
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        self.ticks(hint.max_num_points().min(9))
    }

    fn range(&self) -> Range<f64> {
        self.value(self.range.start)..self.value(self.range.end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_within_the_axis() {
        let ticks = |low: f64, high: f64, is_log| {
            let axis = Axis::around([low, high], is_log);
            axis.ticks(9).into_iter().map(label).collect::<Vec<String>>()
        };
        assert_eq!(
            ticks(0.0, 0.7, false),
            ["0", "0.1", "0.2", "0.3", "0.4", "0.5", "0.6", "0.7"],
            "probabilities"
        );
        assert_eq!(
            ticks(0.0005, 0.15, true),
            ["5e-4", "0.001", "0.002", "0.005", "0.01", "0.02", "0.05", "0.1", "0.2"],
            "η"
        );
        assert_eq!(ticks(20.0, 20000.0, true), ["100", "1000", "10000"], "λ_max over decades");
        assert!(ticks(0.88, 0.8975, false).len() >= 3, "accuracies that hardly differ");
        assert!(ticks(45.0, 55.0, true).len() >= 2, "less than a decade");
    }

    #[test]
    fn every_value_has_a_place_and_the_empty_axis_is_one() {
        let axis = Axis::around([0.1, 10.0], true);
        let (low, middle, high) =
            (axis.map(&0.1, (0, 1000)), axis.map(&1.0, (0, 1000)), axis.map(&10.0, (0, 1000)));
        assert!(low > 0 && high < 1000 && (middle - 500).abs() <= 1, "{low} {middle} {high}");
        assert_eq!(Axis::around([], false).range(), 0.0..1.0, "no values");
        let one = Axis::around([5.0], false).range();
        assert!(one.contains(&5.0) && one.end > one.start, "one value: {one:?}");
    }
}
