//! The residuals `r = ∂loss/∂z` of which Fisher matrices are made: `F = 1/N Σ Jᵀ r rᵀ J` over the examples (Kunstner, Balles, Hennig 2019,
//! *Limitations of the empirical Fisher approximation*, equations 3 and 4).

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use rand_distr::{Distribution, StandardNormal};

use crate::backend::Loss;

/// One residual per example at labels drawn from the model's own distribution: softmax for cross-entropy, a unit Gaussian around the
/// outputs for squared error. `outputs` and the result are `[examples, classes]`.
///
/// A draw depends on the seed, the example's number and its outputs alone, so chunks do not change it.
pub(crate) fn sampled_residuals(
    loss: Loss,
    classes: usize,
    outputs: &[f64],
    numbers: &[u32],
    seed: u64,
) -> Vec<f64> {
    let mut residuals = Vec::with_capacity(outputs.len());
    for (z, number) in outputs.chunks_exact(classes).zip(numbers) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(u64::from(*number));
        match loss {
            Loss::SoftmaxCrossEntropy => {
                let p = softmax(z);
                let label = draw(&p, &mut rng);
                let residual = p.iter().enumerate().map(|(k, p)| if k == label { p - 1.0 } else { *p });
                residuals.extend(residual);
            }
            Loss::SquaredError => {
                residuals.extend(z.iter().map(|_| -> f64 { StandardNormal.sample(&mut rng) }));
            }
        }
    }
    residuals
}

fn softmax(z: &[f64]) -> Vec<f64> {
    let max = z.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let exponentials: Vec<f64> = z.iter().map(|z| (z - max).exp()).collect();
    let sum: f64 = exponentials.iter().sum();
    exponentials.iter().map(|e| e / sum).collect()
}

/// A class with the probabilities `p`.
fn draw(p: &[f64], rng: &mut ChaCha8Rng) -> usize {
    // 53 random bits: a uniform number in [0, 1).
    let uniform = (rng.next_u64() >> 11) as f64 / (1_u64 << 53) as f64;
    let mut below = 0.0;
    let past = p.iter().position(|p| {
        below += p;
        uniform < below
    });
    // Rounding may leave the sum below 1.
    past.unwrap_or(p.len() - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sampled_residuals_have_the_loss_hessian_as_their_covariance() {
        let (z, classes, count) = ([0.3, -1.0, 1.2], 3, 40_000_u32);
        let numbers: Vec<u32> = (0..count).collect();
        let outputs: Vec<f64> = numbers.iter().flat_map(|_| z).collect();
        let p = softmax(&z);
        for loss in [Loss::SoftmaxCrossEntropy, Loss::SquaredError] {
            let residuals = sampled_residuals(loss, classes, &outputs, &numbers, 5);
            for (a, b) in [(0, 0), (0, 1), (1, 2), (2, 2)] {
                let products = residuals.chunks(classes).map(|r| r[a] * r[b]);
                let mean = products.sum::<f64>() / f64::from(count);
                let diagonal = if a == b { 1.0 } else { 0.0 };
                let want = match loss {
                    Loss::SoftmaxCrossEntropy => p[a] * (diagonal - p[b]),
                    Loss::SquaredError => diagonal,
                };
                // Five standard errors of a mean of products of at most unit scale.
                assert!(
                    (mean - want).abs() < 5.0 * 2.0 / f64::from(count).sqrt(),
                    "{loss:?}: {mean}, not {want}"
                );
            }
        }
    }

    #[test]
    fn draws_do_not_depend_on_the_chunk() {
        let z: Vec<f64> = (0..12).map(f64::from).map(f64::sin).collect();
        let both = sampled_residuals(Loss::SoftmaxCrossEntropy, 3, &z, &[4, 9, 2, 7], 1);
        let second = sampled_residuals(Loss::SoftmaxCrossEntropy, 3, &z[6..], &[2, 7], 1);
        assert_eq!(both[6..], second);
    }
}
