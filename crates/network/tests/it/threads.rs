//! Gradients and Hessian products have the same bits for any number of threads, and a product leaves no trace in the next.

use sharpness_network::backend::{Activation, Loss};

use crate::small_network::Small;

fn bits(x: &[f64]) -> Vec<u64> {
    x.iter().map(|x| x.to_bits()).collect()
}

#[test]
fn bits_do_not_depend_on_the_number_of_threads() {
    // 16 channels of 6 images of 24 x 24: layers of 55,296 elements, which every kernel splits.
    let run = || {
        let small = Small::<f32>::new(Loss::SoftmaxCrossEntropy, Activation::Relu, 16, 24);
        let (theta, v) = (small.parameters(1), small.parameters(2));
        small.linearized(&theta, |at, linearization, gradient| {
            [bits(gradient), bits(&small.hvp(at, linearization, &v))]
        })
    };
    let with = |threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(run);
    let one = with(1);
    for threads in [2, 4] {
        assert!(with(threads) == one, "{threads} threads give other bits than one");
    }
}

#[test]
fn products_do_not_depend_on_earlier_products() {
    let small = Small::<f64>::new(Loss::SoftmaxCrossEntropy, Activation::Relu, 4, 6);
    let (theta, u, v) = (small.parameters(1), small.parameters(2), small.parameters(3));
    small.linearized(&theta, |at, linearization, _| {
        let first = bits(&small.hvp(at, linearization, &v));
        for _ in 0..3 {
            small.hvp(at, linearization, &u);
        }
        assert!(bits(&small.hvp(at, linearization, &v)) == first, "a product changed the next one");
    });
}
