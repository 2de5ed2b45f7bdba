//! Sums against compensated sums.

use sharpness_kernels::Real;
use sharpness_kernels::reduce::{dot, sum};

use crate::data::Random;

/// Errors of the sum in units of `Σ |terms|`: blocks of 4096 in eight lanes round some 512 times, and mostly cancel.
const SUM_ROUNDING: f64 = 1e-14;

/// The sum of `terms` and of their absolute values, compensated (Neumaier 1974).
fn exact(terms: impl Iterator<Item = f64>) -> (f64, f64) {
    let (mut sum, mut rest, mut size) = (0.0_f64, 0.0, 0.0);
    for x in terms {
        let next = sum + x;
        rest += if sum.abs() >= x.abs() { (sum - next) + x } else { (x - next) + sum };
        sum = next;
        size += x.abs();
    }
    (sum + rest, size)
}

fn check<R: Real>(len: usize) {
    let mut random = Random::new(6);
    let (x, y): (Vec<R>, Vec<R>) = (random.vector(len), random.vector(len));
    let (want, size) = exact(x.iter().map(|x| x.to_f64()));
    assert!((sum(&x) - want).abs() <= SUM_ROUNDING * size, "sum of {len}");
    let (want, size) = exact(x.iter().zip(&y).map(|(x, y)| x.to_f64() * y.to_f64()));
    assert!((dot(&x, &y) - want).abs() <= SUM_ROUNDING * size, "dot product of {len}");
}

#[test]
fn sums_are_exact_to_rounding() {
    for len in [0, 1, 7, 8, 9, 4095, 4096, 4097, 8 * 4096, 8 * 4096 + 1, 100_003] {
        check::<f64>(len);
        check::<f32>(len);
    }
}

#[test]
fn f32_data_are_summed_in_f64() {
    // 2^24 + 1 is no f32: a sum in f32 would stay at 2^24.
    let mut x = vec![1.0_f32; 5000];
    x[0] = 16_777_216.0;
    let sum = sum(&x);
    assert!((sum - 16_782_215.0).abs() < 0.5, "got {sum}");
}

#[test]
#[should_panic(expected = "different lengths")]
fn dot_products_of_different_lengths_are_refused() {
    let _ = dot(&[1.0, 2.0], &[1.0]);
}
