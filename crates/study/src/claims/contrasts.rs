//! The statistics of findings: contrasts of settings.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::cell::Cell;
use super::filter::Filter;
use super::settings::Regime;
use super::statistics::{Contrast, Outcome, slope};
use super::text::{number_text, symbol};

/// Figure 2 marks pairs of settings whose λ_max agree within this factor.
const SAME_LAMBDA_MAX: f64 = 1.25;

/// A statistic that a finding is judged by.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Statistic {
    /// How the outcome changes with a setting: the slope of the line through all settings, or of parallel lines.
    Slope(Slope),
    /// The mean of some settings minus that of others.
    Contrast(Difference),
    /// All differences between any two settings.
    Equivalence(Equivalence),
    /// λ_max over the edge of stability, for each setting.
    RatioToEdge(RatioToEdge),
    /// How the slope changes with another setting.
    SlopeChange(SlopeChange),
    /// The difference between settings with the same λ_max.
    MatchedPairs(MatchedPairs),
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Slope {
    x: String,
    #[serde(default)]
    per: Per,
    /// Lines are parallel, one for each combination of these.
    #[serde(default)]
    within: Vec<String>,
    /// The fewest values of `x`.
    #[serde(default = "two")]
    settings: usize,
}

/// The unit of `x`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(untagged)]
pub(super) enum Per {
    /// A tenfold value: the decadic logarithm of `x` is used.
    #[default]
    Tenfold,
    /// An increase by this much.
    Step(f64),
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Difference {
    of: Filter,
    minus: Filter,
    /// Compare at equal values of these, and take the mean over them.
    #[serde(default)]
    at: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Equivalence {
    /// Only settings that agree in these are compared.
    #[serde(default)]
    within: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RatioToEdge {}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SlopeChange {
    x: String,
    #[serde(default)]
    per: Per,
    /// The slopes are computed at each value of this setting, over the values of `x` that all of them have.
    across: String,
    /// Compare each slope with the one before, instead of the last with the first.
    #[serde(default)]
    stepwise: bool,
    /// The fewest values of `across`.
    #[serde(default = "two")]
    settings: usize,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MatchedPairs {
    of: Filter,
    minus: Filter,
    /// Values of λ_max within this factor are the same.
    factor: f64,
}

const fn two() -> usize {
    2
}

impl Per {
    fn of(self, x: f64) -> f64 {
        match self {
            Self::Tenfold => x.log10(),
            Self::Step(step) => x / step,
        }
    }
}

/// Cells that agree in some settings, with these settings as text.
pub(super) fn split<'a>(cells: &[&'a Cell], keys: &[String]) -> Vec<(String, Vec<&'a Cell>)> {
    let mut groups: Vec<(String, Vec<&Cell>)> = Vec::new();
    for cell in cells {
        let texts = keys.iter().map(|key| format!("{}={}", symbol(key), cell.settings.text(key)));
        let text = texts.collect::<Vec<_>>().join(", ");
        match groups.iter_mut().find(|(known, _)| *known == text) {
            Some((_, group)) => group.push(cell),
            None => groups.push((text, vec![cell])),
        }
    }
    let numbers = |group: &[&Cell]| -> Vec<Option<f64>> {
        keys.iter().map(|key| group.first().and_then(|cell| cell.settings.number(key))).collect()
    };
    groups.sort_by(|(text, a), (other, b)| {
        let order = numbers(a).partial_cmp(&numbers(b)).unwrap_or(std::cmp::Ordering::Equal);
        order.then_with(|| text.cmp(other))
    });
    groups
}

impl Statistic {
    /// The contrasts of some cells; none if the statistic is not defined for them.
    pub(super) fn contrasts<'a>(&self, cells: &[&'a Cell], outcome: Outcome) -> Vec<Contrast<'a>> {
        match self {
            Self::Slope(slope) => slope.contrast(cells).into_iter().collect(),
            Self::Contrast(difference) => difference.contrast(cells).into_iter().collect(),
            Self::Equivalence(equivalence) => equivalence.contrasts(cells),
            Self::RatioToEdge(RatioToEdge {}) => {
                cells.iter().filter_map(|cell| Some(ratio(cell, cell.edge()?))).collect()
            }
            Self::SlopeChange(change) => change.contrasts(cells),
            Self::MatchedPairs(pairs) => pairs.contrast(cells, outcome).into_iter().collect(),
        }
    }

    /// Whether it depends on a setting.
    pub(super) fn uses(&self, cell: &Cell) -> bool {
        match self {
            Self::Contrast(Difference { of, minus, .. })
            | Self::MatchedPairs(MatchedPairs { of, minus, .. }) => of.allows(cell) || minus.allows(cell),
            Self::RatioToEdge(_) => cell.edge().is_some(),
            Self::Slope(_) | Self::Equivalence(_) | Self::SlopeChange(_) => true,
        }
    }

    /// The unit of its values, after `points` or `factor`.
    pub(super) fn unit(&self) -> String {
        let per = |x: &str, per: Per| match per {
            Per::Tenfold => format!(" per tenfold {}", symbol(x)),
            Per::Step(step) => format!(" per {step} of {}", symbol(x)),
        };
        match self {
            Self::Slope(slope) => per(&slope.x, slope.per),
            Self::SlopeChange(change) => per(&change.x, change.per),
            Self::RatioToEdge(_) => " of the edge of stability".to_owned(),
            Self::Contrast(_) | Self::Equivalence(_) | Self::MatchedPairs(_) => String::new(),
        }
    }

    /// Every setting in it.
    pub(super) fn keys(&self) -> Vec<&str> {
        match self {
            Self::Slope(Slope { x, within, .. }) => {
                std::iter::once(x.as_str()).chain(within.iter().map(String::as_str)).collect()
            }
            Self::Contrast(Difference { of, minus, at }) => {
                of.keys().chain(minus.keys()).chain(at.iter().map(String::as_str)).collect()
            }
            Self::Equivalence(Equivalence { within }) => within.iter().map(String::as_str).collect(),
            Self::RatioToEdge(_) => Vec::new(),
            Self::SlopeChange(SlopeChange { x, across, .. }) => vec![x, across],
            Self::MatchedPairs(MatchedPairs { of, minus, .. }) => of.keys().chain(minus.keys()).collect(),
        }
    }
}

/// The distance of a cell's log₁₀ λ_max from that of a reference.
fn ratio(cell: &Cell, reference: f64) -> Contrast<'_> {
    let place = format!(
        "{}={}, {}={}",
        symbol("training.learning_rate"),
        cell.settings.text("training.learning_rate"),
        symbol("training.batch_size"),
        cell.settings.text("training.batch_size"),
    );
    Contrast { place, terms: vec![(cell, 1.0)], offset: reference.log10() }
}

/// Cells with the abscissas of a slope.
fn points<'a>(cells: &[&'a Cell], x: &str, per: Per) -> Vec<(&'a Cell, f64)> {
    let point =
        |cell: &&'a Cell| Some((*cell, per.of(cell.settings.number(x)?))).filter(|(_, x)| x.is_finite());
    cells.iter().filter_map(point).collect()
}

impl Slope {
    fn contrast<'a>(&self, cells: &[&'a Cell]) -> Option<Contrast<'a>> {
        let groups = split(cells, &self.within);
        let groups: Vec<_> = groups.iter().map(|(_, cells)| points(cells, &self.x, self.per)).collect();
        let mut values: Vec<f64> = groups.iter().flatten().map(|(_, x)| *x).collect();
        values.sort_by(f64::total_cmp);
        values.dedup_by(|a, b| (*a - *b).abs() < 1e-9);
        if values.len() < self.settings {
            return None;
        }
        Some(Contrast { place: String::new(), terms: slope(&groups)?, offset: 0.0 })
    }
}

/// The mean of some cells minus the mean of others.
fn difference<'a>(of: &[&'a Cell], minus: &[&'a Cell]) -> Vec<(&'a Cell, f64)> {
    let share = |cells: &[&'a Cell], sign: f64| {
        let weight = sign / cells.len() as f64;
        cells.iter().map(move |cell| (*cell, weight)).collect::<Vec<_>>()
    };
    [share(of, 1.0), share(minus, -1.0)].concat()
}

impl Difference {
    fn contrast<'a>(&self, cells: &[&'a Cell]) -> Option<Contrast<'a>> {
        let chosen = |cells: &[&'a Cell], filter: &Filter| -> Vec<&'a Cell> {
            cells.iter().filter(|cell| filter.allows(cell)).copied().collect()
        };
        let groups = split(cells, &self.at);
        let sides = groups.iter().map(|(_, group)| (chosen(group, &self.of), chosen(group, &self.minus)));
        let sides: Vec<_> = sides.filter(|(of, minus)| !of.is_empty() && !minus.is_empty()).collect();
        let count = sides.len() as f64;
        let terms = sides.iter().flat_map(|(of, minus)| difference(of, minus));
        let terms: Vec<_> = terms.map(|(cell, c)| (cell, c / count)).collect();
        (!terms.is_empty()).then(|| Contrast { place: String::new(), terms, offset: 0.0 })
    }
}

impl Equivalence {
    fn contrasts<'a>(&self, cells: &[&'a Cell]) -> Vec<Contrast<'a>> {
        let mut contrasts = Vec::new();
        for (place, mut group) in split(cells, &self.within) {
            let rate = |cell: &Cell| cell.settings.number("training.learning_rate").unwrap_or(f64::NAN);
            group.sort_by(|a, b| rate(a).total_cmp(&rate(b)));
            for (i, a) in group.iter().enumerate() {
                for b in &group[..i] {
                    let rates = [a, b].map(|cell| cell.settings.text("training.learning_rate"));
                    let place = format!("{place}, η={} minus {}", rates[0], rates[1]);
                    contrasts.push(Contrast { place, terms: vec![(*a, 1.0), (*b, -1.0)], offset: 0.0 });
                }
            }
        }
        contrasts
    }
}

impl SlopeChange {
    fn contrasts<'a>(&self, cells: &[&'a Cell]) -> Vec<Contrast<'a>> {
        let groups = split(cells, std::slice::from_ref(&self.across));
        let groups: Vec<(String, Vec<_>)> =
            groups.into_iter().map(|(place, cells)| (place, points(&cells, &self.x, self.per))).collect();
        let mut counts: BTreeMap<i64, usize> = BTreeMap::new();
        for (_, points) in &groups {
            points.iter().for_each(|(_, x)| *counts.entry(rounded(*x)).or_default() += 1);
        }
        let is_common = |x: f64| counts.get(&rounded(x)) == Some(&groups.len());
        let common = groups.iter().map(|(place, points)| {
            let points = points.iter().filter(|(_, x)| is_common(*x)).copied().collect();
            Some((place.clone(), slope(&[points])?))
        });
        let slopes = common.collect::<Option<Vec<_>>>().filter(|slopes| slopes.len() >= self.settings);
        let Some(slopes) = slopes else { return Vec::new() };
        let change = |a: &(String, Vec<(&'a Cell, f64)>), b: &(String, Vec<(&'a Cell, f64)>)| Contrast {
            place: format!("{} after {}", b.0, a.0),
            terms: b.1.iter().copied().chain(a.1.iter().map(|(cell, c)| (*cell, -c))).collect(),
            offset: 0.0,
        };
        match &slopes[..] {
            [first, .., last] if !self.stepwise => vec![change(first, last)],
            [_, _, ..] => slopes.windows(2).map(|pair| change(&pair[0], &pair[1])).collect(),
            _ => Vec::new(),
        }
    }
}

/// Rounds away differences between equal abscissas.
#[expect(clippy::cast_possible_truncation, reason = "a rounded logarithm, or a setting in steps")]
fn rounded(x: f64) -> i64 {
    (x * 1e6).round() as i64
}

impl MatchedPairs {
    fn contrast<'a>(&self, cells: &[&'a Cell], outcome: Outcome) -> Option<Contrast<'a>> {
        let has = |cell: &&&'a Cell| outcome.mean(cell).is_some();
        let of = cells.iter().filter(|cell| self.of.allows(cell)).filter(has);
        let mut pairs: Vec<(&Cell, &Cell)> = Vec::new();
        for a in of {
            let others = cells.iter().filter(|cell| self.minus.allows(cell)).filter(has);
            pairs.extend(others.filter(|b| is_same(a, b, self.factor)).map(|b| (*a, *b)));
        }
        let count = pairs.len() as f64;
        let names: Vec<String> = pairs.iter().map(|(a, b)| pair_text(a, b)).collect();
        let terms = pairs.iter().flat_map(|(a, b)| [(*a, 1.0 / count), (*b, -1.0 / count)]);
        let (pair, found) = (if pairs.len() == 1 { "pair" } else { "pairs" }, pairs.len());
        let place = format!("{found} {pair}: {}", names.join("; "));
        (!pairs.is_empty()).then(|| Contrast { place, terms: merged(terms), offset: 0.0 })
    }
}

/// Merges the terms of each cell.
fn merged<'a>(terms: impl Iterator<Item = (&'a Cell, f64)>) -> Vec<(&'a Cell, f64)> {
    let mut merged: Vec<(&Cell, f64)> = Vec::new();
    for (cell, c) in terms {
        match merged.iter_mut().find(|(known, _)| std::ptr::eq(*known, cell)) {
            Some((_, sum)) => *sum += c,
            None => merged.push((cell, c)),
        }
    }
    merged
}

/// Whether the λ_max of two cells agree within a factor.
fn is_same(a: &Cell, b: &Cell, factor: f64) -> bool {
    let logs = (a.mean_lambda_max(), b.mean_lambda_max());
    matches!(logs, (Some(a), Some(b)) if (a / b).ln().abs() <= factor.ln())
}

/// Settings with small and with large batches whose λ_max agree within a factor of 1.25: for each of both, the geometric mean of
/// λ_max and the mean accuracy.
pub fn equal_lambda_pairs(cells: &[Cell]) -> Vec<[(f64, f64); 2]> {
    let of = |regime: Regime| cells.iter().filter(move |cell| cell.regime() == Some(regime));
    let point = |cell: &Cell| Some((cell.mean_lambda_max()?, cell.mean_accuracy()?));
    let pair = |a: &Cell, b: &Cell| Some([point(a)?, point(b)?]).filter(|_| is_same(a, b, SAME_LAMBDA_MAX));
    of(Regime::Small).flat_map(|a| of(Regime::Large).filter_map(move |b| pair(a, b))).collect()
}

fn pair_text(a: &Cell, b: &Cell) -> String {
    let of = |cell: &Cell| {
        let [batch, rate] =
            ["training.batch_size", "training.learning_rate"].map(|key| cell.settings.text(key));
        let lambda = cell.mean_lambda_max().unwrap_or(f64::NAN);
        format!("batch={batch} η={rate} (λ_max {})", number_text(lambda))
    };
    format!("{} and {}", of(a), of(b))
}
