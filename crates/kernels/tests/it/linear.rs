//! Linear layers against three loops in `f64`, at sizes around the edges of blocks, panels and tasks.

use sharpness_backend::{Accumulate, Epilogue};
use sharpness_kernels::Real;
use sharpness_kernels::epilogue::Choice;
use sharpness_kernels::linear::Linear;
use sharpness_kernels::workspace::Workspace;

use crate::data::{F32_ROUNDING, F64_ROUNDING, Random, assert_near, wide};

/// Features of the input and of the output, and examples.
const SIZES: [(usize, usize, usize); 12] = [
    (1, 1, 1),
    (3, 2, 5),
    (16, 16, 16),
    (17, 33, 15),
    (31, 10, 100),
    (32, 32, 14),
    (70, 15, 57),
    (257, 20, 29),
    (784, 40, 17),
    (40, 513, 31),
    (33, 31, 505),
    (130, 65, 130),
];

/// The layer, two inputs, weights and output gradients, and a bias.
struct Case<R> {
    layer: Linear,
    n: usize,
    x: [Vec<R>; 2],
    w: [Vec<R>; 2],
    y: [Vec<R>; 2],
    bias: Vec<R>,
}

impl<R: Real> Case<R> {
    fn new((features_in, features_out, n): (usize, usize, usize), epilogue: Epilogue) -> Self {
        let mut random = Random::new(21);
        let mut two = |len| [random.vector::<R>(len), random.vector::<R>(len)];
        Self {
            layer: Linear { features_in, features_out, epilogue },
            n,
            x: two(features_in * n),
            w: two(features_in * features_out),
            y: two(features_out * n),
            bias: Random::new(22).vector(features_out),
        }
    }

    /// Calls `f(k, input feature, output feature, example)` for all products.
    fn for_each(&self, mut f: impl FnMut(usize, usize, usize, usize)) {
        for k in 0..2 {
            for o in 0..self.layer.features_out {
                for i in 0..self.layer.features_in {
                    (0..self.n).for_each(|e| f(k, i, o, e));
                }
            }
        }
    }

    /// `Σ_k w_k x_k + b`.
    fn product(&self) -> Vec<f64> {
        let (n, [x, w]) = (self.n, [&self.x, &self.w].map(|pair| pair.each_ref().map(|v| wide(v))));
        let mut z: Vec<f64> = self.bias.iter().flat_map(|b| std::iter::repeat_n(b.to_f64(), n)).collect();
        self.for_each(|k, i, o, e| z[o * n + e] += w[k][o * self.layer.features_in + i] * x[k][i * n + e]);
        z
    }
}

fn pairs<'a, R>(a: &'a [Vec<R>; 2], b: &'a [Vec<R>; 2]) -> [(&'a [R], &'a [R]); 2] {
    [(&a[0], &b[0]), (&a[1], &b[1])]
}

fn check_forward<R: Real>(size: (usize, usize, usize), tolerance: f64) {
    for epilogue in [Epilogue::None, Epilogue::Relu] {
        let case = Case::<R>::new(size, epilogue);
        let (z, workspace) = (case.product(), Workspace::new());
        let mut choice = vec![u8::MAX; case.layer.choice_len(case.n)];
        let mut y = vec![R::from_f64(f64::NAN); z.len()];
        let operands = pairs(&case.x, &case.w);
        let bias = Some(case.bias.as_slice());
        case.layer.forward(case.n, &operands, bias, Choice::Record(&mut choice), &mut y, &workspace);
        let mut want = z;
        if epilogue == Epilogue::Relu {
            want.iter_mut().for_each(|z| *z = z.max(0.0));
        }
        assert_near(&y, &want, tolerance, &format!("{epilogue:?} of {size:?}"));
        if epilogue == Epilogue::Relu {
            for (at, y) in y.iter().enumerate() {
                let (channel, example) = (at / case.n, at % case.n);
                let byte = choice[2 * (channel / 16 * case.n + example) + channel % 16 / 8];
                assert_eq!(byte >> (channel % 8) & 1 == 1, *y > R::ZERO, "{size:?}: the choice of {at}");
            }
        }
        let mut again = vec![R::from_f64(f64::NAN); y.len()];
        case.layer.forward(case.n, &operands, bias, Choice::Replay(&choice), &mut again, &workspace);
        assert_near(&again, &wide(&y), 0.0, "a replay at the same point");
    }
}

fn check_adjoints<R: Real>(size: (usize, usize, usize), tolerance: f64) {
    let case = Case::<R>::new(size, Epilogue::None);
    let (n, features_in, workspace) = (case.n, case.layer.features_in, Workspace::new());
    let [x, w, y] = [&case.x, &case.w, &case.y].map(|pair| pair.each_ref().map(|v| wide(v)));
    for mode in [Accumulate::Set, Accumulate::Add] {
        let start = |len| match mode {
            Accumulate::Set => (vec![R::from_f64(f64::NAN); len], vec![0.0; len]),
            Accumulate::Add => {
                let before: Vec<R> = Random::new(23).vector(len);
                (before.clone(), wide(&before))
            }
        };
        let (mut got, mut want) = start(case.x[0].len());
        case.for_each(|k, i, o, e| want[i * n + e] += w[k][o * features_in + i] * y[k][o * n + e]);
        case.layer.input_gradient(n, &pairs(&case.y, &case.w), mode, &mut got, &workspace);
        assert_near(&got, &want, tolerance, &format!("{mode:?} the input's gradient of {size:?}"));
        let (mut got, mut want) = start(case.w[0].len());
        case.for_each(|k, i, o, e| want[o * features_in + i] += y[k][o * n + e] * x[k][i * n + e]);
        case.layer.weight_gradient(n, &pairs(&case.x, &case.y), mode, &mut got, &workspace);
        assert_near(&got, &want, tolerance, &format!("{mode:?} the weights' gradient of {size:?}"));
    }
}

#[test]
fn layers_are_three_loops_and_what_follows_them() {
    for size in SIZES {
        check_forward::<f64>(size, F64_ROUNDING);
        check_forward::<f32>(size, F32_ROUNDING);
    }
}

#[test]
fn gradients_are_three_loops() {
    for size in SIZES {
        check_adjoints::<f64>(size, F64_ROUNDING);
        check_adjoints::<f32>(size, F32_ROUNDING);
    }
}

#[test]
fn a_value_that_is_not_a_number_stays_one_and_passes_no_derivative() {
    let layer = Linear { features_in: 1, features_out: 3, epilogue: Epilogue::Relu };
    let (mut y, mut choice) = ([0.0_f32; 6], vec![u8::MAX; layer.choice_len(2)]);
    let w = [1.0, f32::NAN, -1.0];
    layer.forward(2, &[(&[2.0, -3.0], &w)], None, Choice::Record(&mut choice), &mut y, &Workspace::new());
    assert!(y[2].is_nan() && y[3].is_nan(), "an output is not a number: {y:?}");
    assert_eq!(y.map(|y| y > 0.0), [true, false, false, false, false, true], "what passes: {y:?}");
    assert_eq!(choice, [1, 0, 4, 0], "the choices of both examples");
}
