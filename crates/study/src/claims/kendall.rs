//! Kendall's τ and its interval over settings.

use super::judge::ALPHA;
use super::predictors::Point;
use super::statistics::quantile;

/// Kendall's τ: the mean agreement of all pairs of points; none of less than two points.
///
/// A pair that is tied in either number counts 0 (Jiang et al. 2020, equation 2).
pub(super) fn tau(points: &[Point]) -> Option<f64> {
    let count = points.len() as f64;
    let pairs = points.iter().enumerate().flat_map(|(i, a)| points[..i].iter().map(move |b| a.agreement(*b)));
    (points.len() > 1).then(|| pairs.sum::<f64>() / (count * (count - 1.0) / 2.0))
}

/// An interval of 95 % for the τ of the population that the settings are a sample of, clipped to [-1, 1]; none if they tell no spread.
///
/// The variance is that of Samara and Randles 1988, as in Hollander, Wolfe and Chicken 2014 (8.37): with the sums `C_i` of the
/// agreements of point `i` with the others, `2 / (n (n - 1)) · (2 (n - 2) / (n (n - 1)²) Σ (C_i - C̄)² + 1 - τ²)`. Quantiles are
/// Student's with `n - 2` degrees of freedom in place of normal ones, so that intervals of few settings cover too.
pub(super) fn interval_over_settings(points: &[Point]) -> Option<(f64, f64)> {
    let tau = tau(points)?;
    let count = points.len() as f64;
    let sum = |a: &Point| points.iter().map(|b| a.agreement(*b)).sum::<f64>();
    let sums: Vec<f64> = points.iter().map(sum).collect();
    let mean = sums.iter().sum::<f64>() / count;
    let squares: f64 = sums.iter().map(|sum| (sum - mean).powi(2)).sum();
    let between = 2.0 * (count - 2.0) / (count * (count - 1.0).powi(2)) * squares;
    let variance = 2.0 / (count * (count - 1.0)) * (between + 1.0 - tau * tau);
    if variance <= 1e-12 || points.len() < 3 {
        return None;
    }
    let half = quantile(count - 2.0, 1.0 - ALPHA / 2.0)? * variance.sqrt();
    Some(((tau - half).max(-1.0), (tau + half).min(1.0)))
}

#[cfg(test)]
mod tests {
    use rand::{RngExt as _, SeedableRng as _};
    use rand_chacha::ChaCha8Rng;
    use rand_distr::StandardNormal;

    use super::*;

    #[test]
    fn tau_counts_pairs() {
        let point = |predictor, target| Point { predictor, target };
        let points = [point(1.0, 0.1), point(2.0, 0.2), point(3.0, 0.15)];
        // Two of three pairs agree.
        let found = tau(&points).unwrap();
        assert!((found - 1.0 / 3.0).abs() < 1e-12, "τ = (2 - 1) / 3, not {found}");
        assert_eq!(tau(&points[..1]), None, "one point has no pair");
    }

    #[test]
    fn intervals_over_settings_cover() {
        let mut random = ChaCha8Rng::seed_from_u64(1);
        for (count, correlation) in [(8, 0.0_f64), (8, 0.6), (14, 0.6), (30, 0.9)] {
            // Of a bivariate normal distribution (Kendall and Gibbons 1990, section 9.3).
            let truth = correlation.asin() * std::f64::consts::FRAC_2_PI;
            let mut draw = || {
                let [x, noise]: [f64; 2] = std::array::from_fn(|_| random.sample(StandardNormal));
                Point {
                    predictor: x,
                    target: correlation * x + (1.0 - correlation * correlation).sqrt() * noise,
                }
            };
            let stores = 2000;
            let covered = (0..stores).filter(|_| {
                let points: Vec<Point> = (0..count).map(|_| draw()).collect();
                interval_over_settings(&points).is_some_and(|(low, high)| low <= truth && truth <= high)
            });
            let share = covered.count() as f64 / f64::from(stores);
            assert!(share > 0.92, "{count} settings, correlation {correlation}: {share} of intervals cover");
        }
    }
}
