//! Layouts: there and back, and where each element goes.

use sharpness_backend::{Accumulate, Pixels};
use sharpness_kernels::layout::{
    flatten, from_nchw, from_pixels, subsample, subsample_adjoint, to_nchw, unflatten,
};

use crate::data::{Random, assert_same};

/// Channels, examples and pixels.
const SHAPES: [(usize, usize, usize); 8] =
    [(1, 1, 1), (3, 1, 4), (1, 5, 6), (3, 2, 1), (17, 5, 9), (5, 0, 4), (1, 100, 784), (2, 33, 70)];

#[test]
fn images_go_in_and_out() {
    for (c, n, inner) in SHAPES {
        let x: Vec<f64> = Random::new(7).vector(c * n * inner);
        let mut inside = vec![f64::NAN; x.len()];
        from_nchw(c, n, &x, &mut inside);
        for (index, value) in inside.iter().enumerate() {
            let (channel, i, j) = (index / (n * inner), index / inner % n, index % inner);
            assert_same(&[*value], &[x[(i * c + channel) * inner + j]], "an image's element");
        }
        assert_same(&to_nchw(c, n, &inside), &x, "back");
    }
}

#[test]
fn bytes_become_the_numbers_of_their_formula() {
    for (c, n, inner) in SHAPES {
        let mut random = Random::new(10);
        let mut positive = || random.vector::<f64>(c * inner).into_iter().map(|x| x.abs() + 0.1).collect();
        let (mean, deviation): (Vec<f64>, Vec<f64>) = (positive(), positive());
        let bytes: Vec<u8> = (0..=250).cycle().take((n + 2) * c * inner).collect();
        let pixels = Pixels { bytes: &bytes, scale: 1.0 / 255.0, mean: &mean, deviation: &deviation };
        let numbers: Vec<u32> = (2..).take(n).collect();
        let statistics = mean.iter().zip(&deviation).cycle();
        let images = bytes[2 * c * inner..].iter().zip(statistics);
        let x: Vec<f64> = images.map(|(&byte, (m, d))| (f64::from(byte) * (1.0 / 255.0) - m) / d).collect();
        let (mut got, mut want) = (vec![f32::NAN; x.len()], vec![f32::NAN; x.len()]);
        from_pixels(c, &pixels, &numbers, &mut got);
        from_nchw(c, n, &x, &mut want);
        assert_same(&got, &want, "images of bytes");
    }
}

#[test]
fn flattening_keeps_the_order_of_an_example() {
    for (c, n, inner) in SHAPES {
        let x: Vec<f64> = Random::new(8).vector(c * n * inner);
        let (mut y, mut back) = (vec![f64::NAN; x.len()], vec![f64::NAN; x.len()]);
        flatten(n, inner, &x, &mut y);
        let features = to_nchw(c * inner, n, &y);
        assert_same(&features, &to_nchw(c, n, &x), "the order of an example's elements");
        unflatten(n, inner, &y, Accumulate::Set, &mut back);
        assert_same(&back, &x, "back");
        unflatten(n, inner, &y, Accumulate::Add, &mut back);
        assert_same(&back, &x.iter().map(|x| x + x).collect::<Vec<_>>(), "added");
    }
}

#[test]
fn subsampling_takes_every_second_pixel_and_appends_zeros() {
    for (h, w) in [(1_usize, 1_usize), (2, 2), (5, 4), (3, 7)] {
        let (n, c_in, c_out, h_out, w_out) = (2, 3, 5, h.div_ceil(2), w.div_ceil(2));
        let x: Vec<f64> = Random::new(9).vector(c_in * n * h * w);
        let (mut want, mut spread) = (vec![0.0; c_out * n * h_out * w_out], vec![0.0; x.len()]);
        for plane in 0..c_in * n {
            for (oy, ox) in (0..h_out).flat_map(|oy| (0..w_out).map(move |ox| (oy, ox))) {
                let from = (plane * h + 2 * oy) * w + 2 * ox;
                want[(plane * h_out + oy) * w_out + ox] = x[from];
                spread[from] = x[from];
            }
        }
        let mut y = vec![f64::NAN; want.len()];
        subsample(n, (c_in, h, w), &x, &mut y);
        assert_same(&y, &want, "subsampled");
        let mut back = vec![f64::NAN; x.len()];
        subsample_adjoint((h, w), &y, Accumulate::Set, &mut back);
        assert_same(&back, &spread, "adjoint");
        subsample_adjoint((h, w), &y, Accumulate::Add, &mut back);
        assert_same(&back, &spread.iter().map(|s| s + s).collect::<Vec<_>>(), "adjoint, added");
    }
}
