//! Maps over vectors against their formulas, around the size of a chunk.

use sharpness_backend::Accumulate;
use sharpness_kernels::elementwise::{absolute_plus, add_to_wide, linear_combination, multiply};

use crate::data::{F64_ROUNDING, Random, assert_near};

const LENGTHS: [usize; 5] = [0, 1, 16_384, 16_385, 50_001];

/// What an output holds before, and what is expected on top of it.
fn expected(mode: Accumulate, before: &[f64], result: impl Fn(usize) -> f64) -> (Vec<f64>, Vec<f64>) {
    let add = mode == Accumulate::Add;
    let got = if add { before.to_vec() } else { vec![f64::NAN; before.len()] };
    let kept = |i: usize| if add { before[i] } else { 0.0 };
    (got, (0..before.len()).map(|i| kept(i) + result(i)).collect())
}

#[test]
fn combinations_and_products_are_their_formulas() {
    for len in LENGTHS {
        let mut random = Random::new(12);
        let mut vector = || random.vector::<f64>(len);
        let (a, b, before) = (vector(), vector(), vector());
        for mode in [Accumulate::Set, Accumulate::Add] {
            let (mut got, want) = expected(mode, &before, |i| 2.0 * a[i] - 0.3 * b[i]);
            linear_combination(&[(2.0, &a), (-0.3, &b)], mode, &mut got);
            assert_near(&got, &want, F64_ROUNDING, "a combination of two");
            let (mut got, want) = expected(mode, &before, |_| 0.0);
            linear_combination(&[], mode, &mut got);
            assert_near(&got, &want, 0.0, "a combination of none");
            let (mut got, want) = expected(mode, &before, |i| a[i] * b[i]);
            multiply(&a, &b, mode, &mut got);
            assert_near(&got, &want, F64_ROUNDING, "a product");
        }
    }
}

#[test]
fn absolute_values_and_wide_sums_are_their_formulas() {
    for len in LENGTHS {
        let mut random = Random::new(13);
        let (x, mut sums): (Vec<f32>, Vec<f64>) = (random.vector(len), random.vector(len));
        let want: Vec<f64> = x.iter().zip(&sums).map(|(x, s)| f64::from(*x) + s).collect();
        add_to_wide(&x, &mut sums);
        assert_near(&sums, &want, F64_ROUNDING, "a wide sum");
        let mut y = vec![f64::NAN; len];
        absolute_plus(&want, 0.01, &mut y);
        let absolute: Vec<f64> = want.iter().map(|x| x.abs() + 0.01).collect();
        assert_near(&y, &absolute, F64_ROUNDING, "absolute values");
    }
}
