//! Plans and linear layers, with prepared operands and an epilogue, against the chain of the separate kernels.

use sharpness_backend::{Accumulate, Conv2d, Epilogue};
use sharpness_kernels::Real;
use sharpness_kernels::conv2d::{ConvolutionAlgorithm, Plan, reference};
use sharpness_kernels::epilogue::{self, Addends, Choice, Size};
use sharpness_kernels::linear::Linear;
use sharpness_kernels::workspace::Workspace;

use crate::data::{F32_ROUNDING, F64_ROUNDING, Random, assert_near, wide};

const ALL: [Epilogue; 3] = [Epilogue::None, Epilogue::Relu, Epilogue::ReluMaxPool];

/// The geometries of a small layer: odd and even images, strides, no padding, more channels than one block of choices.
fn geometries() -> Vec<Conv2d> {
    let all = [
        (3, 2, 8, 8, 3, 1, 1),
        (2, 17, 5, 7, 3, 1, 1),
        (1, 3, 9, 4, 5, 2, 2),
        (4, 4, 6, 6, 1, 1, 0),
        (16, 33, 4, 4, 3, 1, 1),
        (3, 5, 2, 2, 3, 1, 1),
    ];
    let of = |(channels_in, channels_out, height, width, kernel, stride, padding)| Conv2d {
        channels_in,
        channels_out,
        height,
        width,
        kernel,
        stride,
        padding,
    };
    all.into_iter().map(of).collect()
}

fn size(g: &Conv2d, n: usize) -> Size {
    let (height, width) = g.output().expect("the cases have outputs");
    Size { channels: g.channels_out, n, height, width }
}

/// An operand as the contractions take it.
fn prepared<R: Real>(len: usize, raw: &[R], prepare: impl FnOnce(&mut [R])) -> Vec<R> {
    if len == 0 {
        return raw.to_vec();
    }
    let mut to = vec![R::from_f64(f64::NAN); len];
    prepare(&mut to);
    to
}

/// Writes one term of a formula.
type Term<'a> = &'a dyn Fn(&mut [f64]);

/// The sum of two terms of the formula, in double precision.
fn sum(len: usize, terms: [Term<'_>; 2]) -> Vec<f64> {
    let (mut total, mut one) = (vec![0.0; len], vec![0.0; len]);
    for term in terms {
        term(&mut one);
        total.iter_mut().zip(&one).for_each(|(t, o)| *t += o);
    }
    total
}

/// The operands of two pairs.
struct Two<R> {
    x: [Vec<R>; 2],
    w: [Vec<R>; 2],
    dy: [Vec<R>; 2],
}

fn check<R: Real>(method: ConvolutionAlgorithm, g: Conv2d, epilogue: Epilogue, n: usize, tolerance: f64) {
    let what = format!("{method:?}, {epilogue:?}, {g:?}, n = {n}");
    let (size, mut random) = (size(&g, n), Random::new(41));
    let len = size.output_len(epilogue);
    let mut two = |len| [random.vector::<R>(len), random.vector::<R>(len)];
    let o = Two { x: two(g.channels_in * n * g.height * g.width), w: two(g.weights()), dy: two(len) };
    let bias = random.vector::<R>(g.channels_out);
    let plan = Plan::new::<R>(method, g, epilogue);
    let workspace = Workspace::new();
    let x = [0, 1].map(|k| {
        prepared(plan.input_len(n), &o.x[k], |to| plan.prepare_input(n, (&o.x[k], None), to, &workspace))
    });

    // The value decides on the choices, which all else repeats.
    let (mut y, mut choice) = (vec![R::from_f64(f64::NAN); len], vec![9; plan.choice_len(n)]);
    let first = [(x[0].as_slice(), o.w[0].as_slice())];
    plan.forward(
        n,
        &first,
        Addends { bias: Some(&bias), residual: None },
        Choice::Record(&mut choice),
        &mut y,
        &workspace,
    );
    let mut z = vec![0.0; size.elements()];
    reference::forward(&g, n, &wide(&o.x[0]), &wide(&o.w[0]), &mut z);
    let (mut want, mut of_want) = (vec![0.0; len], choice.clone());
    epilogue::apply(epilogue, &size, 0..n, (&z, Some(&wide(&bias))), &mut of_want, &mut want);
    assert_near(&y, &want, tolerance, &format!("value, {what}"));
    assert_eq!(choice, of_want, "choices, {what}");

    let both = [0, 1].map(|k| (x[k].as_slice(), o.w[k].as_slice()));
    plan.forward(
        n,
        &both,
        Addends { bias: Some(&bias), residual: None },
        Choice::Replay(&choice),
        &mut y,
        &workspace,
    );
    let z = sum(
        size.elements(),
        [&|out| reference::forward(&g, n, &wide(&o.x[0]), &wide(&o.w[0]), out), &|out| {
            reference::forward(&g, n, &wide(&o.x[1]), &wide(&o.w[1]), out)
        }],
    );
    epilogue::gather(epilogue, &size, 0..n, (&z, Some(&wide(&bias))), &choice, &mut want);
    assert_near(&y, &want, tolerance, &format!("tangent, {what}"));
    assert!(workspace.bytes() <= plan.scratch_bytes::<R>(n), "scratch grows to what is stated: {what}");
    check_gradients(&plan, n, (&o, &x), &choice, tolerance, &what);
}

fn check_gradients<R: Real>(
    plan: &Plan,
    n: usize,
    (o, x): (&Two<R>, &[Vec<R>; 2]),
    choice: &[u8],
    tolerance: f64,
    what: &str,
) {
    let (g, size, workspace) = (&plan.geometry, size(&plan.geometry, n), Workspace::new());
    let dz = [0, 1].map(|k| {
        let mut full = vec![0.0; size.elements()];
        epilogue::scatter(plan.epilogue, &size, &wide(&o.dy[k]), choice, Accumulate::Set, &mut full);
        full
    });
    let dy = [0, 1].map(|k| {
        prepared(plan.output_len(n), &o.dy[k], |to| plan.prepare_output(n, &o.dy[k], choice, to, &workspace))
    });
    for accumulate in [Accumulate::Set, Accumulate::Add] {
        let before = if accumulate == Accumulate::Set { f64::NAN } else { 1.0 };
        let plus = |want: Vec<f64>| -> Vec<f64> {
            want.into_iter().map(|w| if accumulate == Accumulate::Set { w } else { w + 1.0 }).collect()
        };
        let pairs = [0, 1].map(|k| (dy[k].as_slice(), o.w[k].as_slice()));
        let mut got = vec![R::from_f64(before); o.x[0].len()];
        plan.input_gradient(n, &pairs, choice, accumulate, (&mut got, None), &workspace);
        let want = sum(
            got.len(),
            [&|out| reference::input_gradient(g, n, &dz[0], &wide(&o.w[0]), out), &|out| {
                reference::input_gradient(g, n, &dz[1], &wide(&o.w[1]), out)
            }],
        );
        assert_near(&got, &plus(want), tolerance, &format!("input gradient, {what}"));

        let pairs = [0, 1].map(|k| (x[k].as_slice(), dy[k].as_slice()));
        let mut got = vec![R::from_f64(before); g.weights()];
        plan.weight_gradient(n, &pairs, choice, accumulate, &mut got, &workspace);
        let want = sum(
            got.len(),
            [&|out| reference::weight_gradient(g, n, &wide(&o.x[0]), &dz[0], out), &|out| {
                reference::weight_gradient(g, n, &wide(&o.x[1]), &dz[1], out)
            }],
        );
        assert_near(&got, &plus(want), tolerance, &format!("weight gradient, {what}"));
    }
    let mut got = vec![f64::NAN; g.channels_out];
    plan.bias_gradient(n, &o.dy[0], choice, &mut got);
    let pixels = size.elements() / g.channels_out;
    let want: Vec<f64> = dz[0].chunks(pixels).map(|dz| dz.iter().sum()).collect();
    assert_near(&got, &want, F64_ROUNDING, &format!("bias gradient, {what}"));
    assert!(workspace.bytes() <= plan.scratch_bytes::<R>(n), "scratch grows to what is stated: {what}");
}

#[test]
fn plans_are_the_chain_of_the_formulas() {
    for method in [ConvolutionAlgorithm::Direct, ConvolutionAlgorithm::Winograd, ConvolutionAlgorithm::Auto] {
        for g in geometries() {
            for epilogue in ALL {
                check::<f64>(method, g, epilogue, 3, F64_ROUNDING);
                check::<f32>(method, g, epilogue, 2, F32_ROUNDING);
            }
        }
    }
}

#[test]
fn plans_in_several_blocks_are_the_chain_of_the_formulas() {
    // 144 x 1024 patch elements an example: 14 examples fit a block of im2col, 15 do not.
    let (channels_in, channels_out, height, width) = (16, 2, 32, 32);
    let g = Conv2d { channels_in, channels_out, height, width, kernel: 3, stride: 1, padding: 1 };
    for epilogue in ALL {
        check::<f64>(ConvolutionAlgorithm::Direct, g, epilogue, 15, F64_ROUNDING);
    }
}

/// Few input channels: images of one pixel, odd ones, and whole tiles and strips; channels that fill blocks of 16 or do not; more
/// images than a task has.
#[test]
fn plans_of_few_input_channels_are_the_chain_of_the_formulas() {
    for (height, width) in [(1, 1), (2, 3), (5, 7), (9, 34), (32, 32)] {
        for channels_out in [1, 5, 16, 33, 64] {
            for channels_in in 1..=4 {
                let g = Conv2d { channels_in, channels_out, height, width, kernel: 3, stride: 1, padding: 1 };
                let n = if height * width > 100 { 3 } else { 17 };
                for epilogue in ALL {
                    check::<f32>(ConvolutionAlgorithm::Auto, g, epilogue, n, F32_ROUNDING);
                    if channels_out < 16 {
                        check::<f32>(ConvolutionAlgorithm::Auto, g, epilogue, 1, F32_ROUNDING);
                        check::<f64>(ConvolutionAlgorithm::Direct, g, epilogue, 2, F64_ROUNDING);
                    }
                }
            }
        }
    }
}

/// A NaN wins a window wherever it stands, so that a diverged run is seen.
#[test]
fn a_nan_in_an_image_reaches_all_outputs_that_see_it() {
    let g =
        Conv2d { channels_in: 3, channels_out: 17, height: 6, width: 6, kernel: 3, stride: 1, padding: 1 };
    let (mut random, workspace) = (Random::new(43), Workspace::new());
    let (mut x, w) = (random.vector::<f32>(3 * 36), random.vector::<f32>(g.weights()));
    x[36 + 3] = f32::NAN;
    for epilogue in ALL {
        let (plan, len) =
            (Plan::new::<f32>(ConvolutionAlgorithm::Auto, g, epilogue), size(&g, 1).output_len(epilogue));
        let (mut y, mut choice) = (vec![0.0; len], vec![0; plan.choice_len(1)]);
        plan.forward(1, &[(&x, &w)], Addends::default(), Choice::Record(&mut choice), &mut y, &workspace);
        let (of_image, row) = if epilogue == Epilogue::ReluMaxPool { (9, 3) } else { (36, 6) };
        for (i, y) in y.iter().enumerate() {
            let scale = 6 / row;
            let (row, column) = (i % of_image / row, i % row);
            // The kernel at pixel (0, 3) is seen from rows 0 and 1 and columns 2 to 4.
            let sees = row * scale <= 1 && (2 / scale..=4 / scale).contains(&column);
            assert_eq!(y.is_nan(), sees, "{epilogue:?} of pixel {row}, {column}");
        }
    }
}

const fn twice<'a>(a: &'a [f64], b: &'a [f64]) -> [(&'a [f64], &'a [f64]); 2] {
    [(a, b); 2]
}

/// A linear layer is a convolution of images of one pixel.
#[test]
fn a_linear_layer_is_a_convolution_of_single_pixels() {
    let (channels_in, channels_out, n) = (6, 19, 5);
    let g = Conv2d { channels_in, channels_out, height: 1, width: 1, kernel: 1, stride: 1, padding: 0 };
    for epilogue in [Epilogue::None, Epilogue::Relu] {
        let plan = Plan::new::<f64>(ConvolutionAlgorithm::Direct, g, epilogue);
        let layer = Linear { features_in: channels_in, features_out: channels_out, epilogue };
        let mut random = Random::new(42);
        let (x, w): (Vec<f64>, Vec<f64>) = (random.vector(channels_in * n), random.vector(g.weights()));
        let (bias, dy) = (random.vector::<f64>(channels_out), random.vector::<f64>(channels_out * n));
        let (mut y, mut want, workspace) = (dy.clone(), dy.clone(), Workspace::new());
        let (mut choice, mut of_plan) = (vec![0; layer.choice_len(n)], vec![0; plan.choice_len(n)]);
        layer.forward(n, &[(&x, &w)], Some(&bias), Choice::Record(&mut choice), &mut y, &workspace);
        assert!(workspace.bytes() <= layer.scratch_bytes::<f64>(n), "scratch grows to what is stated");
        plan.forward(
            n,
            &[(&x, &w)],
            Addends { bias: Some(&bias), residual: None },
            Choice::Record(&mut of_plan),
            &mut want,
            &workspace,
        );
        assert_near(&y, &want, F64_ROUNDING, "value");
        assert_eq!(choice, of_plan, "choices");
        layer.forward(n, &twice(&x, &w), None, Choice::Replay(&choice), &mut y, &workspace);
        plan.forward(n, &twice(&x, &w), Addends::default(), Choice::Replay(&choice), &mut want, &workspace);
        assert_near(&y, &want, F64_ROUNDING, "tangent");

        let dz = prepared(layer.output_len(n), &dy, |to| layer.prepare_output(n, &dy, &choice, to));
        let (mut dx, mut dw) = (x.clone(), w.clone());
        let (mut want_dx, mut want_dw) = (x.clone(), w.clone());
        layer.input_gradient(n, &twice(&dz, &w), Accumulate::Add, &mut dx, &workspace);
        plan.input_gradient(n, &twice(&dz, &w), &choice, Accumulate::Add, (&mut want_dx, None), &workspace);
        assert_near(&dx, &want_dx, F64_ROUNDING, "input gradient");
        layer.weight_gradient(n, &twice(&x, &dz), Accumulate::Add, &mut dw, &workspace);
        plan.weight_gradient(n, &twice(&x, &dz), &choice, Accumulate::Add, &mut want_dw, &workspace);
        assert_near(&dw, &want_dw, F64_ROUNDING, "weight gradient");
        let (mut db, mut want_db) = (vec![0.0; channels_out], vec![0.0; channels_out]);
        layer.bias_gradient(n, &dy, &choice, &mut db);
        plan.bias_gradient(n, &dy, &choice, &mut want_db);
        assert_near(&db, &want_db, F64_ROUNDING, "bias gradient");
    }
}
