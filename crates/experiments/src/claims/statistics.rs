//! Slopes, and confidence intervals by bootstrap over seeds.

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution as _, StandardNormal};

use super::{Cell, Samples};

/// Replicates of a bootstrap.
const REPLICATES: usize = 2000;
/// The share of replicates outside of an interval, on each side: intervals of 95 %.
const TAIL: f64 = 0.025;

/// A cell with means over its seeds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mean<'a> {
    pub(super) cell: &'a Cell,
    pub(super) accuracy: f64,
    /// The mean of the decadic logarithm of λ_max.
    pub(super) log_lambda: f64,
}

/// A statistic of some cells, with its confidence interval of 95 %.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Estimate {
    pub(super) value: f64,
    pub(super) lower: f64,
    pub(super) upper: f64,
    /// The fewest runs of a cell.
    pub(super) runs: usize,
}

/// What is known of one number of a cell: its samples, or a mean with a deviation.
struct Spread {
    mean: f64,
    runs: Vec<f64>,
    deviation: Option<f64>,
    count: usize,
}

impl Spread {
    fn new(samples: &Samples, transform: impl Fn(f64) -> f64, is_log: bool) -> Self {
        match samples {
            Samples::Runs(values) => {
                let runs: Vec<f64> = values.iter().map(|value| transform(*value)).collect();
                let mean = mean(&runs);
                Self { mean, deviation: deviation(&runs), count: runs.len(), runs }
            }
            Samples::Summary { mean, deviation, runs } => {
                // d log₁₀ x = dx / (x ln 10)
                let scale = if is_log { 1.0 / (mean * std::f64::consts::LN_10) } else { 1.0 };
                let deviation = deviation.map(|deviation| deviation * scale).filter(|_| *runs > 1);
                Self { mean: transform(*mean), runs: Vec::new(), deviation, count: *runs }
            }
        }
    }

    /// The mean of a replicate.
    fn draw(&self, pooled: f64, random: &mut ChaCha8Rng) -> f64 {
        let count = self.runs.len();
        if count < 2 {
            let deviation = self.deviation.unwrap_or(pooled);
            let normal: f64 = StandardNormal.sample(random);
            return self.mean + normal * deviation / (self.count.max(1) as f64).sqrt();
        }
        let drawn: f64 = (0..count).map(|_| self.runs[random.random_range(0..count)]).sum();
        // Few values resampled spread less than the mean does: by this factor.
        let factor = (count as f64 / (count - 1) as f64).sqrt();
        self.mean + factor * (drawn / count as f64 - self.mean)
    }
}

/// The statistic of `cells` with its interval; `None` where it is not defined, or nothing is known of how runs spread.
///
/// Replicates draw the seeds of each cell. A cell of one run spreads as the cells with several do on average.
pub(super) fn estimate(cells: &[&Cell], statistic: impl Fn(&[Mean<'_>]) -> Option<f64>) -> Option<Estimate> {
    let accuracy: Vec<Spread> =
        cells.iter().map(|cell| Spread::new(&cell.test_accuracy, |x| x, false)).collect();
    let lambda: Vec<Spread> =
        cells.iter().map(|cell| Spread::new(&cell.lambda_max, f64::log10, true)).collect();
    let means = |accuracies: Vec<f64>, lambdas: Vec<f64>| -> Vec<Mean<'_>> {
        let pairs = cells.iter().zip(accuracies).zip(lambdas);
        pairs.map(|((cell, accuracy), log_lambda)| Mean { cell, accuracy, log_lambda }).collect()
    };
    let of = |spreads: &[Spread]| spreads.iter().map(|spread| spread.mean).collect::<Vec<f64>>();
    let value = statistic(&means(of(&accuracy), of(&lambda))).filter(|value| value.is_finite())?;
    let (pooled_accuracy, pooled_lambda) = (pooled(&accuracy)?, pooled(&lambda)?);
    let mut random = ChaCha8Rng::seed_from_u64(0);
    let mut replicates = Vec::with_capacity(REPLICATES);
    for _ in 0..REPLICATES {
        let accuracies = accuracy.iter().map(|spread| spread.draw(pooled_accuracy, &mut random)).collect();
        let lambdas = lambda.iter().map(|spread| spread.draw(pooled_lambda, &mut random)).collect();
        replicates.extend(statistic(&means(accuracies, lambdas)).filter(|value| value.is_finite()));
    }
    replicates.sort_by(f64::total_cmp);
    let runs = accuracy.iter().chain(&lambda).map(|spread| spread.count).min()?;
    Some(Estimate {
        value,
        lower: quantile(&replicates, TAIL)?,
        upper: quantile(&replicates, 1.0 - TAIL)?,
        runs,
    })
}

/// The deviation of the cells with several runs, as their degrees of freedom weigh them.
fn pooled(spreads: &[Spread]) -> Option<f64> {
    let known =
        spreads.iter().filter_map(|spread| Some((spread.deviation?, (spread.count.max(2) - 1) as f64)));
    let (squares, freedom) = known.fold((0.0, 0.0), |(squares, freedom), (deviation, weight)| {
        (squares + weight * deviation * deviation, freedom + weight)
    });
    (freedom > 0.0).then(|| (squares / freedom).sqrt())
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// The standard deviation of a sample of at least two.
fn deviation(values: &[f64]) -> Option<f64> {
    let center = mean(values);
    let squares: f64 = values.iter().map(|value| (value - center).powi(2)).sum();
    (values.len() > 1).then(|| (squares / (values.len() - 1) as f64).sqrt())
}

/// The value below which a share of the sorted values lies.
pub(super) fn quantile(sorted: &[f64], share: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    let place = share * last as f64;
    let (low, high) = (sorted.get(floor(place))?, sorted.get(floor(place.ceil()))?);
    Some(low + (high - low) * place.fract())
}

#[expect(clippy::cast_possible_truncation, reason = "an index of a sorted list")]
fn floor(place: f64) -> usize {
    place.max(0.0) as usize
}

/// The slope of the line through the points by least squares; `None` where all have one abscissa.
pub(super) fn slope(points: &[(f64, f64)]) -> Option<f64> {
    common_slope(&[points.to_vec()])
}

/// The one slope of parallel lines through several groups of points, by least squares.
pub(super) fn common_slope(groups: &[Vec<(f64, f64)>]) -> Option<f64> {
    let (mut products, mut squares) = (0.0, 0.0);
    for points in groups {
        let count = points.len() as f64;
        let x = points.iter().map(|point| point.0).sum::<f64>() / count;
        let y = points.iter().map(|point| point.1).sum::<f64>() / count;
        products += points.iter().map(|point| (point.0 - x) * (point.1 - y)).sum::<f64>();
        squares += points.iter().map(|point| (point.0 - x).powi(2)).sum::<f64>();
    }
    (squares > 0.0).then(|| products / squares)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(learning_rate: f64, accuracies: &[f64]) -> Cell {
        Cell {
            network: "mlp".to_owned(),
            data: "digits".to_owned(),
            learning_rate,
            edge: None,
            batch_size: 100.0,
            train_examples: 1000.0,
            test_examples: 10_000.0,
            rho: 0.0,
            dropout: 0.0,
            test_accuracy: Samples::Runs(accuracies.to_vec()),
            lambda_max: Samples::Summary { mean: 10.0, deviation: Some(1.0), runs: 4 },
            lambda_max_in_training: Samples::Runs(Vec::new()),
        }
    }

    #[test]
    fn slopes_are_those_of_least_squares() {
        assert_eq!(slope(&[(0.0, 1.0), (1.0, 3.0), (2.0, 5.0)]), Some(2.0), "points on a line");
        assert_eq!(slope(&[(1.0, 1.0), (1.0, 2.0)]), None, "one abscissa has no slope");
        let groups = [vec![(0.0, 0.0), (1.0, 1.0)], vec![(0.0, 100.0), (2.0, 106.0)]];
        // Σ (x - x̄)(y - ȳ) / Σ (x - x̄)² = (0.5 + 6) / (0.5 + 2)
        assert_eq!(common_slope(&groups), Some(2.6), "parallel lines");
    }

    #[test]
    fn intervals_cover_the_mean_as_often_as_they_say() {
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let (trials, mut covered) = (300, 0);
        for _ in 0..trials {
            let values: Vec<f64> =
                (0..8).map(|_| 0.7 + 0.01 * random.sample::<f64, _>(StandardNormal)).collect();
            let cell = cell(0.1, &values);
            let found = estimate(&[&cell], |means| Some(means[0].accuracy)).unwrap();
            covered += u32::from((found.lower..=found.upper).contains(&0.7));
        }
        // Eight values give somewhat short intervals: about 92 %, not 95.
        assert!((260..=297).contains(&covered), "{covered} of {trials} intervals hold the mean");
    }

    #[test]
    fn single_runs_spread_as_others_do_and_nothing_is_known_of_them_alone() {
        let (many, one) = (cell(0.1, &[0.70, 0.72, 0.74]), cell(0.2, &[0.75]));
        let difference = |means: &[Mean<'_>]| Some(means[1].accuracy - means[0].accuracy);
        let found = estimate(&[&many, &one], difference).unwrap();
        assert!(
            (found.value - 0.03).abs() < 1e-12 && found.runs == 1,
            "the difference of the means: {found:?}"
        );
        // The standard error is 0.02 √(1 + 1/3); its 95 % interval is ± 0.045.
        assert!((found.upper - found.lower - 0.09).abs() < 0.01, "the width of the interval: {found:?}");
        assert_eq!(estimate(&[&one], |means| Some(means[0].accuracy)), None, "one run has no spread");
    }
}
