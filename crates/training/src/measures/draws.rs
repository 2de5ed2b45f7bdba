//! Random directions, random groups of the measured examples, and the mean of what they give. Every draw has a random stream of its
//! own, so that it depends on the seed alone.

use rand::SeedableRng as _;
use rand::seq::SliceRandom as _;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution as _, StandardNormal, Uniform};
use sharpness_network::backend::Backend;

use super::problem::Problem;

/// The streams of each kind of draw; the lower half numbers the draws.
const NORMAL: u64 = 0x6e6f_726d_0000_0000;
const UNIFORM: u64 = 0x756e_6966_0000_0000;
const GROUPS: u64 = 0x6772_6f75_0000_0000;

fn stream(seed: u64, kind: u64, draw: u32) -> ChaCha8Rng {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    random.set_stream(kind | u64::from(draw));
    random
}

/// Overwrites `noise` with independent numbers from the standard normal distribution.
pub(super) fn normal(seed: u64, draw: u32, noise: &mut [f64]) {
    let mut random = stream(seed, NORMAL, draw);
    noise.iter_mut().for_each(|x| *x = StandardNormal.sample(&mut random));
}

/// Overwrites `noise` with independent numbers from the uniform distribution on [-1, 1].
pub(super) fn uniform(seed: u64, draw: u32, noise: &mut [f64]) {
    let mut random = stream(seed, UNIFORM, draw);
    match Uniform::new_inclusive(-1.0, 1.0) {
        Ok(uniform) => noise.iter_mut().for_each(|x| *x = uniform.sample(&mut random)),
        Err(_) => noise.fill(0.0),
    }
}

/// Up to `most` disjoint groups of `size` measured examples, at random; one group of all of them if there are fewer.
pub(super) fn groups<B: Backend>(problem: &Problem<'_, B>, size: usize, most: usize) -> Vec<Vec<u32>> {
    let mut numbers = problem.numbers().to_vec();
    let size = size.clamp(1, numbers.len());
    numbers.shuffle(&mut stream(problem.subject().seed, GROUPS, 0));
    numbers.chunks_exact(size).take(most.max(1)).map(<[u32]>::to_vec).collect()
}

/// The mean of independent samples and its standard error. Unset if a sample is no finite number; the error also if there is but one
/// sample.
pub(super) fn mean(samples: &[f64]) -> (Option<f64>, Option<f64>) {
    let count = samples.len() as f64;
    let mean = samples.iter().sum::<f64>() / count;
    let squares: f64 = samples.iter().map(|sample| (sample - mean).powi(2)).sum();
    let error = (squares / (count - 1.0) / count).sqrt();
    (Some(mean).filter(|mean| mean.is_finite()), Some(error).filter(|error| error.is_finite()))
}
