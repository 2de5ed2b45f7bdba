//! Pooling: the contract on ties and NaN, and windows that overlap or leave pixels out.

use sharpness_backend::{Accumulate, Pool2d};
use sharpness_kernels::pool2d::{
    average_pool, average_pool_adjoint, max_pool, max_pool_gather, max_pool_scatter,
};

use crate::data::{F64_ROUNDING, Random, assert_near, assert_same};

const fn pool(image: (usize, usize), kernel: (usize, usize), stride: usize) -> Pool2d {
    Pool2d { height: image.0, width: image.1, kernel_height: kernel.0, kernel_width: kernel.1, stride }
}

/// Windows that tile, overlap, leave pixels between them or at the edge, and the whole image.
const AWKWARD: [Pool2d; 7] = [
    pool((1, 1), (1, 1), 1),
    pool((4, 6), (2, 2), 2),
    pool((7, 5), (3, 2), 2),
    pool((6, 6), (3, 3), 1),
    pool((8, 7), (2, 2), 3),
    pool((5, 9), (5, 9), 1),
    pool((16, 16), (16, 16), 1),
];

/// The windows of all planes: for each output the indices of its inputs, in row order.
fn windows(g: &Pool2d, planes: usize) -> Vec<Vec<usize>> {
    let (h, w) = g.output().expect("the cases have outputs");
    let mut all = Vec::new();
    for p in 0..planes {
        for (oy, ox) in (0..h).flat_map(|oy| (0..w).map(move |ox| (oy, ox))) {
            let pixel = |ky, kx| (p * g.height + oy * g.stride + ky) * g.width + ox * g.stride + kx;
            let rows = 0..g.kernel_height;
            all.push(rows.flat_map(|ky| (0..g.kernel_width).map(move |kx| pixel(ky, kx))).collect());
        }
    }
    all
}

fn max_of(g: &Pool2d, x: &[f64], planes: usize) -> (Vec<f64>, Vec<u8>) {
    let (h, w) = g.output().expect("the cases have outputs");
    let (mut y, mut choice) = (vec![f64::NAN; planes * h * w], vec![255; planes * h * w]);
    max_pool(g, x, &mut y, &mut choice);
    (y, choice)
}

#[test]
fn max_and_its_two_linear_maps_follow_the_windows() {
    let planes = 3;
    for g in &AWKWARD {
        let (windows, len) = (windows(g, planes), planes * g.height * g.width);
        let mut random = Random::new(4);
        let (x, v): (Vec<f64>, Vec<f64>) = (random.vector(len), random.vector(len));
        let (y, choice) = max_of(g, &x, planes);
        let best = |w: &Vec<usize>| w.iter().copied().max_by(|&a, &b| x[a].total_cmp(&x[b])).unwrap();
        let chosen: Vec<usize> = windows.iter().map(best).collect();
        assert_same(&y, &chosen.iter().map(|&i| x[i]).collect::<Vec<_>>(), "maxima");
        let mut gathered = vec![f64::NAN; y.len()];
        max_pool_gather(g, &v, &choice, &mut gathered);
        assert_same(&gathered, &chosen.iter().map(|&i| v[i]).collect::<Vec<_>>(), "gathered");
        for mode in [Accumulate::Set, Accumulate::Add] {
            let mut want = if mode == Accumulate::Add { v.clone() } else { vec![0.0; len] };
            chosen.iter().zip(&gathered).for_each(|(&i, y)| want[i] += y);
            let mut got = if mode == Accumulate::Add { v.clone() } else { vec![f64::NAN; len] };
            max_pool_scatter(g, &gathered, &choice, mode, &mut got);
            assert_near(&got, &want, F64_ROUNDING, &format!("{g:?} scattered, {mode:?}"));
        }
    }
}

#[test]
fn the_first_of_equal_maxima_wins() {
    let g = pool((2, 2), (2, 2), 2);
    assert_eq!(max_of(&g, &[1.0, 3.0, 3.0, 3.0], 1).1, [1]);
    assert_eq!(max_of(&g, &[0.0, 0.0, -0.0, 0.0], 1).1, [0]);
    assert_eq!(max_of(&g, &[f64::NEG_INFINITY; 4], 1).1, [0]);
}

#[test]
fn the_first_nan_wins() {
    let g = pool((2, 2), (2, 2), 2);
    for (x, first) in [
        ([f64::NAN, 1.0, 2.0, 3.0], 0),
        ([5.0, 1.0, f64::NAN, f64::NAN], 2),
        ([f64::INFINITY, 1.0, 2.0, f64::NAN], 3),
    ] {
        let (y, choice) = max_of(&g, &x, 1);
        assert!(y[0].is_nan() && choice == [first], "{x:?} gives {y:?} at {choice:?}");
    }
}

#[test]
fn the_last_element_of_the_largest_window_can_be_chosen() {
    let g = pool((16, 16), (16, 16), 1);
    let mut x = vec![0.0; 256];
    x[255] = 1.0;
    assert_eq!(max_of(&g, &x, 1).1, [255]);
}

#[test]
fn means_and_their_adjoint_follow_the_windows() {
    let planes = 3;
    for g in &AWKWARD {
        let (windows, len) = (windows(g, planes), planes * g.height * g.width);
        let share = 1.0 / windows[0].len() as f64;
        let mut random = Random::new(5);
        let (x, ybar): (Vec<f64>, Vec<f64>) = (random.vector(len), random.vector(windows.len()));
        let want: Vec<f64> = windows.iter().map(|w| share * w.iter().map(|&i| x[i]).sum::<f64>()).collect();
        let mut y = vec![f64::NAN; windows.len()];
        average_pool(g, &x, &mut y);
        assert_near(&y, &want, F64_ROUNDING, "means");
        for mode in [Accumulate::Set, Accumulate::Add] {
            let mut want = if mode == Accumulate::Add { x.clone() } else { vec![0.0; len] };
            for (window, y) in windows.iter().zip(&ybar) {
                window.iter().for_each(|&i| want[i] += share * y);
            }
            let mut got = if mode == Accumulate::Add { x.clone() } else { vec![f64::NAN; len] };
            average_pool_adjoint(g, &ybar, mode, &mut got);
            assert_near(&got, &want, F64_ROUNDING, &format!("{g:?} adjoint, {mode:?}"));
        }
    }
}

#[test]
fn windows_that_do_not_fit_have_no_output() {
    for impossible in [pool((2, 5), (3, 3), 1), pool((4, 4), (2, 2), 0), pool((4, 4), (0, 2), 1)] {
        assert_eq!(impossible.output(), None);
    }
}
