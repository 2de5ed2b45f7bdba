//! The im2col contractions against the naive ones, over awkward sizes.

use sharpness_backend::{Accumulate, Conv2d};
use sharpness_kernels::Real;
use sharpness_kernels::conv2d::{self, reference};
use sharpness_kernels::workspace::Workspace;

use crate::data::{F32_ROUNDING, F64_ROUNDING, Random, assert_within, norm, wide};

type Pairs<'a, R> = &'a [(&'a [R], &'a [R])];
type Fast<R> = fn(&Conv2d, usize, Pairs<'_, R>, Accumulate, &mut [R]);
type Reference = fn(&Conv2d, usize, &[f64], &[f64], &mut [f64]);

/// One contraction, alone and as a sum of two pairs, overwriting and adding where it can.
fn check_contraction<R: Real>(
    (g, n): (&Conv2d, usize),
    (fast, reference): (Fast<R>, Reference),
    modes: &[Accumulate],
    (a, b): (&[Vec<R>; 2], &[Vec<R>; 2]),
    before: &[R],
    tolerance: f64,
) {
    for count in [1, 2] {
        let sum_of = |f: fn(f64) -> f64| {
            let mut sum = vec![0.0; before.len()];
            for k in 0..count {
                let [a, b] = [&a[k], &b[k]].map(|x| wide(x).into_iter().map(f).collect::<Vec<_>>());
                let mut one = vec![f64::NAN; before.len()];
                reference(g, n, &a, &b, &mut one);
                sum.iter_mut().zip(one).for_each(|(s, o)| *s += o);
            }
            sum
        };
        // Rounding is relative to the terms of a sum, which may cancel.
        let (sum, allowed) = (sum_of(|x| x), tolerance * norm(&sum_of(f64::abs)));
        let pairs: Vec<_> = (0..count).map(|k| (a[k].as_slice(), b[k].as_slice())).collect();
        for &mode in modes {
            let (mut got, mut want) = (vec![R::from_f64(f64::NAN); before.len()], sum.clone());
            if mode == Accumulate::Add {
                got.copy_from_slice(before);
                want.iter_mut().zip(before).for_each(|(w, b)| *w += b.to_f64());
            }
            fast(g, n, &pairs, mode, &mut got);
            let allowed = allowed + tolerance * norm(&wide(before));
            assert_within(&got, &want, allowed, &format!("{g:?}, n = {n}, {count} pairs, {mode:?}"));
        }
    }
}

fn check<R: Real>(g: &Conv2d, n: usize, tolerance: f64) {
    let (h, w) = g.output().expect("the cases have outputs");
    let mut random = Random::new(1);
    let mut two = |len| [random.vector::<R>(len), random.vector::<R>(len)];
    let x = two(g.channels_in * n * g.height * g.width);
    let (w, y) = (two(g.weights()), two(g.channels_out * n * h * w));
    let both = [Accumulate::Set, Accumulate::Add];
    let forward: Fast<R> = |g, n, pairs, _, y| conv2d::forward(g, n, pairs, y, &Workspace::new());
    check_contraction((g, n), (forward, reference::forward), &both[..1], (&x, &w), &y[0], tolerance);
    let input: Fast<R> =
        |g, n, pairs, mode, x| conv2d::input_gradient(g, n, pairs, mode, x, &Workspace::new());
    check_contraction((g, n), (input, reference::input_gradient), &both, (&y, &w), &x[0], tolerance);
    let weight: Fast<R> =
        |g, n, pairs, mode, w| conv2d::weight_gradient(g, n, pairs, mode, w, &Workspace::new());
    check_contraction((g, n), (weight, reference::weight_gradient), &both, (&x, &y), &w[0], tolerance);
}

fn geometry(
    channels: (usize, usize),
    image: (usize, usize),
    kernel: usize,
    stride: usize,
    padding: usize,
) -> Conv2d {
    let ((channels_in, channels_out), (height, width)) = (channels, image);
    Conv2d { channels_in, channels_out, height, width, kernel, stride, padding }
}

/// Kernels up to 5 on small images that are not square, with strides that skip pixels and padding beyond half the kernel.
fn awkward() -> Vec<Conv2d> {
    let mut all = Vec::new();
    for kernel in [1, 2, 3, 5] {
        for stride in [1, 2, 3] {
            for padding in [0, 1, 2] {
                for image in [(1, 1), (2, 5), (7, 4), (9, 9)] {
                    for channels in [(1, 1), (3, 2)] {
                        all.push(geometry(channels, image, kernel, stride, padding));
                    }
                }
            }
        }
    }
    all.retain(|g| g.output().is_some());
    assert!(all.len() > 200, "most of the sizes are possible");
    all
}

#[test]
fn im2col_is_the_reference() {
    for g in awkward() {
        for n in [1, 3] {
            check::<f64>(&g, n, F64_ROUNDING);
            check::<f32>(&g, n, F32_ROUNDING);
        }
    }
}

#[test]
fn batches_of_several_patch_blocks_are_the_reference() {
    // 144 x 1024 patch elements an example: 14 examples fit a block, 15 do not.
    check::<f64>(&geometry((16, 2), (32, 32), 3, 1, 1), 15, F64_ROUNDING);
    check::<f32>(&geometry((16, 2), (32, 32), 3, 1, 1), 15, F32_ROUNDING);
}

#[test]
fn no_examples_give_no_outputs_and_a_zero_weight_gradient() {
    let g = geometry((2, 3), (4, 4), 3, 1, 1);
    let (w, workspace) = (vec![1.0; g.weights()], Workspace::new());
    conv2d::forward(&g, 0, &[(&[], &w)], &mut [], &workspace);
    conv2d::input_gradient(&g, 0, &[(&[], &w)], Accumulate::Set, &mut [], &workspace);
    let mut gradient = vec![f64::NAN; g.weights()];
    conv2d::weight_gradient(&g, 0, &[(&[], &[])], Accumulate::Set, &mut gradient, &workspace);
    assert!(gradient.iter().all(|w| w.abs() < f64::MIN_POSITIVE), "the sum over no examples is zero");
}

#[test]
fn a_kernel_larger_than_the_padded_image_has_no_output() {
    assert_eq!(geometry((1, 1), (2, 9), 5, 1, 1).output(), None);
    assert_eq!(geometry((1, 1), (2, 9), 5, 1, 2).output(), Some((2, 9)));
}
