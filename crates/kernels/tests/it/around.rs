//! What Fixup puts around a convolution: a shift of its input, a residual before its ReLU, and their gradients.

use sharpness_backend::{Accumulate, Conv2d, Epilogue};
use sharpness_kernels::Real;
use sharpness_kernels::conv2d::{ConvolutionAlgorithm, Plan, reference};
use sharpness_kernels::epilogue::{Addends, Choice};
use sharpness_kernels::workspace::Workspace;

use crate::data::{F64_ROUNDING, Random, assert_within, norm, wide};

fn check<R: Real>(method: ConvolutionAlgorithm, g: &Conv2d, n: usize, tolerance: f64) {
    let what = |name: &str| format!("{name}, {method:?}, {g:?}, n = {n}");
    let plan = Plan::new::<R>(method, *g, Epilogue::Relu).shifted();
    let ((h, w), workspace, mut random) = (g.output().unwrap_or_default(), Workspace::new(), Random::new(5));
    let (inputs, outputs) = (g.channels_in * n * g.height * g.width, g.channels_out * n * h * w);
    let (x, r, dy): (Vec<R>, Vec<R>, Vec<R>) =
        (random.vector(inputs), random.vector(outputs), random.vector(outputs));
    let (weights, bias): (Vec<R>, Vec<R>) = (random.vector(g.weights()), random.vector(g.channels_out));
    let shift = R::from_f64(0.7);

    let mut prepared = vec![R::from_f64(f64::NAN); plan.input_len(n)];
    assert!(!prepared.is_empty(), "{}", what("a shifted input is prepared"));
    plan.prepare_input(n, (&x, Some(shift)), &mut prepared, &workspace);
    let (mut y, mut choice) = (vec![R::ZERO; outputs], vec![0; plan.choice_len(n)]);
    let addends = Addends { bias: Some(&bias), residual: Some(&r) };
    plan.forward(n, &[(&prepared, &weights)], addends, Choice::Record(&mut choice), &mut y, &workspace);

    let shifted: Vec<f64> = wide(&x).iter().map(|x| x + shift.to_f64()).collect();
    let mut z = vec![0.0; outputs];
    reference::forward(g, n, &shifted, &wide(&weights), &mut z);
    for (i, z) in z.iter_mut().enumerate() {
        *z += bias[i / (n * h * w)].to_f64() + r[i].to_f64();
    }
    let want: Vec<f64> = z.iter().map(|z| z.max(0.0)).collect();
    assert_within(&y, &want, tolerance * norm(&z), &what("value"));
    plan.forward(n, &[(&prepared, &weights)], addends, Choice::Replay(&choice), &mut y, &workspace);
    assert_within(&y, &want, tolerance * norm(&z), &what("tangent"));

    let mut dr = vec![R::ONE; outputs];
    plan.residual_gradient(n, &dy, &choice, Accumulate::Add, &mut dr);
    let passed = |i: usize| if want[i] > 0.0 { dy[i].to_f64() } else { 0.0 };
    let want: Vec<f64> = (0..outputs).map(|i| 1.0 + passed(i)).collect();
    assert_within(&dr, &want, tolerance * norm(&want), &what("gradient of the residual"));

    let mut prepared = vec![R::ZERO; plan.output_len(n)];
    plan.prepare_output(n, &dy, &choice, &mut prepared, &workspace);
    let dz = if prepared.is_empty() { &dy } else { &prepared };
    let pair = [(dz.as_slice(), weights.as_slice())];
    for accumulate in [Accumulate::Set, Accumulate::Add] {
        let (mut dx, mut sum) = (vec![R::ONE; inputs], f64::NAN);
        plan.input_gradient(n, &pair, &choice, accumulate, (&mut dx, Some(&mut sum)), &workspace);
        let before = if accumulate == Accumulate::Set { 0.0 } else { 1.0 };
        let want: f64 = dx.iter().map(|x| x.to_f64() - before).sum();
        let scale = norm(&wide(&dx)) * wide(&dx).len().isqrt() as f64;
        assert!(
            (sum - want).abs() <= tolerance * scale,
            "{}: {sum} and {want}",
            what("gradient of the shift")
        );
    }
    assert!(workspace.bytes() <= plan.scratch_bytes::<R>(n), "{}", what("scratch grows to what is stated"));
}

#[test]
fn shift_residual_and_their_gradients_are_the_reference() {
    for (channels_in, channels_out, height, width, n) in
        [(1, 1, 1, 1, 1), (3, 17, 5, 7, 3), (16, 16, 8, 8, 5), (20, 33, 2, 2, 9), (16, 8, 32, 32, 2)]
    {
        for stride in [1, 2] {
            let g = Conv2d { channels_in, channels_out, height, width, kernel: 3, stride, padding: 1 };
            for method in
                [ConvolutionAlgorithm::Direct, ConvolutionAlgorithm::Winograd, ConvolutionAlgorithm::Auto]
            {
                check::<f64>(method, &g, n, 10.0 * F64_ROUNDING);
                check::<f32>(method, &g, n, 1e-5);
            }
        }
    }
}
