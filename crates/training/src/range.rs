//! Ranges of settings. A field names its range twice, for the command line and for files, so that both accept the same values
//! with the same message.

use std::fmt::Display;
use std::str::FromStr;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use serde::{Deserialize, Deserializer, de};

/// A parser of a fixed list of names, which help texts and completions show.
pub(crate) fn one_of<T>(
    choices: impl IntoIterator<Item = (&'static str, T)>,
) -> impl TypedValueParser<Value = T>
where
    T: Copy + Send + Sync + 'static,
{
    let choices: Vec<(&'static str, T)> = choices.into_iter().collect();
    let names: Vec<&'static str> = choices.iter().map(|(name, _)| *name).collect();
    PossibleValuesParser::new(names).try_map(move |given| {
        let choice = choices.iter().find(|(name, _)| *name == given);
        choice.map(|(_, value)| *value).ok_or_else(|| format!("unknown name '{given}'"))
    })
}

/// A range of numbers.
pub(crate) trait Range {
    /// The numbers that it restricts.
    type Number: FromStr + Display + Copy;
    /// What stands in place of text that is not a number: `a whole number`.
    const EXPECTED: &'static str;

    /// The rule that a number outside of the range breaks.
    fn broken_rule(number: Self::Number) -> Option<&'static str>;

    /// The number, if it lies in the range.
    ///
    /// # Errors
    /// The rule and the number.
    fn check(number: Self::Number) -> Result<Self::Number, String> {
        Self::broken_rule(number).map_or(Ok(number), |rule| Err(format!("{rule}, got {number}")))
    }

    /// The number that `text` spells, if it lies in the range.
    ///
    /// # Errors
    /// As [`Self::check`]; text that is not a number.
    fn parse(text: &str) -> Result<Self::Number, String> {
        let number = text.trim().parse().map_err(|_| format!("expected {}, got '{text}'", Self::EXPECTED))?;
        Self::check(number)
    }
}

/// Reads a number of a file that must lie in `R`.
pub(crate) fn within<'de, D, R>(deserializer: D) -> Result<R::Number, D::Error>
where
    D: Deserializer<'de>,
    R: Range,
    R::Number: Deserialize<'de>,
{
    R::check(Deserialize::deserialize(deserializer)?).map_err(de::Error::custom)
}

/// As [`within`], for a setting that may be unset.
pub(crate) fn optional<'de, D, R>(deserializer: D) -> Result<Option<R::Number>, D::Error>
where
    D: Deserializer<'de>,
    R: Range,
    R::Number: Deserialize<'de>,
{
    within::<D, R>(deserializer).map(Some)
}

/// As [`within`], for a list.
pub(crate) fn each<'de, D, R>(deserializer: D) -> Result<Vec<R::Number>, D::Error>
where
    D: Deserializer<'de>,
    R: Range,
    R::Number: Deserialize<'de>,
{
    let numbers = Vec::deserialize(deserializer)?;
    numbers.into_iter().map(R::check).collect::<Result<_, _>>().map_err(de::Error::custom)
}

/// A finite number above 0.
pub(crate) enum Positive {}

impl Range for Positive {
    type Number = f64;
    const EXPECTED: &'static str = "a number";

    fn broken_rule(number: f64) -> Option<&'static str> {
        (!(number.is_finite() && number > 0.0)).then_some("must be a finite number above 0")
    }
}

/// A finite number, 0 or above.
pub(crate) enum NonNegative {}

impl Range for NonNegative {
    type Number = f64;
    const EXPECTED: &'static str = "a number";

    fn broken_rule(number: f64) -> Option<&'static str> {
        (!(number.is_finite() && number >= 0.0)).then_some("must be a finite number, at least 0")
    }
}

/// A number from 0 to below 1.
pub(crate) enum BelowOne {}

impl Range for BelowOne {
    type Number = f64;
    const EXPECTED: &'static str = "a number";

    fn broken_rule(number: f64) -> Option<&'static str> {
        (!(0.0..1.0).contains(&number)).then_some("must be at least 0 and below 1")
    }
}

/// A number above 0, at most 1.
pub(crate) enum Fraction {}

impl Range for Fraction {
    type Number = f64;
    const EXPECTED: &'static str = "a number";

    fn broken_rule(number: f64) -> Option<&'static str> {
        (!(number > 0.0 && number <= 1.0)).then_some("must be above 0 and at most 1")
    }
}

/// A number above 0 and below 1.
pub(crate) enum Tolerance {}

impl Range for Tolerance {
    type Number = f64;
    const EXPECTED: &'static str = "a number";

    fn broken_rule(number: f64) -> Option<&'static str> {
        (!(number > 0.0 && number < 1.0)).then_some("must be above 0 and below 1")
    }
}

/// A whole number that TOML has.
pub(crate) enum Seed {}

impl Range for Seed {
    type Number = u64;
    const EXPECTED: &'static str = "a whole number";

    fn broken_rule(number: u64) -> Option<&'static str> {
        i64::try_from(number).is_err().then_some("must be at most 9223372036854775807")
    }
}

/// A whole number, 1 or above, that TOML has.
pub(crate) enum Count {}

impl Range for Count {
    type Number = usize;
    const EXPECTED: &'static str = "a whole number";

    fn broken_rule(number: usize) -> Option<&'static str> {
        if number < 1 {
            return Some("must be at least 1");
        }
        i64::try_from(number).is_err().then_some("must be at most 9223372036854775807")
    }
}

/// A whole number, 2 or above, that TOML has.
pub(crate) enum Probes {}

impl Range for Probes {
    type Number = usize;
    const EXPECTED: &'static str = "a whole number";

    fn broken_rule(number: usize) -> Option<&'static str> {
        if number < 2 {
            return Some("must be at least 2");
        }
        i64::try_from(number).is_err().then_some("must be at most 9223372036854775807")
    }
}

/// A whole number of 32 bits, 1 or above.
pub(crate) enum Epochs {}

impl Range for Epochs {
    type Number = u32;
    const EXPECTED: &'static str = "a whole number";

    fn broken_rule(number: u32) -> Option<&'static str> {
        (number < 1).then_some("must be at least 1")
    }
}
