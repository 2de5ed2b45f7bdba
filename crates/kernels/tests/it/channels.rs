//! Per-channel sums and affine maps against their formulas, on both sides of every block size.

use sharpness_backend::Accumulate;
use sharpness_kernels::Real;
use sharpness_kernels::channels::{channel_affine, channel_dot, channel_sum};

use crate::data::{F32_ROUNDING, F64_ROUNDING, Random, assert_near, wide};

/// Channels and elements of one channel.
const SHAPES: [(usize, usize); 7] =
    [(1, 1), (17, 1), (1, 40_000), (3, 2047), (5, 2049), (9, 4096), (17, 1000)];

fn check_sums<R: Real>((channels, inner): (usize, usize)) {
    let mut random = Random::new(10);
    let (x, y): (Vec<R>, Vec<R>) = (random.vector(channels * inner), random.vector(channels * inner));
    let terms = |f: &dyn Fn(usize) -> f64| -> Vec<f64> {
        (0..channels).map(|c| (c * inner..(c + 1) * inner).map(f).sum()).collect()
    };
    let mut out = vec![f64::NAN; channels];
    channel_sum(&x, &mut out);
    assert_near(&out, &terms(&|i| x[i].to_f64()), F64_ROUNDING, "sums");
    channel_dot(&x, &y, &mut out);
    assert_near(&out, &terms(&|i| x[i].to_f64() * y[i].to_f64()), F64_ROUNDING, "dot products");
}

fn check_affine<R: Real>((channels, inner): (usize, usize), terms: usize, with_bias: bool, tolerance: f64) {
    let mut random = Random::new(11);
    let operands: Vec<(Vec<f64>, Vec<R>)> =
        (0..terms).map(|_| (random.vector(channels), random.vector(channels * inner))).collect();
    let bias: Option<Vec<f64>> = with_bias.then(|| random.vector(channels));
    let before: Vec<R> = random.vector(channels * inner);
    for mode in [Accumulate::Set, Accumulate::Add] {
        let mut want = if mode == Accumulate::Add { wide(&before) } else { vec![0.0; before.len()] };
        for (i, want) in want.iter_mut().enumerate() {
            let c = i / inner;
            *want += bias.as_ref().map_or(0.0, |b| b[c]);
            *want += operands.iter().map(|(a, x)| a[c] * x[i].to_f64()).sum::<f64>();
        }
        let nan = R::from_f64(f64::NAN);
        let mut got = if mode == Accumulate::Add { before.clone() } else { vec![nan; before.len()] };
        let borrowed: Vec<_> = operands.iter().map(|(a, x)| (a.as_slice(), x.as_slice())).collect();
        channel_affine(channels, &borrowed, bias.as_deref(), mode, &mut got);
        assert_near(&got, &want, tolerance, &format!("{channels} x {inner}, {terms} terms, {mode:?}"));
    }
}

#[test]
fn sums_and_dot_products_are_their_formulas() {
    for shape in SHAPES {
        check_sums::<f64>(shape);
        check_sums::<f32>(shape);
    }
}

#[test]
fn affine_maps_are_their_formula() {
    for shape in SHAPES {
        for (terms, bias) in [(0, true), (1, false), (1, true), (3, true)] {
            check_affine::<f64>(shape, terms, bias, F64_ROUNDING);
            check_affine::<f32>(shape, terms, bias, F32_ROUNDING);
        }
    }
}
