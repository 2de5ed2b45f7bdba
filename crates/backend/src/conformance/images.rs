//! Activations: `Layout`, `Pooling`, `Channels` and `Dropout`.

use super::results::{BOTH, Results, images};
use crate::{Backend, MaskKey, Pixels, Pool2d, Shape};

/// One pixel, one row, odd sizes; one channel and seventeen.
const SHAPES: [Shape; 4] =
    [Shape::new(1, 1, 1), Shape::new(17, 1, 3), Shape::new(1, 4, 5), Shape::new(3, 7, 6)];

pub(super) fn results<B: Backend>(b: &B) -> Results {
    let mut r = Results::new(2);
    for (shape, n) in SHAPES.into_iter().flat_map(|shape| [1, 5].map(|n| (shape, n))) {
        layout(b, shape, n, &mut r);
        channels(b, shape, n, &mut r);
        subsample(b, shape, n, &mut r);
        dropout(b, shape, n, &mut r);
    }
    for (image, kernel, stride) in [((1, 1), 1, 1), ((4, 6), 2, 2), ((7, 5), 3, 2), ((5, 5), 2, 3)] {
        for channels in [1, 17] {
            pool(b, Shape::new(channels, image.0, image.1), (kernel, stride), &mut r);
        }
    }
    r
}

fn layout<B: Backend>(b: &B, shape: Shape, n: usize, r: &mut Results) {
    let x = r.activation(b, shape, n);
    r.push_activation(b, format!("images of {shape}, n = {n}"), shape, n, &x);
    let bytes: Vec<u8> = (0..7 * shape.elements()).map(|_| r.word().to_le_bytes()[0]).collect();
    let (mean, deviation) = (r.numbers(shape.elements()), r.numbers(shape.elements()));
    let deviation: Vec<f64> = deviation.iter().map(|x| x.abs() + 0.5).collect();
    let pixels = Pixels { bytes: &bytes, scale: 1.0 / 255.0, mean: &mean, deviation: &deviation };
    let mut y = b.buffer(n * shape.elements());
    b.upload_pixels(shape, &pixels, &[6, 0, 3, 3, 1][..n], &mut y);
    r.push_activation(b, format!("upload_pixels of {shape}, n = {n}"), shape, n, &y);
    let features = Shape::features(shape.elements());
    b.flatten(shape, n, &x, &mut y);
    r.push_activation(b, format!("flatten of {shape}, n = {n}"), features, n, &y);
    for accumulate in BOTH {
        let mut back = r.activation(b, shape, n);
        b.unflatten(shape, n, &y, accumulate, &mut back);
        r.push_activation(b, format!("unflatten of {shape}, n = {n}, {accumulate:?}"), shape, n, &back);
    }
}

fn channels<B: Backend>(b: &B, shape: Shape, n: usize, r: &mut Results) {
    let (x, y) = (r.activation(b, shape, n), r.activation(b, shape, n));
    // All channels, or the whole as one.
    for of in [shape, Shape::new(1, 1, shape.elements())] {
        let what = |method: &str| format!("{method} of {of}, n = {n}");
        let (mut sum, mut dot) = (b.wide(of.channels()), b.wide(of.channels()));
        b.channel_sum(of, n, &x, &mut sum);
        r.push(what("channel_sum"), b.read(&sum));
        b.channel_dot(of, n, &x, &y, &mut dot);
        r.push(what("channel_dot"), b.read(&dot));
        for (accumulate, bias) in BOTH.into_iter().flat_map(|mode| [(mode, None), (mode, Some(&sum))]) {
            let mut out = r.activation(b, shape, n);
            b.channel_affine(of, n, &[(&sum, &x), (&dot, &y)], bias, accumulate, &mut out);
            r.push_activation(b, what("channel_affine"), shape, n, &out);
            let mut out = r.activation(b, shape, n);
            b.channel_affine(of, n, &[], bias, accumulate, &mut out);
            r.push_activation(b, what("channel_affine without terms"), shape, n, &out);
        }
    }
}

fn subsample<B: Backend>(b: &B, shape: Shape, n: usize, r: &mut Results) {
    let channels_out = shape.channels() + 2;
    let out = Shape::new(channels_out, shape.height().div_ceil(2), shape.width().div_ceil(2));
    let x = r.activation(b, shape, n);
    let mut y = b.buffer(n * out.elements());
    b.subsample(shape, channels_out, n, &x, &mut y);
    r.push_activation(b, format!("subsample of {shape}, n = {n}"), out, n, &y);
    let y = r.activation(b, out, n);
    for accumulate in BOTH {
        let mut x = r.activation(b, shape, n);
        b.subsample_adjoint(shape, channels_out, n, &y, accumulate, &mut x);
        r.push_activation(b, format!("subsample_adjoint of {shape}, n = {n}, {accumulate:?}"), shape, n, &x);
    }
}

fn dropout<B: Backend>(b: &B, shape: Shape, n: usize, r: &mut Results) {
    let mut examples = b.integers(n);
    b.upload_integers(&[3, 0, 49_999, 7, 7][..n], &mut examples);
    let key = MaskKey { seed: 0x1234_5678_9ABC_DEF0, step: 5, layer: 2 };
    let mut mask = b.buffer(n * shape.elements());
    b.dropout_mask(0.3, key, shape, n, &examples, &mut mask);
    r.push_activation(b, format!("dropout_mask of {shape}, n = {n}"), shape, n, &mask);
}

fn pool<B: Backend>(b: &B, shape: Shape, (kernel, stride): (usize, usize), r: &mut Results) {
    let n = 3;
    let (kernel_height, kernel_width) = (kernel, kernel);
    let pool = Pool2d { height: shape.height(), width: shape.width(), kernel_height, kernel_width, stride };
    let (h, w, _) = pool.sizes();
    let (out, planes) = (Shape::new(shape.channels(), h, w), n * shape.channels());
    let mut ties = r.ties(n * shape.elements());
    let (of_ties, numbers) = (images(b, shape, n, &ties), r.activation(b, shape, n));
    ties[shape.elements() / 2] = f64::NAN;
    let not_a_number = images(b, shape, n, &ties);
    let what = |method: &str| format!("{method} of {pool:?}, {} channels", shape.channels());
    for x in [&of_ties, &numbers, &not_a_number] {
        let (mut y, mut choice) = (b.buffer(n * out.elements()), b.bytes(n * out.elements()));
        b.max_pool(&pool, planes, x, &mut y, &mut choice);
        r.push_activation(b, what("max_pool"), out, n, &y);
        let other = r.activation(b, shape, n);
        b.max_pool_gather(&pool, planes, &other, &choice, &mut y);
        r.push_activation(b, what("max_pool_gather"), out, n, &y);
        let dy = r.activation(b, out, n);
        for accumulate in BOTH {
            let mut dx = r.activation(b, shape, n);
            b.max_pool_scatter(&pool, planes, &dy, &choice, accumulate, &mut dx);
            r.push_activation(b, what("max_pool_scatter"), shape, n, &dx);
        }
    }
    let mut y = b.buffer(n * out.elements());
    b.average_pool(&pool, planes, &numbers, &mut y);
    r.push_activation(b, what("average_pool"), out, n, &y);
    let dy = r.activation(b, out, n);
    for accumulate in BOTH {
        let mut dx = r.activation(b, shape, n);
        b.average_pool_adjoint(&pool, planes, &dy, accumulate, &mut dx);
        r.push_activation(b, what("average_pool_adjoint"), shape, n, &dx);
    }
}
