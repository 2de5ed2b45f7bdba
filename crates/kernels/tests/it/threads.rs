//! Every kernel gives the same bits with 1, 2, 4 and 16 threads, at sizes that run in parallel.

use sharpness_backend::Accumulate::{Add, Set};
use sharpness_backend::Pixels;
use sharpness_backend::{Activation, Conv2d, Epilogue, MaskKey, Pool2d, Sgd, Update};
use sharpness_kernels::activation::{activation, activation_first, activation_second};
use sharpness_kernels::channels::{channel_affine, channel_dot, channel_sum};
use sharpness_kernels::conv2d::{self, ConvolutionAlgorithm, Plan};
use sharpness_kernels::dropout::dropout_mask;
use sharpness_kernels::epilogue::{Addends, Choice};
use sharpness_kernels::linear::Linear;
use sharpness_kernels::matmul::{Matrix, MatrixMut, matmul};
use sharpness_kernels::pool2d;
use sharpness_kernels::update::update;
use sharpness_kernels::workspace::Workspace;
use sharpness_kernels::{elementwise, layout, reduce};

use crate::batch_norm::all_bits;
use crate::data::{Random, bits, wide};

/// Elements of a vector that every kernel splits.
const LEN: usize = 1 << 17;

fn vector(seed: u64, len: usize) -> Vec<f32> {
    Random::new(seed).vector(len)
}

/// Runs `f` on an output of `len` ones.
fn on(len: usize, f: impl FnOnce(&mut [f32])) -> Vec<f64> {
    let mut y = vec![1.0; len];
    f(&mut y);
    wide(&y)
}

fn products() -> Vec<f64> {
    let (a, b) = (vector(1, 700 * 300), vector(2, 300 * 1100));
    let pair = (Matrix::rows(&a, 700, 300, 300), Matrix::rows(&b, 300, 1100, 1100));
    on(700 * 1100, |c| matmul(&[pair, pair], Add, MatrixMut::rows(c, 700, 1100, 1100)))
}

fn linear_layers() -> Vec<f64> {
    let (layer, n) = (Linear { features_in: 300, features_out: 130, epilogue: Epilogue::Relu }, 270);
    let (x, w, y) = (vector(12, 300 * n), vector(13, 300 * 130), vector(14, 130 * n));
    let (s, mut choice) = (Workspace::new(), vec![0; layer.choice_len(n)]);
    let mut all = on(y.len(), |y| {
        layer.forward(n, &[(&x, &w), (&x, &w)], None, Choice::Record(&mut choice), y, &s);
    });
    all.extend(choice.into_iter().map(f64::from));
    all.extend(on(x.len(), |out| layer.input_gradient(n, &[(&y, &w)], Add, out, &s)));
    all.extend(on(w.len(), |out| layer.weight_gradient(n, &[(&x, &y)], Add, out, &s)));
    all
}

fn convolutions() -> Vec<f64> {
    let g =
        Conv2d { channels_in: 16, channels_out: 24, height: 32, width: 32, kernel: 3, stride: 1, padding: 1 };
    let n = 20;
    let (x, w) = (vector(3, 16 * n * 1024), vector(4, g.weights()));
    let (y, s) = (vector(5, 24 * n * 1024), Workspace::new());
    let mut all = on(y.len(), |out| conv2d::forward(&g, n, &[(&x, &w), (&x, &w)], out, &s));
    all.extend(on(x.len(), |out| conv2d::input_gradient(&g, n, &[(&y, &w)], Add, out, &s)));
    all.extend(on(w.len(), |out| conv2d::weight_gradient(&g, n, &[(&x, &y)], Add, out, &s)));
    all
}

fn first_layer() -> Vec<f64> {
    let g =
        Conv2d { channels_in: 3, channels_out: 40, height: 16, width: 16, kernel: 3, stride: 1, padding: 1 };
    let (n, s) = (90, Workspace::new());
    let (x, w, y) = (vector(12, 3 * n * 256), vector(13, g.weights()), vector(14, 40 * n * 64));
    let plan = Plan::new::<f32>(ConvolutionAlgorithm::Auto, g, Epilogue::ReluMaxPool);
    let mut choice = vec![0; plan.choice_len(n)];
    let addends = Addends::default();
    let mut all = on(y.len(), |y| plan.forward(n, &[(&x, &w)], addends, Choice::Record(&mut choice), y, &s));
    all.extend(on(w.len(), |w| plan.weight_gradient(n, &[(&x, &y)], &choice, Add, w, &s)));
    all.extend(on(x.len(), |x| plan.input_gradient(n, &[(&y, &w)], &choice, Add, (x, None), &s)));
    let mut sums = vec![0.0; 40];
    plan.bias_gradient(n, &y, &choice, &mut sums);
    all.extend(sums);
    all
}

fn pools() -> Vec<f64> {
    let g = Pool2d { height: 16, width: 16, kernel_height: 3, kernel_width: 3, stride: 1 };
    let (x, outputs) = (vector(6, LEN), LEN / 256 * 14 * 14);
    let mut choice = vec![0; outputs];
    let mut all = on(outputs, |y| pool2d::max_pool(&g, &x, y, &mut choice));
    all.extend(on(outputs, |y| pool2d::max_pool_gather(&g, &x, &choice, y)));
    all.extend(on(LEN, |y| pool2d::max_pool_scatter(&g, &x[..outputs], &choice, Add, y)));
    all.extend(on(outputs, |y| pool2d::average_pool(&g, &x, y)));
    all.extend(on(LEN, |y| pool2d::average_pool_adjoint(&g, &x[..outputs], Add, y)));
    all
}

fn reductions() -> Vec<f64> {
    let (x, y) = (vector(7, LEN), vector(8, LEN));
    let mut all = vec![reduce::sum(&x), reduce::dot(&x, &y)];
    for channels in [1, 16] {
        let mut out = vec![0.0; channels];
        channel_sum(&x, &mut out);
        all.extend(&out);
        channel_dot(&x, &y, &mut out);
        all.extend(&out);
        let terms = [(out.as_slice(), x.as_slice()), (out.as_slice(), y.as_slice())];
        all.extend(on(LEN, |y| channel_affine(channels, &terms, Some(&out), Add, y)));
    }
    all
}

fn maps() -> Vec<f64> {
    let (x, v) = (vector(9, LEN), vector(10, LEN));
    let mut all = on(LEN, |y| elementwise::linear_combination(&[(0.3, &x), (0.7, &v)], Add, y));
    all.extend(on(LEN, |y| elementwise::multiply(&x, &v, Add, y)));
    all.extend(on(LEN, |y| elementwise::absolute_plus(&x, 0.1, y)));
    elementwise::add_to_wide(&x, &mut all[..LEN]);
    let rule = Sgd { learning_rate: 0.1, weight_decay: 0.01, momentum: 0.9, nesterov: true };
    let mut states = [v.clone()];
    all.extend(on(LEN, |y| update(Update::Sgd(rule), &x, &mut states, y)));
    all.extend(wide(&states[0]));
    for &kind in Activation::ALL {
        all.extend(on(LEN, |y| activation(kind, &x, y)));
        all.extend(on(LEN, |y| activation_first(kind, &x, &v, Add, y)));
        all.extend(on(LEN, |y| activation_second(kind, &x, &v, (&x, &v), Add, y)));
    }
    all
}

fn layouts() -> Vec<f64> {
    let (x, n, inner) = (vector(11, LEN), 16, 64);
    let channels = LEN / (n * inner);
    let mut all = on(LEN, |y| layout::from_nchw(channels, n, &wide(&x), y));
    let bytes: Vec<u8> = (0..=u8::MAX).cycle().take(LEN).collect();
    let (mean, deviation) = (vec![0.5; channels * inner], vec![0.3; channels * inner]);
    let pixels = Pixels { bytes: &bytes, scale: 1.0 / 255.0, mean: &mean, deviation: &deviation };
    let numbers: Vec<u32> = (0..16).rev().collect();
    all.extend(on(LEN, |y| layout::from_pixels(channels, &pixels, &numbers, y)));
    all.extend(on(LEN, |y| layout::flatten(n, inner, &x, y)));
    all.extend(on(LEN, |y| layout::flatten(n * channels, inner, &x, y)));
    all.extend(on(LEN, |y| layout::unflatten(n, inner, &x, Add, y)));
    all.extend(on(LEN / 2, |y| layout::subsample(n, (channels, 8, 8), &x, y)));
    all.extend(on(LEN, |y| layout::subsample_adjoint((8, 8), &x[..LEN / 4], Set, y)));
    let examples: Vec<u32> = (0..16).collect();
    let key = MaskKey { seed: 1, step: 2, layer: 3 };
    all.extend(on(LEN, |y| dropout_mask(0.5, key, &examples, inner, y)));
    all
}

type Kernels = fn() -> Vec<f64>;

#[test]
fn bits_do_not_depend_on_the_number_of_threads() {
    let kernels: [(&str, Kernels); 9] = [
        ("matrix product", products),
        ("batch norm", all_bits),
        ("linear layer", linear_layers),
        ("convolution", convolutions),
        ("first layer", first_layer),
        ("pooling", pools),
        ("reduction", reductions),
        ("map", maps),
        ("layout and dropout", layouts),
    ];
    let with = |threads: usize, kernel: Kernels| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        bits(&pool.install(kernel))
    };
    for (name, kernel) in kernels {
        let one = with(1, kernel);
        for threads in [2, 4, 16] {
            assert!(with(threads, kernel) == one, "{name}: {threads} threads give other bits than one");
        }
    }
}
