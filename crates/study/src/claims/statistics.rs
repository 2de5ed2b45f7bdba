//! Linear contrasts of settings, with intervals by Student's t over seeds.
//!
//! Every statistic of the findings is a sum `Σ c_i y_i` over settings. If at least three seeds are common to all of them, it is
//! computed within each seed, which removes what the seeds have in common (paper, footnote 1), and its mean over seeds has
//! Student's t distribution. Otherwise the settings count as independent strata: the variances `c_i² s_i² / n_i` add up, and the
//! degrees of freedom are those of Welch and Satterthwaite.

use serde::{Deserialize, Serialize};
use statrs::distribution::{ContinuousCDF as _, StudentsT};

use super::cell::{Cell, Observation};
use super::summary::Summary;

/// The fewest seeds for a verdict.
pub(super) const FEWEST_SEEDS: usize = 3;

/// An outcome of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The accuracy on the test set, in points: from 0 to 100.
    TestAccuracy,
    /// The decadic logarithm of λ_max at the end of training.
    LambdaMax,
    /// The mean of the same over the first quarter of the steps.
    LambdaMaxInQuarter1,
    /// Over the second.
    LambdaMaxInQuarter2,
    /// Over the third.
    LambdaMaxInQuarter3,
    /// Over the last.
    LambdaMaxInQuarter4,
}

impl Outcome {
    /// Whether it is a logarithm, and its effects are factors.
    pub const fn is_log(self) -> bool {
        !matches!(self, Self::TestAccuracy)
    }

    /// The heading of a column.
    pub const fn name(self) -> &'static str {
        match self {
            Self::TestAccuracy => "test accuracy",
            Self::LambdaMax => "λ_max",
            Self::LambdaMaxInQuarter1 => "λ_max in the first quarter of training",
            Self::LambdaMaxInQuarter2 => "λ_max in the second quarter of training",
            Self::LambdaMaxInQuarter3 => "λ_max in the third quarter of training",
            Self::LambdaMaxInQuarter4 => "λ_max in the last quarter of training",
        }
    }

    pub(super) const fn quarter(self) -> Option<usize> {
        match self {
            Self::TestAccuracy | Self::LambdaMax => None,
            Self::LambdaMaxInQuarter1 => Some(0),
            Self::LambdaMaxInQuarter2 => Some(1),
            Self::LambdaMaxInQuarter3 => Some(2),
            Self::LambdaMaxInQuarter4 => Some(3),
        }
    }

    /// The values of a cell's runs with their seeds.
    fn values(self, cell: &Cell) -> Vec<(Option<u64>, f64)> {
        let value = |run: &Observation| match (self, self.quarter()) {
            (_, Some(quarter)) => Some(run.quarters?[quarter]),
            (Self::TestAccuracy, None) => Some(100.0 * run.test_accuracy).filter(|value| value.is_finite()),
            (_, None) => run.lambda_max.filter(|value| *value > 0.0).map(f64::log10),
        };
        cell.runs.iter().filter_map(|run| Some((run.seed, value(run)?))).collect()
    }

    pub(super) fn summary(self, cell: &Cell) -> Option<Summary> {
        let scaled = |s: Summary| Summary {
            mean: 100.0 * s.mean,
            deviation: s.deviation.map(|s| 100.0 * s),
            runs: s.runs,
        };
        Summary::of(self.values(cell).into_iter().map(|(_, value)| value)).or_else(|| match self {
            Self::TestAccuracy => cell.published.test_accuracy.map(scaled),
            Self::LambdaMax => cell.published.lambda_max.map(Summary::log),
            _ => None,
        })
    }

    /// The mean of a cell.
    pub(super) fn mean(self, cell: &Cell) -> Option<f64> {
        self.summary(cell).map(|summary| summary.mean)
    }

    /// The runs of a cell whose spread is known.
    pub(super) fn seeds(self, cell: &Cell) -> usize {
        self.summary(cell).filter(|summary| summary.deviation.is_some()).and_then(|s| s.runs).unwrap_or(0)
    }
}

impl Cell {
    /// The geometric mean of λ_max.
    pub fn mean_lambda_max(&self) -> Option<f64> {
        Outcome::LambdaMax.mean(self).map(|log| 10_f64.powf(log))
    }
}

/// A sum `Σ c_i y_i - offset` over cells.
#[derive(Clone, Debug)]
pub(super) struct Contrast<'a> {
    /// The settings that it is about, such as `bs=100, η=0.1`; empty if there is only one contrast.
    pub(super) place: String,
    pub(super) terms: Vec<(&'a Cell, f64)>,
    pub(super) offset: f64,
}

/// How to combine runs of different settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Combination {
    /// Within each seed, then over seeds.
    Paired,
    /// Settings are independent strata.
    Stratified,
}

/// A number with its error.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Estimate {
    pub(super) value: f64,
    /// The standard error and the degrees of freedom; none if the spread is unknown.
    pub(super) error: Option<(f64, f64)>,
    /// The number of common seeds, or the fewest of a setting.
    pub(super) seeds: usize,
    pub(super) combination: Combination,
}

impl Estimate {
    /// The contrast of an outcome; none if a cell lacks it.
    pub(super) fn new(contrast: &Contrast<'_>, outcome: Outcome) -> Option<Self> {
        let terms: Vec<(&Cell, f64)> = contrast.terms.iter().filter(|(_, c)| *c != 0.0).copied().collect();
        if let Some(within) = within_seeds(&terms, outcome).filter(|values| values.len() >= FEWEST_SEEDS) {
            let found = Self::of_seeds(within)?;
            return Some(Self { value: found.value - contrast.offset, ..found });
        }
        let strata: Vec<(Summary, f64)> =
            terms.iter().map(|(cell, c)| Some((outcome.summary(cell)?, *c))).collect::<Option<_>>()?;
        let value = strata.iter().map(|(summary, c)| c * summary.mean).sum::<f64>() - contrast.offset;
        let seeds = strata.iter().map(|(summary, _)| summary.runs.unwrap_or(0)).min()?;
        Some(Self { value, error: welch(&strata), seeds, combination: Combination::Stratified })
    }

    /// The mean of one number for each seed; none without any.
    pub(super) fn of_seeds(values: Vec<f64>) -> Option<Self> {
        let Summary { mean, deviation, .. } = Summary::of(values.iter().copied())?;
        let (count, seeds) = (values.len() as f64, values.len());
        let error = deviation.filter(|s| *s > 0.0).map(|s| (s / count.sqrt(), count - 1.0));
        Some(Self { value: mean, error, seeds, combination: Combination::Paired })
    }

    /// The interval that holds the number with probability `1 - alpha`.
    pub(super) fn interval(&self, alpha: f64) -> Option<(f64, f64)> {
        let (error, freedom) = self.error?;
        let half = error * quantile(freedom, 1.0 - alpha / 2.0)?;
        Some((self.value - half, self.value + half))
    }
}

/// Student's t: the number that is exceeded with probability `1 - p`.
pub(super) fn quantile(freedom: f64, p: f64) -> Option<f64> {
    StudentsT::new(0.0, 1.0, freedom).ok().map(|t| t.inverse_cdf(p))
}

/// The contrast within each seed that all cells have; none if seeds are unknown.
fn within_seeds(terms: &[(&Cell, f64)], outcome: Outcome) -> Option<Vec<f64>> {
    let values: Vec<Vec<(u64, f64)>> = terms
        .iter()
        .map(|(cell, _)| outcome.values(cell).into_iter().map(|(seed, value)| Some((seed?, value))).collect())
        .collect::<Option<_>>()?;
    let of_seed = |seed: u64| -> Option<f64> {
        let parts = values.iter().zip(terms).map(|(values, (_, c))| {
            let at = values.iter().find(|(found, _)| *found == seed)?;
            Some(c * at.1)
        });
        parts.sum()
    };
    Some(values.first()?.iter().filter_map(|(seed, _)| of_seed(*seed)).collect())
}

/// The standard error of independent strata, and its degrees of freedom (Welch 1947; Satterthwaite 1946).
fn welch(strata: &[(Summary, f64)]) -> Option<(f64, f64)> {
    let (mut sum, mut squares) = (0.0, 0.0);
    for (Summary { deviation, runs, .. }, c) in strata {
        let runs = runs.filter(|runs| *runs > 1)? as f64;
        let variance = (c * (*deviation)?).powi(2) / runs;
        sum += variance;
        squares += variance * variance / (runs - 1.0);
    }
    (sum > 0.0).then(|| (sum.sqrt(), sum * sum / squares))
}

/// The coefficients of the slope of parallel lines through groups of points, by least squares: `None` where all abscissas of each
/// group are the same.
pub(super) fn slope<'a>(groups: &[Vec<(&'a Cell, f64)>]) -> Option<Vec<(&'a Cell, f64)>> {
    let (mut terms, mut squares) = (Vec::new(), 0.0);
    for points in groups {
        let mean = points.iter().map(|(_, x)| x).sum::<f64>() / points.len() as f64;
        squares += points.iter().map(|(_, x)| (x - mean).powi(2)).sum::<f64>();
        terms.extend(points.iter().map(|(cell, x)| (*cell, x - mean)));
    }
    if squares <= 1e-12 {
        return None;
    }
    terms.iter_mut().for_each(|(_, c)| *c /= squares);
    Some(terms)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::claims::{Observation, Settings};

    fn cell(accuracies: &[(u64, f64)]) -> Cell {
        let run = |(seed, accuracy): &(u64, f64)| Observation {
            seed: Some(*seed),
            test_accuracy: *accuracy,
            lambda_max: None,
            quarters: None,
            numbers: std::collections::BTreeMap::new(),
        };
        Cell {
            settings: Settings::default(),
            train_examples: 1000.0,
            test_examples: 10_000.0,
            runs: accuracies.iter().map(run).collect(),
            published: crate::claims::Published::default(),
        }
    }

    fn difference<'a>(a: &'a Cell, b: &'a Cell) -> Contrast<'a> {
        Contrast { place: String::new(), terms: vec![(b, 1.0), (a, -1.0)], offset: 0.0 }
    }

    #[test]
    fn seeds_in_common_are_paired() {
        // Seeds move both settings alike; the differences are 1, 2 and 3 points.
        let a = cell(&[(0, 0.50), (1, 0.60), (2, 0.70), (7, 0.9)]);
        let b = cell(&[(0, 0.51), (1, 0.62), (2, 0.73)]);
        let found = Estimate::new(&difference(&a, &b), Outcome::TestAccuracy).unwrap();
        assert_eq!((found.combination, found.seeds), (Combination::Paired, 3), "three seeds are in common");
        let (lower, upper) = found.interval(0.05).unwrap();
        // 2 ± 4.302653 / √3
        assert!((found.value - 2.0).abs() < 1e-9, "the mean difference: {found:?}");
        assert!((upper - 4.484_138).abs() < 1e-5 && (lower + 0.484_138).abs() < 1e-5, "[{lower}, {upper}]");
    }

    #[test]
    fn other_seeds_are_strata() {
        let a = cell(&[(0, 0.50), (1, 0.52), (2, 0.54)]);
        let b = cell(&[(3, 0.60), (4, 0.61), (5, 0.62), (6, 0.63)]);
        let found = Estimate::new(&difference(&a, &b), Outcome::TestAccuracy).unwrap();
        assert_eq!((found.combination, found.seeds), (Combination::Stratified, 3), "no seed is in common");
        // Welch's test in R: t.test(c(60, 61, 62, 63), c(50, 52, 54)): df = 3.2424, stderr = √(4/3 + 5/12).
        let (error, freedom) = found.error.unwrap();
        assert!((error - 1.75_f64.sqrt()).abs() < 1e-9, "the standard error: {error}");
        let expected = 1.75_f64.powi(2) / ((4.0_f64 / 3.0).powi(2) / 2.0 + (5.0_f64 / 12.0).powi(2) / 3.0);
        assert!((freedom - expected).abs() < 1e-9, "the degrees of freedom: {freedom}");
    }

    #[test]
    fn runs_that_do_not_vary_say_nothing_of_their_spread() {
        let (a, b) = (cell(&[(0, 0.5), (1, 0.5), (2, 0.5)]), cell(&[(0, 0.6), (1, 0.6), (2, 0.6)]));
        let found = Estimate::new(&difference(&a, &b), Outcome::TestAccuracy).unwrap();
        assert!(found.error.is_none_or(|(error, _)| error > 0.0), "no error of zero: {found:?}");
    }

    #[test]
    fn slopes_are_those_of_least_squares() {
        let cells = [cell(&[]), cell(&[]), cell(&[])];
        let points = |xs: &[f64]| cells.iter().zip(xs).map(|(cell, x)| (cell, *x)).collect::<Vec<_>>();
        let coefficients: Vec<f64> =
            slope(&[points(&[0.0, 1.0, 2.0])]).unwrap().iter().map(|t| t.1).collect();
        assert_eq!(coefficients, [-0.5, 0.0, 0.5], "of a line");
        // Σ (x - x̄)(y - ȳ) / Σ (x - x̄)² over both groups: squares 0.5 + 2.
        let groups = [points(&[0.0, 1.0]), points(&[0.0, 2.0])];
        let coefficients: Vec<f64> = slope(&groups).unwrap().iter().map(|t| t.1).collect();
        assert_eq!(coefficients, [-0.2, 0.2, -0.4, 0.4], "of parallel lines");
        assert!(slope(&[points(&[1.0, 1.0])]).is_none(), "one abscissa has no slope");
    }
}
