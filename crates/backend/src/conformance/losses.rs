//! Losses.

use super::results::{Results, images};
use crate::{Backend, Loss, Shape};

pub(super) fn results<B: Backend>(b: &B) -> Results {
    let mut r = Results::new(3);
    for loss in [Loss::SoftmaxCrossEntropy, Loss::SquaredError] {
        for (classes, n) in [(1, 1), (2, 5), (10, 3), (65, 17)] {
            let ties = r.ties(n * classes);
            let numbers: Vec<f64> = r.numbers(n * classes).iter().map(|x| 20.0 * x).collect();
            let mut not_a_number = numbers.clone();
            not_a_number[n * classes / 2] = f64::NAN;
            for (data, z) in [("ties", &ties), ("numbers", &numbers), ("a NaN", &not_a_number)] {
                one(b, loss, (classes, n), (data, z), &mut r);
            }
        }
    }
    r
}

fn one<B: Backend>(
    b: &B,
    loss: Loss,
    (classes, n): (usize, usize),
    (data, z): (&str, &[f64]),
    r: &mut Results,
) {
    let what = |result: &str| format!("{result} of {loss:?}, {classes} classes, n = {n}, {data}");
    let outputs = Shape::features(classes);
    let z = images(b, outputs, n, z);
    let mut labels = b.integers(n);
    let given: Vec<u32> =
        (0_u32..).map(|i| i.wrapping_mul(7) % u32::try_from(classes).unwrap_or(1)).take(n).collect();
    b.upload_integers(&given, &mut labels);
    let mut sums = b.wide(2);
    b.loss_value(loss, classes, n, &z, &labels, &mut sums);
    r.push(what("loss_value"), b.read(&sums));
    let mut dz = b.buffer(n * classes);
    // The sums are added to.
    b.loss_gradient(loss, classes, n, &z, &labels, 0.25, &mut sums, &mut dz);
    r.push(what("sums of loss_gradient"), b.read(&sums));
    // Where an output is a NaN, the gradient of its example is no part of the contract.
    if data != "a NaN" {
        r.push_activation(b, what("loss_gradient"), outputs, n, &dz);
        let v = r.activation(b, outputs, n);
        b.loss_hessian_product(loss, classes, n, &z, &labels, 0.25, &v, &mut dz);
        r.push_activation(b, what("loss_hessian_product"), outputs, n, &dz);
        b.rank_one_product(classes, n, &z, 0.25, &v, &mut dz);
        r.push_activation(b, what("rank_one_product"), outputs, n, &dz);
    }
}
