//! Losses, example by example.

use super::Reference;
use crate::{Loss, Losses};

fn softmax(z: &[f64]) -> Vec<f64> {
    let max = z.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = z.iter().map(|z| (z - max).exp()).sum();
    z.iter().map(|z| (z - max).exp() / sum).collect()
}

const fn target(k: usize, label: usize) -> f64 {
    if k == label { 1.0 } else { 0.0 }
}

/// The loss, and 1 if the first largest output is the label's.
fn example(loss: Loss, z: &[f64], label: usize) -> [f64; 2] {
    if z.iter().any(|z| !z.is_finite()) {
        return [f64::NAN, 0.0];
    }
    let max = z.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let value = match loss {
        Loss::SoftmaxCrossEntropy => max + z.iter().map(|z| (z - max).exp()).sum::<f64>().ln() - z[label],
        Loss::SquaredError => z.iter().enumerate().map(|(k, z)| 0.5 * (z - target(k, label)).powi(2)).sum(),
    };
    let first = z.iter().position(|z| *z >= max);
    [value, if first == Some(label) { 1.0 } else { 0.0 }]
}

impl Losses for Reference {
    fn loss_value(
        &self,
        loss: Loss,
        classes: usize,
        n: usize,
        z: &Vec<f64>,
        labels: &Vec<u32>,
        sums: &mut Vec<f64>,
    ) {
        for (z, label) in z.chunks(classes).zip(labels).take(n) {
            let [value, correct] = example(loss, z, *label as usize);
            sums[0] += value;
            sums[1] += correct;
        }
    }

    fn loss_gradient(
        &self,
        loss: Loss,
        classes: usize,
        n: usize,
        z: &Vec<f64>,
        labels: &Vec<u32>,
        scale: f64,
        sums: &mut Vec<f64>,
        dz: &mut Vec<f64>,
    ) {
        self.loss_value(loss, classes, n, z, labels, sums);
        for (i, (z, label)) in z.chunks(classes).zip(labels).take(n).enumerate() {
            let p = match loss {
                Loss::SoftmaxCrossEntropy => softmax(z),
                Loss::SquaredError => z.to_vec(),
            };
            for k in 0..classes {
                dz[i * classes + k] = scale * (p[k] - target(k, *label as usize));
            }
        }
    }

    fn loss_hessian_product(
        &self,
        loss: Loss,
        classes: usize,
        n: usize,
        z: &Vec<f64>,
        _: &Vec<u32>,
        scale: f64,
        v: &Vec<f64>,
        out: &mut Vec<f64>,
    ) {
        for (i, z) in z.chunks(classes).take(n).enumerate() {
            let (p, v) = (softmax(z), &v[i * classes..][..classes]);
            let mean: f64 = p.iter().zip(v).map(|(p, v)| p * v).sum();
            for k in 0..classes {
                out[i * classes + k] = match loss {
                    Loss::SoftmaxCrossEntropy => scale * p[k] * (v[k] - mean),
                    Loss::SquaredError => scale * v[k],
                };
            }
        }
    }

    fn rank_one_product(
        &self,
        classes: usize,
        n: usize,
        r: &Vec<f64>,
        scale: f64,
        v: &Vec<f64>,
        out: &mut Vec<f64>,
    ) {
        for (i, r) in r.chunks(classes).take(n).enumerate() {
            let along: f64 = r.iter().zip(&v[i * classes..]).map(|(r, v)| r * v).sum();
            for (k, r) in r.iter().enumerate() {
                out[i * classes + k] = scale * r * along;
            }
        }
    }
}
