//! The robust sign-error of a predictor (Dziugaite et al. 2020).

use serde::Serialize;

use super::predictors::Point;

/// The least total weight of the pairs of runs of an environment (Dziugaite et al. 2020, section 5).
const EFFECTIVE_PAIRS: f64 = 12.0;
/// Errors that differ by less are equal.
const SAME: f64 = 1e-12;
/// The most environments to name.
const MOST_NAMED: usize = 5;

/// How often a predictor and its target disagree on which of two settings is better, over environments: pairs of settings that
/// differ in one hyperparameter (Dziugaite et al. 2020, section 4).
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SignError {
    /// The largest: the error that a robust predictor bounds.
    pub max: f64,
    /// The 90th percentile over the environments.
    pub percentile_90: f64,
    /// The mean.
    pub mean: f64,
    /// Environments whose runs differ by more than the size of the test set explains.
    pub environments: usize,
    /// The environments with the largest error, at most five: `dropout 0 or 0.1, at batch_size=100`.
    pub worst: Vec<String>,
    /// The number of environments with the largest error.
    pub worst_environments: usize,
}

impl SignError {
    /// Of the errors of environments with their names; none without any.
    pub(super) fn new(named: Vec<(f64, String)>) -> Option<Self> {
        let mut errors: Vec<f64> = named.iter().map(|(error, _)| *error).collect();
        errors.sort_by(f64::total_cmp);
        let max = *errors.last()?;
        let worst: Vec<String> =
            named.into_iter().filter(|(error, _)| max - error <= SAME).map(|(_, name)| name).collect();
        Some(Self {
            max,
            percentile_90: quantile(&errors, 0.9)?,
            mean: errors.iter().sum::<f64>() / errors.len() as f64,
            environments: errors.len(),
            worst_environments: worst.len(),
            worst: worst.into_iter().take(MOST_NAMED).collect(),
        })
    }
}

/// The weighted sign-error over all pairs of runs of two settings, if enough of them differ for certain on `count` test examples. A
/// tie in the predictor costs a half.
pub(super) fn environment(a: &[Point], b: &[Point], count: f64) -> Option<f64> {
    let (mut weights, mut squares, mut sum) = (0.0, 0.0, 0.0);
    for (x, y) in a.iter().flat_map(|x| b.iter().map(move |y| (*x, *y))) {
        let weight = weight(x.target - y.target, count);
        weights += weight;
        squares += weight * weight;
        sum += weight * (1.0 - x.agreement(y)) / 2.0;
    }
    (weights > 0.0 && weights * weights / squares >= EFFECTIVE_PAIRS).then(|| sum / weights)
}

/// The value below which a share of the sorted values lies, by linear interpolation.
fn quantile(sorted: &[f64], share: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    let place = share * last as f64;
    let (low, high) = (sorted.get(floor(place))?, sorted.get(floor(place.ceil()))?);
    Some(low + (high - low) * place.fract())
}

#[expect(clippy::cast_possible_truncation, reason = "an index of a sorted list")]
fn floor(place: f64) -> usize {
    place.max(0.0) as usize
}

/// How certain it is that two errors on `count` test examples differ (Hoeffding's inequality for both), beyond one half. The same
/// holds for generalization gaps: the training set is all that the training error is about.
fn weight(difference: f64, count: f64) -> f64 {
    let certain = 1.0 - 2.0 * (-2.0 * count * (difference / 2.0).powi(2)).exp();
    (certain.max(0.0).powi(2) - 0.5).max(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn environments_need_runs_that_differ_for_certain() {
        let points = |predictors: [f64; 4], accuracies: [f64; 4]| {
            let point = |(predictor, accuracy)| Point { predictor, target: 1.0 - accuracy };
            predictors.into_iter().zip(accuracies).map(point).collect::<Vec<Point>>()
        };
        let (flat, sharp) = ([1.0, 1.1, 1.2, 1.3], [5.0, 5.1, 5.2, 5.3]);
        let (good, bad) = ([0.90, 0.901, 0.902, 0.903], [0.80, 0.801, 0.802, 0.803]);
        let of = |a: &[Point], b: &[Point]| environment(a, b, 10_000.0);
        let right = of(&points(flat, good), &points(sharp, bad)).unwrap();
        let wrong = of(&points(sharp, good), &points(flat, bad)).unwrap();
        let tied = of(&points([1.0; 4], good), &points([1.0; 4], bad)).unwrap();
        assert!(right < 1e-12 && (wrong - 1.0).abs() < 1e-12, "never and always wrong: {right}, {wrong}");
        assert!((tied - 0.5).abs() < 1e-12, "a tie is a coin: {tied}");
        let same = of(&points(flat, good), &points(sharp, good));
        assert_eq!(same, None, "differences below what 10,000 test examples resolve do not count");
        // The smallest difference that weighs anything: 2 exp(-n Δ²/2) = 1 - 1/√2.
        assert!(weight(0.0197, 10_000.0) > 0.0 && weight(0.0196, 10_000.0) <= 0.0, "at 0.01960");
    }

    #[test]
    fn the_worst_environments_are_named() {
        let errors = [(0.5, "a"), (1.0, "b"), (0.0, "c"), (1.0, "d")];
        let found = SignError::new(errors.map(|(error, name)| (error, name.to_owned())).to_vec()).unwrap();
        assert_eq!(
            (found.worst.as_slice(), found.worst_environments),
            (&["b".to_owned(), "d".to_owned()][..], 2)
        );
        assert!((found.mean - 0.625).abs() < 1e-12 && (found.percentile_90 - 1.0).abs() < 1e-12, "{found:?}");
        assert_eq!(SignError::new(Vec::new()), None, "no environment is known well enough");
    }
}
