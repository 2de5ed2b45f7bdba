//! Convolutions and linear layers with all epilogues and addends.

use super::results::{BOTH, Results, all};
use crate::{
    Addends, Backend, BilinearLayer, Choice, Contraction, Conv2d, Epilogue, Prepared, Shape, View, ViewMut,
};

/// One pixel, odd sizes; channels around those of a block and of Winograd's least.
const IMAGES: [(usize, usize, (usize, usize)); 5] =
    [(1, 17, (5, 4)), (17, 1, (1, 1)), (3, 2, (6, 7)), (8, 16, (8, 5)), (9, 8, (2, 2))];
/// Kernel, stride, padding.
const KERNELS: [(usize, usize, usize); 5] = [(1, 1, 0), (3, 1, 1), (3, 2, 1), (2, 3, 2), (5, 2, 2)];

pub(super) fn results<B: Backend>(b: &B) -> Results {
    let mut r = Results::new(4);
    for (channels_in, channels_out, (height, width)) in IMAGES {
        for (kernel, stride, padding) in KERNELS {
            let conv = Conv2d { channels_in, channels_out, height, width, kernel, stride, padding };
            for epilogue in [Epilogue::None, Epilogue::Relu, Epilogue::ReluMaxPool] {
                let (h, w) = epilogue.output(conv.sizes());
                // A pooling needs a window.
                for is_shifted in [false, true].into_iter().filter(|_| h > 0 && w > 0) {
                    let contraction = Contraction::Convolution(conv);
                    let layer = BilinearLayer { contraction, epilogue, is_shifted };
                    let input = Shape::new(channels_in, height, width);
                    let case = Case { b, layer, input, output: Shape::new(channels_out, h, w), n: 3 };
                    case.run(conv.weights(), &mut r);
                }
            }
        }
    }
    for (features_in, features_out) in [(1, 1), (17, 1), (1, 17), (70, 33)] {
        for epilogue in [Epilogue::None, Epilogue::Relu] {
            let contraction = Contraction::Linear { features_in, features_out };
            let layer = BilinearLayer { contraction, epilogue, is_shifted: false };
            let (input, output) = (Shape::features(features_in), Shape::features(features_out));
            let case = Case { b, layer, input, output, n: 5 };
            case.run(features_in * features_out, &mut r);
        }
    }
    r
}

/// One layer.
struct Case<'b, B> {
    b: &'b B,
    layer: BilinearLayer,
    input: Shape,
    output: Shape,
    n: usize,
}

impl<B: Backend> Case<'_, B> {
    fn name(&self, what: &str) -> String {
        format!("{what} of {:?}, n = {}", self.layer, self.n)
    }

    fn run(&self, weights: usize, r: &mut Results) {
        let (b, channels) = (self.b, self.layer.contraction.channels_out());
        let [x, x_dot] = [0; 2].map(|_| r.activation(b, self.input, self.n));
        let [w, w_dot] = [0; 2].map(|_| r.vector(b, weights));
        let [bias, bias_dot] = [0; 2].map(|_| r.vector(b, channels + 1));
        let shift = r.vector(b, 2);
        let shift = |i| self.layer.is_shifted.then(|| View::new(&shift, i, 1));
        let sizes = b.operand_sizes(&self.layer, self.n);
        let mut choice = b.bytes(sizes.choice);
        let (mut space, mut space_dot) = (b.buffer(sizes.input), b.buffer(sizes.input));
        let x = self.prepared(sizes.input, &x, shift(0), &mut space);
        let x_dot = self.prepared(sizes.input, &x_dot, shift(1), &mut space_dot);
        let addends = |bias| Addends { bias: Some(View::new(bias, 1, channels)), residual: None };
        let mut y = b.buffer(self.n * self.output.elements());
        let forward = |pairs: &[_], addends, choice: Choice<'_, B::Bytes>, y: &mut B::Buffer| {
            b.bilinear_forward(&self.layer, self.n, pairs, addends, choice, y);
        };
        forward(&[(x, all(&w, weights))], addends(&bias), Choice::Record(&mut choice), &mut y);
        r.push_activation(b, self.name("bilinear_forward"), self.output, self.n, &y);
        let pairs = [(x, all(&w_dot, weights)), (x_dot, all(&w, weights))];
        forward(&pairs, addends(&bias_dot), Choice::Replay(&choice), &mut y);
        r.push_activation(b, self.name("the tangent of two pairs"), self.output, self.n, &y);
        self.gradients((x, x_dot), (&w, &w_dot, weights), &choice, r);
        if self.layer.epilogue == Epilogue::Relu
            && matches!(self.layer.contraction, Contraction::Convolution(_))
        {
            let residual = r.activation(b, self.output, self.n);
            let addends = Addends { bias: Some(View::new(&bias, 0, 1)), residual: Some(&residual) };
            forward(&[(x, all(&w, weights))], addends, Choice::Record(&mut choice), &mut y);
            r.push_activation(b, self.name("bilinear_forward with a residual"), self.output, self.n, &y);
            self.residual(&choice, r);
        }
    }

    fn prepared<'a>(
        &self,
        size: usize,
        x: &'a B::Buffer,
        shift: Option<View<'_, B::Buffer>>,
        to: &'a mut B::Buffer,
    ) -> Prepared<'a, B::Buffer> {
        if size == 0 {
            return Prepared::new(x);
        }
        self.b.prepare_input(&self.layer, self.n, x, shift, to);
        Prepared::new(to)
    }

    /// All adjoints of two pairs.
    fn gradients(
        &self,
        (x, x_dot): (Prepared<'_, B::Buffer>, Prepared<'_, B::Buffer>),
        (w, w_dot, weights): (&B::Buffer, &B::Buffer, usize),
        choice: &B::Bytes,
        r: &mut Results,
    ) {
        let (b, layer, n) = (self.b, &self.layer, self.n);
        let [dy, dy_dot] = [0; 2].map(|_| r.activation(b, self.output, n));
        let size = b.operand_sizes(layer, n).output;
        let mut space = [0; 2].map(|_| b.buffer(size));
        if size > 0 {
            b.prepare_output(layer, n, &dy, choice, &mut space[0]);
            b.prepare_output(layer, n, &dy_dot, choice, &mut space[1]);
        }
        let [dz, dz_dot] = if size > 0 { [&space[0], &space[1]] } else { [&dy, &dy_dot] }.map(Prepared::new);
        for accumulate in BOTH {
            let mut dx = r.activation(b, self.input, n);
            let mut sum = b.wide(1);
            let pairs = [(dz, all(w_dot, weights)), (dz_dot, all(w, weights))];
            let shift = layer.is_shifted.then_some(&mut sum);
            b.bilinear_input_gradient(layer, n, &pairs, choice, accumulate, &mut dx, shift);
            r.push_activation(b, self.name("bilinear_input_gradient"), self.input, n, &dx);
            let mut dw = r.vector(b, weights);
            let to = ViewMut::new(&mut dw, 0, weights);
            b.bilinear_weight_gradient(layer, n, &[(x, dz_dot), (x_dot, dz)], choice, accumulate, to);
            r.push_flat(b, self.name("bilinear_weight_gradient"), weights, &dw);
        }
        for len in [layer.contraction.channels_out(), 1] {
            let mut out = b.wide(len);
            b.bilinear_bias_gradient(layer, n, &dy, choice, &mut out);
            r.push(self.name("bilinear_bias_gradient"), b.read(&out));
        }
    }

    fn residual(&self, choice: &B::Bytes, r: &mut Results) {
        let dy = r.activation(self.b, self.output, self.n);
        for accumulate in BOTH {
            let mut dr = r.activation(self.b, self.output, self.n);
            self.b.residual_gradient(&self.layer, self.n, &dy, choice, accumulate, &mut dr);
            r.push_activation(self.b, self.name("residual_gradient"), self.output, self.n, &dr);
        }
    }
}
