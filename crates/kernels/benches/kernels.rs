//! Times the kernels on the shapes of VGG-11, Fixup ResNet-32 and the MLP at batch 100: `cargo bench -p sharpness-kernels`.

use divan::{Bencher, black_box};
use sharpness_backend::{Accumulate, Conv2d, Epilogue};
use sharpness_kernels::conv2d::{ConvolutionAlgorithm, Plan};
use sharpness_kernels::epilogue::{Addends, Choice};
use sharpness_kernels::linear::Linear;
use sharpness_kernels::workspace::Workspace;

/// Examples of a batch.
const N: usize = 100;

/// Channels of the input and the output, height and width, and what follows.
type Layer = (usize, usize, usize, Epilogue);

/// The convolutions of VGG-11, then one of each stage of a Fixup ResNet.
const LAYERS: [Layer; 10] = [
    (3, 64, 32, Epilogue::ReluMaxPool),
    (64, 128, 16, Epilogue::ReluMaxPool),
    (128, 256, 8, Epilogue::Relu),
    (256, 256, 8, Epilogue::ReluMaxPool),
    (256, 512, 4, Epilogue::Relu),
    (512, 512, 4, Epilogue::ReluMaxPool),
    (512, 512, 2, Epilogue::Relu),
    (16, 16, 32, Epilogue::Relu),
    (32, 32, 16, Epilogue::Relu),
    (64, 64, 8, Epilogue::Relu),
];

fn main() {
    divan::main();
}

/// Numbers between -1 and 1 that look random.
fn numbers(len: usize) -> Vec<f32> {
    (0..len).map(|i| ((i * 7919) % 2003) as f32 / 1001.0 - 1.0).collect()
}

/// A convolution with its operands and results.
struct Convolution {
    plan: Plan,
    workspace: Workspace<f32>,
    x: Vec<f32>,
    w: Vec<f32>,
    y: Vec<f32>,
    prepared_x: Vec<f32>,
    prepared_y: Vec<f32>,
    choice: Vec<u8>,
}

impl Convolution {
    fn new((channels_in, channels_out, side, epilogue): Layer) -> Self {
        let (height, width, kernel, stride, padding) = (side, side, 3, 1, 1);
        let g = Conv2d { channels_in, channels_out, height, width, kernel, stride, padding };
        let (plan, (h, w)) =
            (Plan::new::<f32>(ConvolutionAlgorithm::Auto, g, epilogue), epilogue.output((side, side)));
        let mut layer = Self {
            plan,
            workspace: Workspace::new(),
            x: numbers(channels_in * N * side * side),
            w: numbers(g.weights()),
            y: numbers(channels_out * N * h * w),
            prepared_x: vec![0.0; plan.input_len(N)],
            prepared_y: vec![0.0; plan.output_len(N)],
            choice: vec![0; plan.choice_len(N)],
        };
        layer.forward();
        layer.prepare_output();
        layer
    }

    fn forward(&mut self) {
        let Self { plan, workspace, x, w, y, prepared_x, choice, .. } = self;
        let input = if prepared_x.is_empty() {
            &*x
        } else {
            plan.prepare_input(N, (x, None), prepared_x, workspace);
            &*prepared_x
        };
        plan.forward(N, &[(input, w)], Addends::default(), Choice::Record(choice), y, workspace);
    }

    fn prepare_output(&mut self) {
        let Self { plan, workspace, y, prepared_y, choice, .. } = self;
        if !prepared_y.is_empty() {
            plan.prepare_output(N, y, choice, prepared_y, workspace);
        }
    }

    /// The prepared input and output gradient, or both as they are.
    fn operands(&self) -> (&[f32], &[f32]) {
        let prepared = |to: &'_ [f32]| !to.is_empty();
        let input = if prepared(&self.prepared_x) { &self.prepared_x } else { &self.x };
        (input, if prepared(&self.prepared_y) { &self.prepared_y } else { &self.y })
    }
}

/// The transform of the input, the products, and the epilogue.
#[divan::bench(args = LAYERS)]
fn convolution_forward(bencher: Bencher<'_, '_>, layer: Layer) {
    let mut layer = Convolution::new(layer);
    bencher.bench_local(|| layer.forward());
}

/// The transform of the output's gradient, which both gradients use.
#[divan::bench(args = LAYERS)]
fn convolution_prepare_output(bencher: Bencher<'_, '_>, layer: Layer) {
    let mut layer = Convolution::new(layer);
    bencher.bench_local(|| layer.prepare_output());
}

#[divan::bench(args = LAYERS)]
fn convolution_input_gradient(bencher: Bencher<'_, '_>, layer: Layer) {
    let layer = Convolution::new(layer);
    let (mut dx, (_, dy)) = (layer.x.clone(), layer.operands());
    bencher.bench_local(|| {
        let (pairs, to) = ([(dy, layer.w.as_slice())], (black_box(&mut dx[..]), None));
        layer.plan.input_gradient(N, &pairs, &layer.choice, Accumulate::Set, to, &layer.workspace);
    });
}

#[divan::bench(args = LAYERS)]
fn convolution_weight_gradient(bencher: Bencher<'_, '_>, layer: Layer) {
    let layer = Convolution::new(layer);
    let (mut dw, operands) = (layer.w.clone(), layer.operands());
    bencher.bench_local(|| {
        let to = black_box(&mut dw[..]);
        layer.plan.weight_gradient(N, &[operands], &layer.choice, Accumulate::Set, to, &layer.workspace);
    });
}

/// The linear layers of the MLP.
#[divan::bench(args = [(784, 256), (256, 256), (256, 10)])]
fn linear_forward(bencher: Bencher<'_, '_>, (features_in, features_out): (usize, usize)) {
    let layer = Linear { features_in, features_out, epilogue: Epilogue::Relu };
    let (x, w, workspace) = (numbers(features_in * N), numbers(features_in * features_out), Workspace::new());
    let (mut y, mut choice) = (vec![0.0; features_out * N], vec![0; layer.choice_len(N)]);
    bencher.bench_local(|| {
        let choice = Choice::Record(&mut choice);
        layer.forward(N, &[(&x, &w)], None, choice, black_box(&mut y), &workspace);
    });
}
