//! Average-case adaptive sharpness, PAC-Bayes flatness and the local volume against direct Monte Carlo.

use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution as _, StandardNormal};
use sharpness_training::measures::{AdaptiveAverage, LocalVolume, PacBayes};

use crate::moved_weights::{Moved, along, assert_close, dot, networks, norm};

/// Independent draws of noise that no measure has.
fn noise(moved: &Moved, count: usize) -> Vec<Vec<f64>> {
    let mut random = ChaCha8Rng::seed_from_u64(17);
    let dim = moved.weights().parameters.len();
    (0..count).map(|_| (0..dim).map(|_| StandardNormal.sample(&mut random)).collect()).collect()
}

/// `w + ρ |w| ⊙ ξ`.
fn relative(w: &[f64], rho: f64, noise: &[f64]) -> Vec<f64> {
    w.iter().zip(noise).map(|(w, x)| w + rho * w.abs() * x).collect()
}

#[test]
fn the_average_case_is_half_the_trace_of_the_scaled_hessian_for_small_radii() {
    for moved in networks() {
        let parameters = &moved.weights().parameters;
        let loss = moved.loss(parameters);
        let diagonal =
            moved.hessian().into_iter().zip(parameters).enumerate().map(|(i, (row, w))| row[i] * w * w);
        let trace: f64 = diagonal.sum();
        let noise = noise(&moved, 1000);
        // Of pairs of opposite noise, in which the first order cancels.
        let even = |rho: f64| {
            let one = |x: &Vec<f64>| {
                0.5 * (moved.loss(&relative(parameters, rho, x)) + moved.loss(&relative(parameters, -rho, x)))
                    - loss
            };
            mean_and_error(&noise.iter().map(one).collect::<Vec<_>>())
        };
        // Max pooling has kinks, which add to the curvature from some radius on.
        let (small, small_error) = even(3e-6);
        let expected = 0.5 * 9e-12 * trace;
        assert_close("half the trace", small, expected, 4.0 * small_error + 0.02 * expected);
        let (rho, settings) = (0.02, "{ draws = 2000, l2 = [0.02], linf = [0.02], batch_size = 60 }");
        let found = moved.outcome::<AdaptiveAverage>(settings);
        let (value, error) = (found.l2[0].value.unwrap(), found.l2[0].standard_error.unwrap());
        let (of_pairs, pair_error) = even(rho);
        assert_close("as of pairs", value, of_pairs, 4.0 * error.hypot(pair_error));
        assert!(error < 0.1 * value && pair_error < 0.1 * value, "the test has power: {error} of {value}");
        // Uniform noise has a third of the variance.
        let (third, third_error) = (found.linf[0].value.unwrap(), found.linf[0].standard_error.unwrap());
        assert_close("a third", 3.0 * third, value, 4.0 * error.hypot(3.0 * third_error) + 0.1 * value);
    }
}

/// The mean and its standard error.
fn mean_and_error(samples: &[f64]) -> (f64, f64) {
    let count = samples.len() as f64;
    let mean = samples.iter().sum::<f64>() / count;
    let squares: f64 = samples.iter().map(|x| (x - mean).powi(2)).sum();
    (mean, (squares / (count - 1.0) / count).sqrt())
}

#[test]
fn the_average_case_is_that_of_other_draws() {
    for moved in networks() {
        let parameters = &moved.weights().parameters;
        let loss = moved.loss(parameters);
        let found = moved.outcome::<AdaptiveAverage>("{ draws = 300, l2 = [0.4, 0.2], batch_size = 60 }");
        let noise = noise(&moved, 300);
        for point in &found.l2 {
            let rises: Vec<f64> =
                noise.iter().map(|x| moved.loss(&relative(parameters, point.rho, x)) - loss).collect();
            let (mean, error) = mean_and_error(&rises);
            let (value, own_error) = (point.value.unwrap(), point.standard_error.unwrap());
            assert_close("mean", value, mean, 4.0 * error.hypot(own_error));
            assert_close("standard error", own_error, error, 0.3 * error);
        }
        let [small, large] = [&found.l2[0], &found.l2[1]];
        assert!(small.rho < large.rho && small.value < large.value, "ascending: {found:?}");
        assert_eq!((found.l2_smallest_rho, found.l2_largest_rho), (small.value, large.value), "the ends");
    }
}

#[test]
fn the_deviation_of_pac_bayes_costs_the_accuracy_on_average_over_other_draws() {
    for moved in networks() {
        let parameters = &moved.weights().parameters;
        let accuracy = moved.value(parameters, None).correct;
        assert!(accuracy > 0.7, "trained: {accuracy}");
        let found = moved.outcome::<PacBayes>("{ draws = 60, epsilon = 1e-3 }");
        let noise = noise(&moved, 300);
        let drop = |deviation: &dyn Fn(f64) -> f64| {
            let moved_by = |x: &Vec<f64>| -> Vec<f64> {
                parameters.iter().zip(x).map(|(w, x)| w + deviation(*w) * x).collect()
            };
            let drops: Vec<f64> =
                noise.iter().map(|x| accuracy - moved.value(&moved_by(x), None).correct).collect();
            drops.iter().sum::<f64>() / drops.len() as f64
        };
        let [low, high] = found.sigma_interval.unwrap();
        let sigma = found.sigma.unwrap();
        assert!(low < sigma && sigma < high && high < 2.0 * low, "{found:?}");
        assert!(drop(&|_| 0.9 * low) < 0.1 && drop(&|_| 1.1 * high) > 0.1, "{found:?}");
        assert_close("drop", drop(&|_| sigma), 0.1, 0.03);
        assert_close("sharpness", found.value.unwrap(), sigma.powi(-2), 1e-9 * sigma.powi(-2));
        let sigma = found.magnitude_sigma.unwrap();
        assert_close("drop relative to the weights", drop(&|w| (sigma * w).hypot(1e-3)), 0.1, 0.03);
        assert_close("sharpness", found.magnitude_value.unwrap(), sigma.powi(-2), 1e-9 * sigma.powi(-2));
    }
}

#[test]
fn a_drop_that_no_noise_can_cost_has_no_deviation() {
    let [moved, _] = networks();
    let found = moved.outcome::<PacBayes>("{ draws = 2, drop = 0.99999 }");
    assert_eq!((found.sigma, found.value, found.magnitude_value), (None, None, None), "{found:?}");
}

#[test]
fn the_local_volume_is_that_of_the_radii() {
    for moved in networks() {
        let parameters = &moved.weights().parameters;
        let (n, loss) = (parameters.len() as f64, moved.loss(parameters));
        let found = moved.outcome::<LocalVolume>("{ directions = 8, cutoff = 0.02 }");
        // The same directions, by the documented streams.
        let radius = |draw: u64| {
            let mut random = ChaCha8Rng::seed_from_u64(0);
            random.set_stream(0x6e6f_726d_0000_0000 | draw);
            let direction: Vec<f64> = parameters.iter().map(|_| StandardNormal.sample(&mut random)).collect();
            let length = norm(&direction);
            // Newton's method from far outside would leave the basin; a scan does not.
            let rise = |r: f64| moved.loss(&along(parameters, r / length, &direction)) - loss;
            let first = (1..).map(|i| 0.01 * f64::from(i)).find(|r| rise(*r) > 0.02).unwrap();
            let (mut below, mut above) = (first - 0.01, first);
            for _ in 0..40 {
                let middle = 0.5 * (below + above);
                if rise(middle) > 0.02 { above = middle } else { below = middle }
            }
            above
        };
        let radii: Vec<f64> = (0..8).map(radius).collect();
        // Stirling's series of ln Γ(n/2 + 1).
        let x = 0.5 * n + 1.0;
        let gamma = (x - 0.5) * x.ln() - x + 0.5 * std::f64::consts::TAU.ln() + 1.0 / (12.0 * x)
            - 1.0 / (360.0 * x.powi(3));
        let ball = 0.5 * n * std::f64::consts::PI.ln() - gamma;
        let largest = radii.iter().copied().fold(0.0, f64::max);
        let powers: Vec<f64> = radii.iter().map(|r| (r / largest).powf(n)).collect();
        let mean = powers.iter().sum::<f64>() / 8.0;
        let value = -(ball + n * largest.ln() + mean.ln());
        assert_close("value", found.value.unwrap(), value, 1e-3 * n);
        let logs: Vec<f64> = radii.iter().map(|r| r.ln()).collect();
        let log = logs.iter().sum::<f64>() / 8.0;
        let variance = logs.iter().map(|l| (l - log).powi(2)).sum::<f64>() / 7.0;
        assert_close("typical", found.typical.unwrap(), -(ball + n * log), 1e-3 * n);
        assert_close(
            "its error",
            found.typical_standard_error.unwrap(),
            n * (variance / 8.0).sqrt(),
            1e-3 * n,
        );
        let effective = powers.iter().sum::<f64>().powi(2) / dot(&powers, &powers);
        assert!((0.5..2.0).contains(&(found.effective_directions.unwrap() / effective)), "{found:?}");
        assert!(found.value <= found.typical, "the mean of powers is above that of logarithms: {found:?}");
        let wider = moved.outcome::<LocalVolume>("{ directions = 8, cutoff = 0.04 }");
        assert!(wider.value < found.value, "a larger neighbourhood: {wider:?}, {found:?}");
    }
}
