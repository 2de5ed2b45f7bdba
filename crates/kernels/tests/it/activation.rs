//! Activations: known values, derivatives by differences, and the vector forms.

use sharpness_kernels::Accumulate;
use sharpness_kernels::activation::{Activation, activation, activation_first, activation_second};

use crate::data::{F32_ROUNDING, F64_ROUNDING, Random, assert_near, wide};

const ALL: [Activation; 3] = [Activation::Relu, Activation::Gelu, Activation::Tanh];
/// A step at which the truncation of central differences, `step² / 6`, and their rounding, `1e-16 / step`, both stay below
/// [`DIFFERENCE`].
const STEP: f64 = 1e-5;
const DIFFERENCE: f64 = 1e-9;

#[test]
fn values_are_the_known_ones() {
    for (kind, x, y) in [
        (Activation::Relu, -2.0_f64, 0.0_f64),
        (Activation::Relu, 3.0, 3.0),
        // x Φ(x), with Φ(1) = 0.841344746068542948...
        (Activation::Gelu, 1.0, 0.841_344_746_068_542_9),
        (Activation::Gelu, -1.0, -0.158_655_253_931_457_05),
        (Activation::Tanh, 0.5, 0.462_117_157_260_009_76),
    ] {
        assert!((kind.value(x) - y).abs() < 1e-15, "{kind:?}({x})");
    }
}

#[test]
fn relu_is_flat_at_zero_and_keeps_nan() {
    for zero in [0.0_f64, -0.0] {
        assert_eq!(Activation::Relu.first(zero).to_bits(), 0);
        assert_eq!(Activation::Relu.value(zero).to_bits(), 0);
    }
    for kind in ALL {
        assert!(kind.value(f64::NAN).is_nan(), "{kind:?} hides a NaN");
    }
}

#[test]
fn derivatives_are_central_differences() {
    for kind in ALL {
        for k in -40..40 {
            let x = 0.1 * f64::from(k) + 0.05;
            let first = (kind.value(x + STEP) - kind.value(x - STEP)) / (2.0 * STEP);
            assert!((kind.first(x) - first).abs() < DIFFERENCE, "{kind:?}'({x})");
            let second = (kind.first(x + STEP) - kind.first(x - STEP)) / (2.0 * STEP);
            assert!((kind.second(x) - second).abs() < DIFFERENCE, "{kind:?}''({x})");
        }
    }
}

#[test]
fn vectors_are_their_elements() {
    for (kind, len) in ALL.into_iter().flat_map(|kind| [1, 16_385].map(|len| (kind, len))) {
        let mut random = Random::new(14);
        let mut vector = || random.vector::<f64>(len);
        let (x, v, a, b, before) = (vector(), vector(), vector(), vector(), vector());
        let mut y = vec![f64::NAN; len];
        activation(kind, &x, &mut y);
        let want: Vec<f64> = x.iter().map(|&x| kind.value(x)).collect();
        assert_near(&y, &want, F64_ROUNDING, "values");
        for (mode, kept) in [(Accumulate::Set, 0.0), (Accumulate::Add, 1.0)] {
            let first = |i: usize| kept * before[i] + kind.first(x[i]) * v[i];
            let mut y = before.clone();
            activation_first(kind, &x, &v, mode, &mut y);
            assert_near(&y, &(0..len).map(first).collect::<Vec<_>>(), F64_ROUNDING, "first");
            let second = |i: usize| first(i) + kind.second(x[i]) * a[i] * b[i];
            let mut y = before.clone();
            activation_second(kind, &x, &v, (&a, &b), mode, &mut y);
            assert_near(&y, &(0..len).map(second).collect::<Vec<_>>(), F64_ROUNDING, "second");
        }
    }
}

#[test]
fn f32_is_f64_to_rounding() {
    let x: Vec<f32> = Random::new(15).vector::<f64>(1000).iter().map(|x| 4.0 * x).map(round).collect();
    for kind in ALL {
        let of = |f: &dyn Fn(f64) -> f64| wide(&x).into_iter().map(f).collect::<Vec<_>>();
        let single = |f: &dyn Fn(f32) -> f32| x.iter().map(|&x| f(x)).collect::<Vec<_>>();
        assert_near(&single(&|x| kind.value(x)), &of(&|x| kind.value(x)), F32_ROUNDING, "value");
        assert_near(&single(&|x| kind.first(x)), &of(&|x| kind.first(x)), F32_ROUNDING, "first");
        assert_near(&single(&|x| kind.second(x)), &of(&|x| kind.second(x)), F32_ROUNDING, "second");
    }
}

fn round(x: f64) -> f32 {
    sharpness_kernels::Real::from_f64(x)
}
