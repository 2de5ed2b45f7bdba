//! Epilogues against the chain of separate kernels that they stand for: bias, ReLU, max pooling.

use sharpness_backend::{Accumulate, Activation, Epilogue, Pool2d};
use sharpness_kernels::epilogue::{NOTHING, Size, apply, channel_sum, gather, scatter};
use sharpness_kernels::pool2d::{max_pool, max_pool_gather, max_pool_scatter};
use sharpness_kernels::simd::LANES;
use sharpness_kernels::{Real, activation, channels};

use crate::data::{F64_ROUNDING, Random, assert_near, assert_same, wide};

const ALL: [Epilogue; 3] = [Epilogue::None, Epilogue::Relu, Epilogue::ReluMaxPool];

/// One pixel, one row, odd sizes, more pixels than are handled at once; one channel, whole blocks and parts of one.
const SIZES: [(usize, usize, usize, usize); 7] = [
    (1, 1, 1, 1),
    (17, 2, 1, 5),
    (3, 4, 2, 2),
    (16, 3, 5, 4),
    (33, 2, 7, 3),
    (5, 2, 12, 17),
    (40, 3, 16, 16),
];

fn sizes() -> impl Iterator<Item = Size> {
    SIZES.into_iter().map(|(channels, n, height, width)| Size { channels, n, height, width })
}

const fn geometry(size: &Size) -> Pool2d {
    Pool2d { height: size.height, width: size.width, kernel_height: 2, kernel_width: 2, stride: 2 }
}

/// Numbers with many ties, zeros of both signs, and a NaN now and then.
pub(crate) fn awkward<R: Real>(random: &mut Random, len: usize) -> Vec<R> {
    let number = |random: &mut Random| match random.word() % 16 {
        0 => f64::NAN,
        1..4 => -0.0,
        word => (word % 7) as f64 - 3.0,
    };
    (0..len).map(|_| R::from_f64(number(random))).collect()
}

/// What the separate kernels make of one `z` and its companions.
struct Chain<'a, R> {
    epilogue: Epilogue,
    size: &'a Size,
    /// `z + b`.
    biased: Vec<R>,
    /// The choices of max pooling.
    choice: Vec<u8>,
    y: Vec<R>,
}

impl<'a, R: Real> Chain<'a, R> {
    fn new(epilogue: Epilogue, size: &'a Size, z: &[R], bias: &[R]) -> Self {
        let biased = plus(size, z, bias);
        let (mut y, mut choice) = (biased.clone(), Vec::new());
        if epilogue != Epilogue::None {
            activation::activation(Activation::Relu, &biased, &mut y);
        }
        if epilogue == Epilogue::ReluMaxPool {
            let full = std::mem::replace(&mut y, vec![R::ZERO; size.output_len(epilogue)]);
            choice = vec![0; y.len()];
            pooled(size, |g| max_pool(g, &full, &mut y, &mut choice));
        }
        Self { epilogue, size, biased, choice, y }
    }

    /// `relu'(z + b) ⊙ v`.
    fn masked(&self, v: &[R]) -> Vec<R> {
        let mut out = v.to_vec();
        if self.epilogue != Epilogue::None {
            let relu = Activation::Relu;
            activation::activation_first(relu, &self.biased, v, Accumulate::Set, &mut out);
        }
        out
    }

    fn tangent(&self, z_dot: &[R], bias_dot: &[R]) -> Vec<R> {
        let full = self.masked(&plus(self.size, z_dot, bias_dot));
        if self.epilogue != Epilogue::ReluMaxPool {
            return full;
        }
        let mut y = vec![R::ZERO; self.y.len()];
        pooled(self.size, |g| max_pool_gather(g, &full, &self.choice, &mut y));
        y
    }

    fn gradient(&self, dy: &[R]) -> Vec<R> {
        if self.epilogue != Epilogue::ReluMaxPool {
            return self.masked(dy);
        }
        let mut full = vec![R::ZERO; self.size.elements()];
        pooled(self.size, |g| max_pool_scatter(g, dy, &self.choice, Accumulate::Set, &mut full));
        self.masked(&full)
    }
}

/// Pools where a window fits.
fn pooled(size: &Size, f: impl FnOnce(&Pool2d)) {
    if geometry(size).output().is_some() {
        f(&geometry(size));
    }
}

fn plus<R: Real>(size: &Size, z: &[R], bias: &[R]) -> Vec<R> {
    let mut sum = z.to_vec();
    channels::channel_affine(size.channels, &[], Some(&wide(bias)), Accumulate::Add, &mut sum);
    sum
}

/// The examples of `start..end` of `z: [c, n, h, w]`.
fn part<R: Real>(size: &Size, z: &[R], (start, end): (usize, usize)) -> Vec<R> {
    let pixels = size.height * size.width;
    z.chunks(size.n * pixels).flat_map(|z| &z[start * pixels..end * pixels]).copied().collect()
}

/// The output and the choices, made in parts of one and of all other examples.
fn apply_parts<R: Real>(epilogue: Epilogue, size: &Size, z: &[R], bias: &[R]) -> (Vec<R>, Vec<u8>) {
    let mut y = vec![R::from_f64(9.0); size.output_len(epilogue)];
    let mut choice = vec![77; size.choice_len(epilogue)];
    for range in [(0, 1), (1, size.n)] {
        let z = part(size, z, range);
        apply(epilogue, size, range.0..range.1, (&z, Some(bias)), &mut choice, &mut y);
    }
    (y, choice)
}

fn check<R: Real>(epilogue: Epilogue, size: &Size, z: &[R], random: &mut Random) {
    let what = format!("{epilogue:?} of {size:?}");
    let (bias, bias_dot) = (awkward::<R>(random, size.channels), random.vector::<R>(size.channels));
    let (z_dot, dy) = (random.vector::<R>(z.len()), random.vector::<R>(size.output_len(epilogue)));
    let chain = Chain::new(epilogue, size, z, &bias);

    let (y, choice) = apply_parts(epilogue, size, z, &bias);
    assert_same(&y, &chain.y, &format!("value, {what}"));

    let mut y_dot = vec![R::from_f64(f64::NAN); y.len()];
    for range in [(0, 1), (1, size.n)] {
        let z_dot = part(size, &z_dot, range);
        gather(epilogue, size, range.0..range.1, (&z_dot, Some(&bias_dot)), &choice, &mut y_dot);
    }
    // A NaN has no derivative; where it is the maximum its pixel passes nothing in the chain.
    let (mut want, skip) = (chain.tangent(&z_dot, &bias_dot), y.iter().map(|y| y.is_nan()));
    for ((got, want), skip) in y_dot.iter_mut().zip(&mut want).zip(skip) {
        if skip {
            (*got, *want) = (R::ZERO, R::ZERO);
        }
    }
    assert_same(&y_dot, &want, &format!("tangent, {what}"));

    let dy: Vec<R> = dy.iter().zip(&y).map(|(&dy, y)| if y.is_nan() { R::ZERO } else { dy }).collect();
    let mut dz = vec![R::from_f64(f64::NAN); z.len()];
    scatter(epilogue, size, &dy, &choice, Accumulate::Set, &mut dz);
    let want = chain.gradient(&dy);
    assert_near(&dz, &wide(&want), 0.0, &format!("gradient, {what}"));

    let (mut sums, mut want_sums) = (vec![f64::NAN; size.channels], vec![f64::NAN; size.channels]);
    channel_sum(epilogue, size, &dy, &choice, &mut sums);
    channels::channel_sum(&want, &mut want_sums);
    assert_near(&sums, &want_sums, F64_ROUNDING, &format!("bias gradient, {what}"));
}

#[test]
fn an_epilogue_is_the_chain_of_its_kernels() {
    let mut random = Random::new(31);
    for size in sizes() {
        for epilogue in ALL {
            let z = random.vector::<f32>(size.elements());
            check(epilogue, &size, &z, &mut random);
            let z = awkward::<f32>(&mut random, size.elements());
            check(epilogue, &size, &z, &mut random);
            let z = awkward::<f64>(&mut random, size.elements());
            check(epilogue, &size, &z, &mut random);
        }
    }
}

#[test]
fn gradients_are_the_adjoints_of_the_tangent() {
    let mut random = Random::new(32);
    for size in sizes() {
        for epilogue in ALL {
            let z = random.vector::<f64>(size.elements());
            let (y, choice) = apply_parts(epilogue, &size, &z, &vec![0.1; size.channels]);
            let (z_dot, b_dot, dy) =
                (random.vector(z.len()), random.vector(size.channels), random.vector::<f64>(y.len()));
            let (mut y_dot, mut dz, mut db) = (dy.clone(), z.clone(), b_dot.clone());
            gather(epilogue, &size, 0..size.n, (&z_dot, Some(&b_dot)), &choice, &mut y_dot);
            scatter(epilogue, &size, &dy, &choice, Accumulate::Set, &mut dz);
            channel_sum(epilogue, &size, &dy, &choice, &mut db);
            let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
            let (left, right) = (dot(&dy, &y_dot), dot(&dz, &z_dot) + dot(&db, &b_dot));
            assert!((left - right).abs() < 1e-10, "{epilogue:?} of {size:?}: {left} is not {right}");
        }
    }
}

#[test]
fn no_bias_is_a_bias_of_zeros() {
    let mut random = Random::new(33);
    for size in sizes() {
        for epilogue in ALL {
            let z = random.vector::<f32>(size.elements());
            let run = |bias: Option<&[f32]>| {
                let mut y = vec![0.0; size.output_len(epilogue)];
                let (mut y_dot, mut choice) = (y.clone(), vec![0; size.choice_len(epilogue)]);
                apply(epilogue, &size, 0..size.n, (&z, bias), &mut choice, &mut y);
                gather(epilogue, &size, 0..size.n, (&z, bias), &choice, &mut y_dot);
                (wide(&y), wide(&y_dot), choice)
            };
            assert_eq!(run(None), run(Some(&vec![0.0; size.channels])), "{epilogue:?} of {size:?}");
        }
    }
}

/// The layout that other kernels read and write too.
#[test]
fn choices_have_their_documented_layout() {
    let size = Size { channels: 18, n: 1, height: 2, width: 3 };
    let mut z = vec![-1.0_f32; size.elements()];
    let at = |c: usize, pixel: usize| c * 6 + pixel;
    z[at(0, 0)] = 1.0;
    z[at(9, 0)] = 1.0;
    z[at(17, 5)] = 1.0;
    let (_, bits) = apply_parts(Epilogue::Relu, &size, &z, &[0.0; 18]);
    let mut want = vec![0_u8; 2 * 6 * 2];
    (want[0], want[1]) = (1, 2);
    want[2 * (6 + 5)] = 2;
    assert_eq!(bits, want, "bit `lane` of the u16 of a block's pixel");

    // Ties: the first of the window wins, as NaN does; the third column is in no window.
    z[at(0, 4)] = 1.0;
    (z[at(9, 1)], z[at(9, 4)]) = (f32::NAN, f32::NAN);
    z[at(16, 3)] = 0.0;
    let (y, choice) = apply_parts(Epilogue::ReluMaxPool, &size, &z, &[0.0; 18]);
    let mut want = vec![NOTHING; 2 * LANES];
    (want[0], want[9]) = (0, 1);
    assert_eq!(choice, want, "one byte for each lane of a window");
    assert!(y[9].is_nan(), "a NaN stays one");
}
