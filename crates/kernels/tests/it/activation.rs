//! Activations: known values, derivatives by differences, and the vector forms.

use sharpness_backend::{Accumulate, Activation, Scalar};
use sharpness_kernels::activation::{activation, activation_first, activation_second};

use crate::data::{F32_ROUNDING, F64_ROUNDING, Random, assert_near, wide};

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
        // x / (1 + exp(-x))
        (Activation::Silu, 1.0, 0.731_058_578_630_004_9),
    ] {
        assert!((value(kind, x) - y).abs() < 1e-15, "{kind:?}({x})");
    }
}

#[test]
fn relu_is_flat_at_zero_and_keeps_nan() {
    for zero in [0.0_f64, -0.0] {
        assert_eq!(first(Activation::Relu, zero).to_bits(), 0);
        assert_eq!(value(Activation::Relu, zero).to_bits(), 0);
    }
    for &kind in Activation::ALL {
        assert!(value(kind, f64::NAN).is_nan(), "{kind:?} hides a NaN");
    }
}

#[test]
fn derivatives_are_central_differences() {
    for &kind in Activation::ALL {
        for k in -40..40 {
            let x = 0.1 * f64::from(k) + 0.05;
            let slope = (value(kind, x + STEP) - value(kind, x - STEP)) / (2.0 * STEP);
            assert!((first(kind, x) - slope).abs() < DIFFERENCE, "{kind:?}'({x})");
            let curvature = (first(kind, x + STEP) - first(kind, x - STEP)) / (2.0 * STEP);
            assert!((second(kind, x) - curvature).abs() < DIFFERENCE, "{kind:?}''({x})");
        }
    }
}

#[test]
fn vectors_are_their_elements() {
    for (kind, len) in Activation::ALL.iter().flat_map(|kind| [1, 16_385].map(|len| (*kind, len))) {
        let mut random = Random::new(14);
        let mut vector = || random.vector::<f64>(len);
        let (x, v, a, b, before) = (vector(), vector(), vector(), vector(), vector());
        let mut y = vec![f64::NAN; len];
        activation(kind, &x, &mut y);
        let want: Vec<f64> = x.iter().map(|&x| value(kind, x)).collect();
        assert_near(&y, &want, F64_ROUNDING, "values");
        for (mode, kept) in [(Accumulate::Set, 0.0), (Accumulate::Add, 1.0)] {
            let linear = |i: usize| kept * before[i] + first(kind, x[i]) * v[i];
            let mut y = before.clone();
            activation_first(kind, &x, &v, mode, &mut y);
            assert_near(&y, &(0..len).map(linear).collect::<Vec<_>>(), F64_ROUNDING, "first");
            let curved = |i: usize| linear(i) + second(kind, x[i]) * a[i] * b[i];
            let mut y = before.clone();
            activation_second(kind, &x, &v, (&a, &b), mode, &mut y);
            assert_near(&y, &(0..len).map(curved).collect::<Vec<_>>(), F64_ROUNDING, "second");
        }
    }
}

#[test]
fn f32_is_f64_to_rounding() {
    let x: Vec<f32> = Random::new(15).vector::<f64>(1000).iter().map(|x| 4.0 * x).map(round).collect();
    for &kind in Activation::ALL {
        let of = |f: &dyn Fn(f64) -> f64| wide(&x).into_iter().map(f).collect::<Vec<_>>();
        let single = |f: &dyn Fn(f32) -> f32| x.iter().map(|&x| f(x)).collect::<Vec<_>>();
        assert_near(&single(&|x| value(kind, x)), &of(&|x| value(kind, x)), F32_ROUNDING, "value");
        assert_near(&single(&|x| first(kind, x)), &of(&|x| first(kind, x)), F32_ROUNDING, "first");
        assert_near(&single(&|x| second(kind, x)), &of(&|x| second(kind, x)), F32_ROUNDING, "second");
    }
}

fn round(x: f64) -> f32 {
    Scalar::from_f64(x)
}

fn value<R: Scalar>(kind: Activation, x: R) -> R {
    kind.derivatives(x)[0]
}

fn first<R: Scalar>(kind: Activation, x: R) -> R {
    kind.derivatives(x)[1]
}

fn second<R: Scalar>(kind: Activation, x: R) -> R {
    kind.derivatives(x)[2]
}
