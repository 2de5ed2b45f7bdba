//! Batch norm and what follows it against loops in `f64` that read like the formulas.

use sharpness_backend::{Accumulate, Epilogue};
use sharpness_kernels::Real;
use sharpness_kernels::batch_norm::{BatchNorm, Point};
use sharpness_kernels::epilogue::{self, Size};
use sharpness_kernels::workspace::Workspace;

use crate::data::{F32_ROUNDING, F64_ROUNDING, Random, assert_near, assert_same, assert_within, norm, wide};
use crate::epilogue::awkward;

const ALL: [Epilogue; 3] = [Epilogue::None, Epilogue::Relu, Epilogue::ReluMaxPool];
const EPSILON: f64 = 1e-5;

/// One pixel, one row, odd sizes, windows whose rows fill a vector or divide it, more elements than a block and than one thread takes.
const SIZES: [(usize, usize, usize, usize); 14] = [
    (1, 1, 1, 1),
    (3, 5, 1, 3),
    (2, 3, 2, 2),
    (1, 19, 2, 2),
    (2, 9, 4, 4),
    (3, 5, 8, 8),
    (2, 3, 6, 16),
    (2, 3, 4, 32),
    (1, 2, 2, 64),
    (2, 2, 6, 48),
    (3, 4, 7, 5),
    (2, 3, 14, 28),
    (17, 3, 9, 16),
    (5, 9, 32, 32),
];

fn sizes() -> impl Iterator<Item = Size> {
    SIZES.into_iter().map(|(channels, n, height, width)| Size { channels, n, height, width })
}

/// Every layer of the table whose windows fit.
fn layers() -> impl Iterator<Item = BatchNorm> {
    let of = |size: Size| {
        let layer = move |epilogue, of_batch| BatchNorm { size, epilogue, epsilon: EPSILON, of_batch };
        ALL.into_iter().flat_map(move |epilogue| [layer(epilogue, true), layer(epilogue, false)])
    };
    sizes().flat_map(of).filter(|layer| layer.size.output_len(layer.epilogue) > 0)
}

/// What the epilogue makes of `z`: for each output the element that it takes, if any.
fn choices(layer: &BatchNorm, z: &[f64]) -> Vec<Option<usize>> {
    let Size { height, width, .. } = layer.size;
    let passes = |i: usize| (z[i] > 0.0).then_some(i);
    match layer.epilogue {
        Epilogue::None => (0..z.len()).map(Some).collect(),
        Epilogue::Relu => (0..z.len()).map(passes).collect(),
        Epilogue::ReluMaxPool => {
            let mut chosen = Vec::new();
            for plane in 0..z.len() / (height * width) {
                for (oy, ox) in (0..height / 2).flat_map(|oy| (0..width / 2).map(move |ox| (oy, ox))) {
                    let first = (plane * height + 2 * oy) * width + 2 * ox;
                    let corners = [first, first + 1, first + width, first + width + 1];
                    let best = corners.into_iter().rev().max_by(|&i, &j| z[i].total_cmp(&z[j]));
                    chosen.push(best.and_then(passes));
                }
            }
            chosen
        }
    }
}

/// Per-channel results and whole results of the four rules.
#[derive(Debug, Default)]
struct Results<T> {
    mean: Vec<f64>,
    variance: Vec<f64>,
    y: Vec<T>,
    sums: [Vec<f64>; 2],
    dx: Vec<T>,
    y_dot: Vec<T>,
    sums_dot: [Vec<f64>; 2],
    dx_dot: Vec<T>,
}

/// The operands of the four rules.
struct Operands<R> {
    x: Vec<R>,
    gamma: Vec<R>,
    beta: Vec<R>,
    dy: Vec<R>,
    dy_dot: Vec<R>,
    x_dot: Option<Vec<R>>,
    gamma_dot: Vec<R>,
    beta_dot: Vec<R>,
    statistics: [Vec<f64>; 2],
}

impl<R: Real> Operands<R> {
    fn new(layer: &BatchNorm, seed: u64, with_input: bool) -> Self {
        let (mut random, channels) = (Random::new(seed), layer.size.channels);
        let (inputs, outputs) = (layer.size.elements(), layer.size.output_len(layer.epilogue));
        let variance = (0..channels).map(|_| random.number().abs() + 0.5).collect();
        Self {
            // Channels whose mean is large against their deviations.
            x: (0..inputs).map(|_| R::from_f64(3.0 + random.number())).collect(),
            gamma: random.vector(channels),
            beta: random.vector(channels),
            dy: random.vector(outputs),
            dy_dot: random.vector(outputs),
            x_dot: with_input.then(|| random.vector(inputs)),
            gamma_dot: random.vector(channels),
            beta_dot: random.vector(channels),
            statistics: [random.vector(channels), variance],
        }
    }

    /// What the kernels give.
    fn run(&self, layer: &BatchNorm, how: Accumulate, before: &[R]) -> Results<R> {
        let (workspace, nan) = (Workspace::new(), R::from_f64(f64::NAN));
        let channels = layer.size.channels;
        let [mut mean, mut variance] = self.statistics.clone();
        let (mut y, mut choice) = (vec![nan; self.dy.len()], vec![77; layer.choice_len()]);
        let affine = (&self.gamma[..], &self.beta[..]);
        layer.value(&self.x, affine, (&mut mean, &mut variance), &mut choice, &mut y, &workspace);
        let at = Point { x: &self.x, mean: &mean, variance: &variance, gamma: &self.gamma, choice: &choice };
        let pair = || [vec![f64::NAN; channels], vec![f64::NAN; channels]];
        let ([mut a, mut c], [mut p, mut m], [mut e, mut d]) = (pair(), pair(), pair());
        let (mut dx, mut dx_dot, mut y_dot) = (before.to_vec(), before.to_vec(), y.clone());
        layer.gradient(at, &self.dy, (&mut a, &mut c), Some((&mut dx, how)), &workspace);
        let (x_dot, dot) = (self.x_dot.as_deref(), (&self.gamma_dot[..], &self.beta_dot[..]));
        layer.tangent(at, x_dot, dot, (&mut p, &mut m), &mut y_dot, &workspace);
        let known = ((&a[..], &c[..]), (&p[..], &m[..]));
        let (adjoint, sums) = ((&self.dy[..], &self.dy_dot[..]), (&mut e[..], &mut d[..]));
        let target = Some((&mut dx_dot[..], how));
        layer.gradient_tangent(at, known, adjoint, (x_dot, dot.0), sums, target, &workspace);
        Results { mean, variance, y, sums: [a, c], dx, y_dot, sums_dot: [e, d], dx_dot }
    }

    /// What the formulas give, in `f64`.
    fn formulas(&self, layer: &BatchNorm) -> Results<f64> {
        let (channels, mut all) = (layer.size.channels, Results::default());
        for c in 0..channels {
            let part = |x: &[R]| -> Vec<f64> {
                let len = x.len() / channels;
                x[c * len..(c + 1) * len].iter().map(|x| x.to_f64()).collect()
            };
            self.channel(layer, c, part, &mut all);
        }
        all
    }

    fn channel(&self, layer: &BatchNorm, c: usize, part: impl Fn(&[R]) -> Vec<f64>, all: &mut Results<f64>) {
        let (x, dy, dy_dot) = (part(&self.x), part(&self.dy), part(&self.dy_dot));
        let x_dot = self.x_dot.as_ref().map_or_else(|| vec![0.0; x.len()], |x_dot| part(x_dot));
        let (gamma, beta) = (self.gamma[c].to_f64(), self.beta[c].to_f64());
        let (gamma_dot, beta_dot) = (self.gamma_dot[c].to_f64(), self.beta_dot[c].to_f64());
        let (count, batch) = (x.len() as f64, layer.of_batch);
        let mean_of = |f: &dyn Fn(usize) -> f64| (0..x.len()).map(f).sum::<f64>() / count;
        let mean = if batch { mean_of(&|i| x[i]) } else { self.statistics[0][c] };
        let variance = if batch { mean_of(&|i| (x[i] - mean).powi(2)) } else { self.statistics[1][c] };
        let s = 1.0 / (variance + EPSILON).sqrt();
        let hat: Vec<f64> = x.iter().map(|x| s * (x - mean)).collect();
        let z: Vec<f64> = hat.iter().map(|hat| gamma * hat + beta).collect();
        let chosen = choices(layer, &z);
        let pull = |dy: &[f64]| {
            let mut dz = vec![0.0; x.len()];
            chosen.iter().zip(dy).for_each(|(i, dy)| i.iter().for_each(|&i| dz[i] = *dy));
            dz
        };
        let push = |z: &[f64]| chosen.iter().map(|i| i.map_or(0.0, |i| z[i])).collect::<Vec<f64>>();

        // The derivative of the statistics, then the product rule throughout.
        let through = if batch { 1.0 } else { 0.0 };
        let (mean_dot, m) = (through * mean_of(&|i| x_dot[i]), through * mean_of(&|i| hat[i] * x_dot[i]));
        let hat_dot: Vec<f64> = (0..x.len()).map(|i| s * (x_dot[i] - mean_dot - m * hat[i])).collect();
        let s_dot = -s * s * m;
        let z_dot: Vec<f64> =
            (0..x.len()).map(|i| gamma_dot * hat[i] + gamma * hat_dot[i] + beta_dot).collect();
        let (dz, dz_dot) = (pull(&dy), pull(&dy_dot));
        let (a, a_dot) = (mean_of(&|i| dz[i]), mean_of(&|i| dz_dot[i]));
        let b = mean_of(&|i| dz[i] * hat[i]);
        let b_dot = mean_of(&|i| dz_dot[i] * hat[i] + dz[i] * hat_dot[i]);
        let inner = |i: usize| dz[i] - through * (a + b * hat[i]);
        let inner_dot = |i: usize| dz_dot[i] - through * (a_dot + b_dot * hat[i] + b * hat_dot[i]);
        all.mean.push(mean);
        all.variance.push(variance);
        all.y.extend(push(&z));
        all.y_dot.extend(push(&z_dot));
        all.dx.extend((0..x.len()).map(|i| gamma * s * inner(i)));
        all.dx_dot.extend(
            (0..x.len()).map(|i| (gamma_dot * s + gamma * s_dot) * inner(i) + gamma * s * inner_dot(i)),
        );
        for (all, sums) in [(&mut all.sums, [a, b]), (&mut all.sums_dot, [a_dot, b_dot])] {
            all.iter_mut().zip(sums).for_each(|(all, sum)| all.push(sum * count));
        }
    }
}

/// Compares all results. A single element has no deviation: there, differences of equal numbers are multiplied by `ε^(-1/2)`.
fn check<R: Real>(layer: &BatchNorm, seed: u64, with_input: bool, tolerance: f64) {
    let what = format!("{layer:?}, input tangent {with_input}");
    let operands = Operands::<R>::new(layer, seed, with_input);
    let before: Vec<R> = Random::new(seed + 1).vector(operands.x.len());
    let want = operands.formulas(layer);
    for how in [Accumulate::Set, Accumulate::Add] {
        let start = if how == Accumulate::Add { wide(&before) } else { vec![0.0; before.len()] };
        let blank = vec![R::from_f64(f64::NAN); before.len()];
        let got = operands.run(layer, how, if how == Accumulate::Add { &before } else { &blank });
        assert_near(&got.mean, &want.mean, tolerance, &format!("mean, {what}"));
        assert_within(
            &got.variance,
            &want.variance,
            tolerance * norm(&want.mean),
            &format!("variance, {what}"),
        );
        assert_near(&got.y, &want.y, tolerance, &format!("value, {what}"));
        assert_near(&got.y_dot, &want.y_dot, tolerance, &format!("tangent, {what}"));
        for (got, want, scale) in
            [(&got.sums, &want.sums, &operands.dy), (&got.sums_dot, &want.sums_dot, &operands.dy_dot)]
        {
            // Sums of numbers of both signs.
            let error = tolerance * (norm(&wide(scale)) + norm(&want.concat())) * 2.0;
            assert_within(&got.concat(), &want.concat(), error, &format!("sums, {what}"));
        }
        let plus = |dx: &[f64]| dx.iter().zip(&start).map(|(dx, start)| dx + start).collect::<Vec<_>>();
        for (got, want, name) in
            [(&got.dx, &want.dx, "gradient"), (&got.dx_dot, &want.dx_dot, "gradient's tangent")]
        {
            let want = plus(want);
            let error = tolerance * (norm(&want) + norm(&wide(&operands.dy)));
            assert_within(got, &want, error, &format!("{name}, {what}"));
        }
    }
}

#[test]
fn rules_are_their_formulas() {
    for layer in layers() {
        for with_input in [true, false] {
            check::<f64>(&layer, 51, with_input, 100.0 * F64_ROUNDING);
            check::<f32>(&layer, 52, with_input, F32_ROUNDING);
        }
    }
}

/// With statistics that change nothing, only the epilogue is left: it chooses as the epilogue of other layers does.
fn check_choices<R: Real>(layer: &BatchNorm, seed: u64) {
    let (mut random, size, channels) = (Random::new(seed), &layer.size, layer.size.channels);
    let (what, workspace) = (format!("{layer:?}"), Workspace::new());
    let layer = BatchNorm { epsilon: 0.0, of_batch: false, ..*layer };
    let x: Vec<R> = awkward(&mut random, size.elements());
    let (ones, zeros) = (vec![R::ONE; channels], vec![R::ZERO; channels]);
    let (mut mean, mut variance) = (vec![0.0; channels], vec![1.0; channels]);
    let outputs = size.output_len(layer.epilogue);
    let (mut y, mut choice) = (vec![R::ONE; outputs], vec![77; layer.choice_len()]);
    layer.value(&x, (&ones, &zeros), (&mut mean, &mut variance), &mut choice, &mut y, &workspace);
    let (mut want, mut want_choice) = (y.clone(), vec![0; size.choice_len(layer.epilogue)]);
    epilogue::apply(layer.epilogue, size, 0..size.n, (&x, None), &mut want_choice, &mut want);
    // A NaN is one whatever its bits.
    let canonical =
        |y: &[R]| y.iter().map(|&y| if y.is_nan() { R::ONE } else { y + R::ZERO }).collect::<Vec<R>>();
    let nan = |y: &[R]| y.iter().map(|y| y.is_nan()).collect::<Vec<_>>();
    assert_eq!(nan(&y), nan(&want), "numbers, {what}");
    assert_same(&canonical(&y), &canonical(&want), &format!("value, {what}"));

    let (dy, mut dx, mut sums) = (random.vector::<R>(outputs), x.clone(), (mean.clone(), mean.clone()));
    let at = Point { x: &x, mean: &mean, variance: &variance, gamma: &ones, choice: &choice };
    let target = Some((&mut dx[..], Accumulate::Set));
    layer.gradient(at, &dy, (&mut sums.0, &mut sums.1), target, &workspace);
    let mut want = x.clone();
    epilogue::scatter(layer.epilogue, size, &dy, &want_choice, Accumulate::Set, &mut want);
    assert_same(&dx, &want, &format!("gradient, {what}"));
}

#[test]
fn ties_and_what_is_no_number_are_chosen_as_in_other_layers() {
    for layer in layers() {
        check_choices::<f32>(&layer, 53);
        check_choices::<f64>(&layer, 54);
    }
}

#[test]
fn gradients_of_parameters_need_no_gradient_of_the_input() {
    for layer in layers() {
        let (operands, workspace) = (Operands::<f32>::new(&layer, 55, true), Workspace::new());
        let channels = layer.size.channels;
        let [mut mean, mut variance] = operands.statistics.clone();
        let (mut y, mut choice) = (operands.dy.clone(), vec![0; layer.choice_len()]);
        let affine = (&operands.gamma[..], &operands.beta[..]);
        layer.value(&operands.x, affine, (&mut mean, &mut variance), &mut choice, &mut y, &workspace);
        let gamma = &operands.gamma;
        let at = Point { x: &operands.x, mean: &mean, variance: &variance, gamma, choice: &choice };
        let mut sums = (vec![f64::NAN; channels], vec![f64::NAN; channels]);
        layer.gradient(at, &operands.dy, (&mut sums.0, &mut sums.1), None, &workspace);
        let want = operands.run(&layer, Accumulate::Set, &operands.x).sums;
        assert_same(&sums.0, &want[0], &format!("bias, {layer:?}"));
        assert_same(&sums.1, &want[1], &format!("weight, {layer:?}"));
    }
}

/// The bits of all results of large layers.
pub(crate) fn all_bits() -> Vec<f64> {
    let size = Size { channels: 9, n: 6, height: 32, width: 32 };
    let mut all = Vec::new();
    for epilogue in ALL {
        let layer = BatchNorm { size, epilogue, epsilon: EPSILON, of_batch: true };
        let operands = Operands::<f32>::new(&layer, 56, true);
        let got = operands.run(&layer, Accumulate::Add, &operands.x);
        all.extend([got.mean, got.variance].concat());
        all.extend([got.sums.concat(), got.sums_dot.concat()].concat());
        for part in [got.y, got.dx, got.y_dot, got.dx_dot] {
            all.extend(wide(&part));
        }
    }
    all
}
