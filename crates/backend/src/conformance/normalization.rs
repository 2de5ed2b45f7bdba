//! Batch norm with all epilogues, with the batch's statistics and with given ones.

use super::results::{BOTH, Results, all};
use crate::{Backend, BatchNormLayer, BatchNormPoint, Epilogue, PointOf, Shape, View};

pub(super) fn results<B: Backend>(b: &B) -> Results {
    let mut r = Results::new(5);
    for (input, n) in [
        (Shape::new(1, 1, 1), 2),
        (Shape::new(17, 1, 3), 5),
        (Shape::new(3, 7, 6), 3),
        (Shape::new(2, 33, 32), 2),
    ] {
        for epilogue in [Epilogue::None, Epilogue::Relu, Epilogue::ReluMaxPool] {
            let (h, w) = epilogue.output((input.height(), input.width()));
            for of_batch in [true, false].into_iter().filter(|_| h > 0 && w > 0) {
                let layer = BatchNormLayer { input, epilogue, epsilon: 1e-5, of_batch };
                let output = Shape::new(input.channels(), h, w);
                Case { b, layer, output, n }.run(&mut r);
            }
        }
    }
    r
}

/// One layer.
struct Case<'b, B> {
    b: &'b B,
    layer: BatchNormLayer,
    output: Shape,
    n: usize,
}

impl<B: Backend> Case<'_, B> {
    fn name(&self, what: &str) -> String {
        format!("{what} of {:?}, n = {}", self.layer, self.n)
    }

    /// The statistics that are given, or that the batch's overwrite.
    fn statistics(&self, r: &mut Results) -> (B::Wide, B::Wide) {
        let (b, channels) = (self.b, self.layer.input.channels());
        let [mean, deviation] = [0; 2].map(|_| r.vector(b, channels));
        let (mut wide, mut square, mut variance) = (b.wide(channels), b.wide(channels), b.wide(channels));
        b.widen(all(&deviation, channels), &mut square);
        b.polynomial(&[(0.5, &[]), (1.0, &[&square, &square])], &mut variance);
        b.widen(all(&mean, channels), &mut wide);
        (wide, variance)
    }

    fn run(&self, r: &mut Results) {
        let (b, layer, n, channels) = (self.b, &self.layer, self.n, self.layer.input.channels());
        let x = r.activation(b, layer.input, n);
        let (gamma, beta) = (r.vector(b, channels), r.vector(b, channels));
        let (mut mean, mut variance) = self.statistics(r);
        let mut choice = b.bytes(b.batch_norm_sizes(layer, n).choice);
        let mut y = b.buffer(n * self.output.elements());
        let affine = (all(&gamma, channels), all(&beta, channels));
        b.batch_norm_value(layer, n, &x, affine, (&mut mean, &mut variance), &mut choice, &mut y);
        r.push_activation(b, self.name("batch_norm_value"), self.output, n, &y);
        r.push(self.name("mean"), b.read(&mean));
        r.push(self.name("variance"), b.read(&variance));
        let statistics = (&mean, &variance);
        let at = BatchNormPoint { x: &x, gamma: all(&gamma, channels), statistics, choice: &choice };
        self.derivatives(at, r);
    }

    fn derivatives(&self, at: PointOf<'_, B>, r: &mut Results) {
        let (b, layer, n, channels) = (self.b, &self.layer, self.n, self.layer.input.channels());
        let wide = || (b.wide(channels), b.wide(channels));
        let [dy, dy_dot] = [0; 2].map(|_| r.activation(b, self.output, n));
        let (mut sums, mut means, mut d_sums) = (wide(), wide(), wide());
        for accumulate in BOTH {
            let mut dx = r.activation(b, layer.input, n);
            b.batch_norm_gradient(layer, n, at, &dy, (&mut sums.0, &mut sums.1), Some((&mut dx, accumulate)));
            r.push_activation(b, self.name("batch_norm_gradient"), layer.input, n, &dx);
            r.push(self.name("the gradient of beta"), b.read(&sums.0));
            r.push(self.name("the gradient of gamma"), b.read(&sums.1));
        }
        let x_dot = r.activation(b, layer.input, n);
        let (gamma_dot, beta_dot) = (r.vector(b, channels), r.vector(b, channels));
        let dot: (View<'_, _>, View<'_, _>) = (all(&gamma_dot, channels), all(&beta_dot, channels));
        for x_dot in [None, Some(&x_dot)] {
            let mut y = b.buffer(n * self.output.elements());
            b.batch_norm_tangent(layer, n, at, x_dot, dot, (&mut means.0, &mut means.1), &mut y);
            r.push_activation(b, self.name("batch_norm_tangent"), self.output, n, &y);
            for accumulate in BOTH {
                let mut dx = r.activation(b, layer.input, n);
                let known = [(&sums.0, &sums.1), (&means.0, &means.1)];
                let out = (&mut d_sums.0, &mut d_sums.1);
                let to = Some((&mut dx, accumulate));
                b.batch_norm_gradient_tangent(layer, n, at, known, (&dy, &dy_dot), (x_dot, dot.0), out, to);
                r.push_activation(b, self.name("batch_norm_gradient_tangent"), layer.input, n, &dx);
                r.push(self.name("the derivative of beta's gradient"), b.read(&d_sums.0));
                r.push(self.name("the derivative of gamma's gradient"), b.read(&d_sums.1));
            }
        }
    }
}
