//! The transformed-domain contractions against the naive ones: exact algebra in `f64`, stated error in `f32`.

use sharpness_backend::{Accumulate, Conv2d, Epilogue};
use sharpness_kernels::Real;
use sharpness_kernels::conv2d::{ConvolutionAlgorithm, Plan, reference};
use sharpness_kernels::epilogue::{Addends, Choice};
use sharpness_kernels::workspace::Workspace;

use crate::data::{F64_ROUNDING, Random, assert_within, norm, wide};

/// The error of `F(4x4, 3x3)` in `f32`, relative to the sum of the terms' magnitudes.
const F32_ERROR: f64 = 1e-5;

const fn geometry((channels_in, channels_out): (usize, usize), (height, width): (usize, usize)) -> Conv2d {
    Conv2d { channels_in, channels_out, height, width, kernel: 3, stride: 1, padding: 1 }
}

/// Two inputs, weights and output gradients.
struct Case<R> {
    x: [Vec<R>; 2],
    w: [Vec<R>; 2],
    y: [Vec<R>; 2],
}

impl<R: Real> Case<R> {
    fn new(g: &Conv2d, n: usize) -> Self {
        let mut random = Random::new(7);
        let mut two = |len| [random.vector::<R>(len), random.vector::<R>(len)];
        let pixels = n * g.height * g.width;
        Self { x: two(g.channels_in * pixels), w: two(g.weights()), y: two(g.channels_out * pixels) }
    }
}

fn pairs<'a, R>(a: &'a [Vec<R>; 2], b: &'a [Vec<R>; 2]) -> [(&'a [R], &'a [R]); 2] {
    [(&a[0], &b[0]), (&a[1], &b[1])]
}

/// Checks that `got` is `before` plus the sum of the reference over the pairs.
fn check_sum<R: Real>(
    got: &[R],
    before: &[R],
    (a, b): (&[Vec<R>; 2], &[Vec<R>; 2]),
    reference: impl Fn(&[f64], &[f64], &mut [f64]),
    tolerance: f64,
    what: &str,
) {
    let sum = |f: fn(f64) -> f64| {
        let mut total: Vec<f64> = wide(before).into_iter().map(f).collect();
        for k in 0..2 {
            let [a, b] = [&a[k], &b[k]].map(|x| wide(x).into_iter().map(f).collect::<Vec<_>>());
            let mut one = vec![0.0; before.len()];
            reference(&a, &b, &mut one);
            total.iter_mut().zip(one).for_each(|(t, o)| *t += o);
        }
        total
    };
    assert_within(got, &sum(|x| x), tolerance * norm(&sum(f64::abs)), what);
}

fn check<R: Real>(g: &Conv2d, n: usize, tolerance: f64) {
    let (plan, workspace) =
        (Plan::new::<R>(ConvolutionAlgorithm::Winograd, *g, Epilogue::None), Workspace::new());
    assert!(plan.input_len(n) > 0, "the algorithm prepares its operands");
    let case = Case::<R>::new(g, n);
    let prepared = [0, 1].map(|k| {
        let mut x = vec![R::from_f64(f64::NAN); plan.input_len(n)];
        plan.prepare_input(n, (&case.x[k], None), &mut x, &workspace);
        let mut y = vec![R::from_f64(f64::NAN); plan.output_len(n)];
        plan.prepare_output(n, &case.y[k], &[], &mut y, &workspace);
        (x, y)
    });
    let [(x0, y0), (x1, y1)] = prepared;
    let (x, y) = ([x0, x1], [y0, y1]);
    let what = |name: &str| format!("{name} of {g:?}, n = {n}");

    let mut out = vec![R::from_f64(f64::NAN); case.y[0].len()];
    plan.forward(n, &pairs(&x, &case.w), Addends::default(), Choice::Replay(&[]), &mut out, &workspace);
    let zero = vec![R::ZERO; out.len()];
    let forward = |a: &[f64], b: &[f64], y: &mut [f64]| reference::forward(g, n, a, b, y);
    check_sum(&out, &zero, (&case.x, &case.w), forward, tolerance, &what("forward"));

    let mut out = case.x[0].clone();
    plan.input_gradient(n, &pairs(&y, &case.w), &[], Accumulate::Add, (&mut out, None), &workspace);
    let input = |a: &[f64], b: &[f64], x: &mut [f64]| reference::input_gradient(g, n, a, b, x);
    check_sum(&out, &case.x[0], (&case.y, &case.w), input, tolerance, &what("input gradient"));

    for (mode, before) in
        [(Accumulate::Add, case.w[0].clone()), (Accumulate::Set, vec![R::ZERO; g.weights()])]
    {
        let mut out = case.w[0].clone();
        plan.weight_gradient(n, &pairs(&x, &y), &[], mode, &mut out, &workspace);
        let weight = |a: &[f64], b: &[f64], w: &mut [f64]| reference::weight_gradient(g, n, a, b, w);
        check_sum(&out, &before, (&case.x, &case.y), weight, tolerance, &what("weight gradient"));
    }
}

/// Images for each form, square or not, whole tiles or not, and channels that fill blocks of 16, panels of 32, or neither.
#[test]
fn every_form_is_the_reference() {
    for image in [(1, 1), (2, 2), (2, 5), (3, 3), (4, 4), (5, 7), (6, 6), (8, 8), (9, 4), (16, 16)] {
        for channels in [(1, 1), (3, 20), (16, 16), (40, 33)] {
            for n in [1, 3] {
                check::<f64>(&geometry(channels, image), n, 10.0 * F64_ROUNDING);
                check::<f32>(&geometry(channels, image), n, F32_ERROR);
            }
        }
    }
}

/// More images than a group of tiles holds, so that groups and parts of a sum are put together.
#[test]
fn several_groups_are_the_reference() {
    check::<f64>(&geometry((17, 5), (2, 2)), 230, 10.0 * F64_ROUNDING);
    check::<f32>(&geometry((16, 48), (8, 8)), 60, F32_ERROR);
    check::<f32>(&geometry((80, 150), (4, 4)), 130, F32_ERROR);
}

/// ReLU activations and weights of the scale that networks have, with as many channels as VGG-11.
#[test]
fn the_stated_error_holds_for_wide_layers() {
    for (channels, image, bound) in
        [((256, 256), (8, 8), 3e-6), ((512, 128), (4, 4), 4e-6), ((512, 128), (2, 2), 1.5e-6)]
    {
        let (g, n) = (geometry(channels, image), 2);
        let (plan, workspace) =
            (Plan::new::<f32>(ConvolutionAlgorithm::Auto, g, Epilogue::None), Workspace::new());
        let mut random = Random::new(3);
        let mut x: Vec<f32> = random.vector(g.channels_in * n * g.height * g.width);
        x.iter_mut().for_each(|x| *x = x.max(0.0));
        let w: Vec<f32> = random.vector(g.weights());
        let mut prepared = vec![0.0; plan.input_len(n)];
        plan.prepare_input(n, (&x, None), &mut prepared, &workspace);
        let mut y = vec![0.0; g.channels_out * n * g.height * g.width];
        plan.forward(n, &[(&prepared, &w)], Addends::default(), Choice::Replay(&[]), &mut y, &workspace);
        let mut want = vec![0.0; y.len()];
        reference::forward(&g, n, &wide(&x), &wide(&w), &mut want);
        let difference: Vec<f64> = y.iter().zip(&want).map(|(y, w)| f64::from(*y) - w).collect();
        let error = norm(&difference) / norm(&want);
        assert!(error < bound, "relative error {error:e} of {g:?} is above {bound:e}");
    }
}

/// The fused epilogue against the epilogue of the direct plan: outputs, choices, tangents and gradients.
#[test]
fn epilogues_are_those_of_the_direct_plan() {
    for (channels, image, n) in
        [((16, 20), (8, 8), 3), ((5, 32), (5, 7), 4), ((8, 16), (2, 2), 9), ((9, 17), (4, 6), 40)]
    {
        for epilogue in [Epilogue::Relu, Epilogue::ReluMaxPool] {
            check_epilogue(&geometry(channels, image), n, epilogue);
        }
    }
}

fn check_epilogue(g: &Conv2d, n: usize, epilogue: Epilogue) {
    let plans = [ConvolutionAlgorithm::Direct, ConvolutionAlgorithm::Winograd]
        .map(|method| Plan::new::<f64>(method, *g, epilogue));
    let (case, workspace) = (Case::<f64>::new(g, n), Workspace::new());
    let (height, width) = epilogue.output((g.height, g.width));
    let (len, bias) =
        (g.channels_out * n * height * width, &case.w[1][..g.channels_out.min(case.w[1].len())]);
    let [direct, fused] = plans.map(|plan| {
        let prepare = |x: &Vec<f64>| {
            let mut to = vec![f64::NAN; plan.input_len(n)];
            plan.prepare_input(n, (x, None), &mut to, &workspace);
            if to.is_empty() { x.clone() } else { to }
        };
        let x = prepare(&case.x[0]);
        let mut choice = vec![7; plan.choice_len(n)];
        let mut y = vec![f64::NAN; len];
        let pair = [(x.as_slice(), case.w[0].as_slice())];
        plan.forward(
            n,
            &pair,
            Addends { bias: Some(bias), residual: None },
            Choice::Record(&mut choice),
            &mut y,
            &workspace,
        );
        let mut tangent = vec![f64::NAN; len];
        let pair = [(x.as_slice(), case.w[1].as_slice())];
        plan.forward(
            n,
            &pair,
            Addends { bias: Some(bias), residual: None },
            Choice::Replay(&choice),
            &mut tangent,
            &workspace,
        );
        let mut dy = vec![f64::NAN; plan.output_len(n)];
        plan.prepare_output(n, &case.y[0][..len], &choice, &mut dy, &workspace);
        let mut dx = vec![f64::NAN; case.x[0].len()];
        plan.input_gradient(n, &[(&dy, &case.w[0])], &choice, Accumulate::Set, (&mut dx, None), &workspace);
        (choice, y, tangent, dx)
    });
    let what = format!("{epilogue:?} of {g:?}");
    assert_eq!(direct.0, fused.0, "choices of {what}");
    for (direct, fused) in [(&direct.1, &fused.1), (&direct.2, &fused.2), (&direct.3, &fused.3)] {
        assert_within(fused, direct, 1e-11 * norm(direct), &what);
    }
}
