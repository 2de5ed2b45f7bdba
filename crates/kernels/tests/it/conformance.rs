//! The CPU in both precisions passes the tests of any backend, with each algorithm of convolutions.

use sharpness_backend::conformance;
use sharpness_kernels::{ConvolutionAlgorithm, Cpu, Real};

fn check<R: Real>() {
    use ConvolutionAlgorithm::{Auto, Direct, Winograd};

    for algorithm in [Auto, Direct, Winograd] {
        conformance::check(&Cpu::<R>::new(algorithm));
    }
}

#[test]
fn single_precision_conforms() {
    check::<f32>();
}

#[test]
fn double_precision_conforms() {
    check::<f64>();
}
