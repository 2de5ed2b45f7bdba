//! Convolutions and linear layers as sums over all their products.

use super::epilogue::{adjoint, apply, choice_len};
use super::{Reference, put, slice, slice_mut};
use crate::{
    Accumulate, ActivationPair, Addends, BilinearLayer, Choice, Contraction, Contractions, Conv2d, Epilogue,
    OperandSizes, Shape, View, ViewMut, WeightPair,
};

/// A layer as a convolution: a linear layer is one of images of one pixel.
const fn convolution(layer: &BilinearLayer) -> Conv2d {
    match layer.contraction {
        Contraction::Convolution(conv) => conv,
        Contraction::Linear { features_in, features_out } => Conv2d {
            channels_in: features_in,
            channels_out: features_out,
            height: 1,
            width: 1,
            kernel: 1,
            stride: 1,
            padding: 0,
        },
    }
}

fn input(g: &Conv2d) -> Shape {
    Shape::new(g.channels_in, g.height, g.width)
}

fn output(g: &Conv2d) -> Shape {
    let (height, width) = g.sizes();
    Shape::new(g.channels_out, height, width)
}

/// Calls `f(x index, w index, z index)` for every product of `n` examples.
fn products(g: &Conv2d, n: usize, mut f: impl FnMut(usize, usize, usize)) {
    let (h_out, w_out) = g.sizes();
    for (i, co, oy, ox) in indices([n, g.channels_out, h_out, w_out]) {
        let z = ((i * g.channels_out + co) * h_out + oy) * w_out + ox;
        for (ci, ky, kx, _) in indices([g.channels_in, g.kernel, g.kernel, 1]) {
            let place = |o: usize, k: usize| (o * g.stride + k).checked_sub(g.padding);
            if let (Some(iy), Some(ix)) = (place(oy, ky), place(ox, kx))
                && iy < g.height
                && ix < g.width
            {
                let x = ((i * g.channels_in + ci) * g.height + iy) * g.width + ix;
                let w = ((co * g.channels_in + ci) * g.kernel + ky) * g.kernel + kx;
                f(x, w, z);
            }
        }
    }
}

fn indices([a, b, c, d]: [usize; 4]) -> impl Iterator<Item = (usize, usize, usize, usize)> {
    (0..a * b * c * d).map(move |i| (i / (b * c * d), i / (c * d) % b, i / d % c, i % d))
}

impl Contractions for Reference {
    fn operand_sizes(&self, layer: &BilinearLayer, n: usize) -> OperandSizes {
        let g = convolution(layer);
        OperandSizes {
            input: if layer.is_shifted { n * input(&g).elements() } else { 0 },
            output: if layer.epilogue == Epilogue::None { 0 } else { n * output(&g).elements() },
            choice: choice_len(layer.epilogue, output(&g), n),
            scratch_bytes: 0,
        }
    }

    fn prepare_input(
        &self,
        _: &BilinearLayer,
        _: usize,
        x: &Vec<f64>,
        shift: Option<View<'_, Vec<f64>>>,
        to: &mut Vec<f64>,
    ) {
        put(Accumulate::Set, &mut to[..x.len()], |i| x[i] + shift.map_or(0.0, |shift| slice(shift)[0]));
    }

    fn prepare_output(
        &self,
        layer: &BilinearLayer,
        n: usize,
        dy: &Vec<f64>,
        choice: &Vec<u8>,
        to: &mut Vec<f64>,
    ) {
        let dz = adjoint(layer.epilogue, output(&convolution(layer)), n, dy, choice);
        to[..dz.len()].copy_from_slice(&dz);
    }

    fn bilinear_forward(
        &self,
        layer: &BilinearLayer,
        n: usize,
        pairs: &[WeightPair<'_, Vec<f64>>],
        addends: Addends<'_, Vec<f64>>,
        choice: Choice<'_, Vec<u8>>,
        y: &mut Vec<f64>,
    ) {
        let g = convolution(layer);
        let shape = output(&g);
        let mut z = vec![0.0; n * shape.elements()];
        for (x, w) in pairs {
            products(&g, n, |i, j, k| z[k] += x.buffer()[i] * slice(*w)[j]);
        }
        if let Some(bias) = addends.bias.map(slice) {
            let channel = |k: usize| if bias.len() == 1 { 0 } else { k / shape.pixels() % shape.channels() };
            put(Accumulate::Add, &mut z, |k| bias[channel(k)]);
        }
        if let Some(residual) = addends.residual {
            put(Accumulate::Add, &mut z, |k| residual[k]);
        }
        apply(layer.epilogue, shape, n, &z, choice, y);
    }

    fn bilinear_input_gradient(
        &self,
        layer: &BilinearLayer,
        n: usize,
        pairs: &[WeightPair<'_, Vec<f64>>],
        _: &Vec<u8>,
        accumulate: Accumulate,
        x: &mut Vec<f64>,
        shift: Option<&mut Vec<f64>>,
    ) {
        let g = convolution(layer);
        let mut dx = vec![0.0; n * input(&g).elements()];
        for (dz, w) in pairs {
            products(&g, n, |i, j, k| dx[i] += dz.buffer()[k] * slice(*w)[j]);
        }
        if let Some(shift) = shift {
            shift[0] = dx.iter().sum();
        }
        put(accumulate, &mut x[..dx.len()], |i| dx[i]);
    }

    fn bilinear_weight_gradient(
        &self,
        layer: &BilinearLayer,
        n: usize,
        pairs: &[ActivationPair<'_, Vec<f64>>],
        _: &Vec<u8>,
        accumulate: Accumulate,
        w: ViewMut<'_, Vec<f64>>,
    ) {
        let g = convolution(layer);
        let mut dw = vec![0.0; g.weights()];
        for (x, dz) in pairs {
            products(&g, n, |i, j, k| dw[j] += dz.buffer()[k] * x.buffer()[i]);
        }
        put(accumulate, slice_mut(w), |j| dw[j]);
    }

    fn bilinear_bias_gradient(
        &self,
        layer: &BilinearLayer,
        n: usize,
        dy: &Vec<f64>,
        choice: &Vec<u8>,
        out: &mut Vec<f64>,
    ) {
        let shape = output(&convolution(layer));
        let dz = adjoint(layer.epilogue, shape, n, dy, choice);
        out.fill(0.0);
        for (k, dz) in dz.iter().enumerate() {
            let channel = if out.len() == 1 { 0 } else { k / shape.pixels() % shape.channels() };
            out[channel] += dz;
        }
    }

    fn residual_gradient(
        &self,
        layer: &BilinearLayer,
        n: usize,
        dy: &Vec<f64>,
        choice: &Vec<u8>,
        accumulate: Accumulate,
        r: &mut Vec<f64>,
    ) {
        let dz = adjoint(layer.epilogue, output(&convolution(layer)), n, dy, choice);
        put(accumulate, &mut r[..dz.len()], |k| dz[k]);
    }
}
