//! Predicts a quantity of a run, such as its epochs, from the same quantity of similar runs: a regression of its
//! logarithm with random effects of the network, of the settings and of the run. Uncertain values are drawn: a world is
//! one possible value for every setting, consistent with all that is known.

use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution as _, StandardNormal};

/// Standard deviations of the logarithm: between networks, along each setting, between settings, and between runs of one setting.
const GROUP: f64 = 0.5;
const SLOPE: f64 = 0.2;
const SETTING: f64 = 0.15;
const NOISE: f64 = 0.2;
/// The samples that these count as, when the scatter of the known ones is compared with them.
const WEIGHT: f64 = 3.0;

/// The place of a run among others.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// Runs of one group have the same network, data and kind of training.
    pub(super) group: usize,
    /// The settings that vary within a group, as logarithms.
    pub(super) at: [f64; 5],
}

/// A known value.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sample {
    /// The number of its place.
    pub(super) place: usize,
    /// The logarithm.
    pub(super) value: f64,
    /// Its error on top of the scatter of runs, as a standard deviation.
    pub(super) error: f64,
}

/// The prior: the mean of the logarithm, and its standard deviation.
#[derive(Clone, Copy, Debug)]
pub(super) struct Prior {
    pub(super) mean: f64,
    pub(super) deviation: f64,
}

/// A regression on some samples.
pub(super) struct Regression<'a> {
    places: &'a [Place],
    samples: &'a [Sample],
    prior: Prior,
    /// The lower factor of the covariance of the samples (Cholesky), by rows.
    factor: Vec<Vec<f64>>,
    /// The factor by which the samples scatter more than expected.
    scale: f64,
}

impl<'a> Regression<'a> {
    pub(super) fn new(places: &'a [Place], samples: &'a [Sample], prior: Prior) -> Self {
        let mut factor: Vec<Vec<f64>> = Vec::with_capacity(samples.len());
        for (i, sample) in samples.iter().enumerate() {
            let mut row: Vec<f64> = Vec::with_capacity(i + 1);
            for (j, other) in samples[..=i].iter().enumerate() {
                let below = factor.get(j).unwrap_or(&row);
                let known: f64 = row.iter().zip(below).take(j).map(|(a, b)| a * b).sum();
                let rest = covariance(places, sample.place, other.place, prior) - known;
                row.push(if i == j {
                    (rest + NOISE.powi(2) + sample.error.powi(2)).sqrt()
                } else {
                    rest / factor[j][j]
                });
            }
            factor.push(row);
        }
        let mut regression = Self { places, samples, prior, factor, scale: 1.0 };
        let residuals = samples.iter().map(|sample| sample.value - prior.mean).collect();
        let misfit: f64 = regression.whitened(residuals).iter().map(|x| x * x).sum();
        regression.scale = ((WEIGHT + misfit) / (WEIGHT + samples.len() as f64)).sqrt();
        regression
    }

    /// The scatter of runs of one setting, as a standard deviation.
    pub(super) fn noise(&self) -> f64 {
        self.scale * NOISE
    }

    /// The logarithm at the `wanted` places in one world (Matheron's rule: a draw from the prior, corrected by its
    /// distance from the samples); 0 elsewhere.
    pub(super) fn draw(&self, wanted: &[bool], random: &mut ChaCha8Rng) -> Vec<f64> {
        let mut normal = |deviation: f64| self.scale * deviation * normal(random);
        let shared = normal(self.prior.deviation);
        let groups = self.places.iter().map(|place| place.group + 1).max().unwrap_or(0);
        let groups: Vec<(f64, [f64; 5])> =
            (0..groups).map(|_| (normal(GROUP), [(); 5].map(|()| normal(SLOPE)))).collect();
        let before: Vec<f64> = self
            .places
            .iter()
            .map(|place| {
                let (own, slopes) = &groups[place.group];
                let along: f64 = slopes.iter().zip(&place.at).map(|(slope, at)| slope * at).sum();
                self.prior.mean + shared + own + along + normal(SETTING)
            })
            .collect();
        let error = |sample: &Sample| (NOISE.powi(2) + sample.error.powi(2)).sqrt();
        let off = self.samples.iter().map(|s| s.value - before[s.place] - normal(error(s))).collect();
        let weights = self.solved(self.whitened(off));
        let at = |place: usize| {
            let known = self.samples.iter().zip(&weights);
            let correction: f64 =
                known.map(|(s, weight)| covariance(self.places, place, s.place, self.prior) * weight).sum();
            before[place] + correction
        };
        wanted.iter().enumerate().map(|(place, wanted)| if *wanted { at(place) } else { 0.0 }).collect()
    }

    /// Solves with the factor.
    fn whitened(&self, mut values: Vec<f64>) -> Vec<f64> {
        for (i, row) in self.factor.iter().enumerate() {
            let known: f64 = row[..i].iter().zip(&values).map(|(a, x)| a * x).sum();
            values[i] = (values[i] - known) / row[i];
        }
        values
    }

    /// Solves with the transposed factor.
    fn solved(&self, mut values: Vec<f64>) -> Vec<f64> {
        for (i, row) in self.factor.iter().enumerate().rev() {
            values[i] /= row[i];
            let value = values[i];
            values.iter_mut().zip(&row[..i]).for_each(|(x, a)| *x -= a * value);
        }
        values
    }
}

/// A draw from the standard normal distribution.
pub(super) fn normal(random: &mut ChaCha8Rng) -> f64 {
    StandardNormal.sample(random)
}

fn covariance(places: &[Place], a: usize, b: usize, prior: Prior) -> f64 {
    let (first, second) = (&places[a], &places[b]);
    let mut sum = prior.deviation.powi(2);
    if first.group == second.group {
        let along: f64 = first.at.iter().zip(&second.at).map(|(x, y)| x * y).sum();
        sum += GROUP.powi(2) + SLOPE.powi(2) * along;
    }
    if a == b {
        sum += SETTING.powi(2);
    }
    sum
}
