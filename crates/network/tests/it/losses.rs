//! The Hessian of a whole network under either loss is the derivative of its gradient.

use sharpness_network::backend::{Activation, Loss};

use crate::harness::{assert_near, combine, dot, norm};
use crate::small_network::Small;

/// The step of central differences of a gradient whose third derivatives are of order 100.
const STEP: f64 = 1e-5;
/// Truncation, `100 STEP²`, and rounding, `1e-14 / STEP`.
const DIFFERENCE: f64 = 1e-7;
/// Products of some hundred terms through eight layers in `f64`.
const ROUNDING: f64 = 1e-11;

/// The seed of a point at which no two elements of a max-pooling window come within a step of each other (at that of seed 1 two
/// do, and the difference sees the jump).
const POINT: u64 = 11;

const BOTH: [Loss; 2] = [Loss::SoftmaxCrossEntropy, Loss::SquaredError];

#[test]
fn hessian_products_are_central_differences_of_the_gradient() {
    for (loss, activation) in BOTH.into_iter().flat_map(|l| [(l, Activation::Tanh), (l, Activation::Gelu)]) {
        let small = Small::<f64>::new(loss, activation, 4, 6);
        let (theta, v) = (small.parameters(POINT), small.parameters(2));
        let gradient = |step: f64| small.linearized(&combine(&theta, step, &v), |_, _, g| g.to_vec());
        let difference = combine(&gradient(STEP), -1.0, &gradient(-STEP));
        let want: Vec<f64> = difference.iter().map(|d| d / (2.0 * STEP)).collect();
        let got = small.linearized(&theta, |at, linearization, _| small.hvp(at, linearization, &v));
        assert_near(&got, &want, DIFFERENCE, &format!("{loss:?}, {activation:?}"));
    }
}

#[test]
fn the_hessian_of_a_network_is_symmetric() {
    for loss in BOTH {
        let small = Small::<f64>::new(loss, Activation::Relu, 4, 6);
        let (theta, u, v) = (small.parameters(POINT), small.parameters(2), small.parameters(3));
        let [hu, hv] = small.linearized(&theta, |at, l, _| [&u, &v].map(|d| small.hvp(at, l, d)));
        let (left, right) = (dot(&v, &hu), dot(&u, &hv));
        let size = norm(&v) * norm(&hu);
        assert!((left - right).abs() <= ROUNDING * size, "{loss:?}: {left} is not {right}");
    }
}
