//! The CPU's backend: slices and the loops of `sharpness-kernels`, in `f32` or `f64`.

use std::cell::RefCell;

use sharpness_kernels as kernels;
use sharpness_kernels::Real;
use sharpness_kernels::matmul::{Matrix, MatrixMut, matmul};

use crate::backend::{
    Accumulate, Activation, Backend, Conv2d, Loss, MaskKey, Monomial, Pool2d, Shape, View, ViewMut,
};

/// The CPU in precision `R`. Activations have the layout `[c, n, h, w]`.
#[derive(Debug, Default)]
pub struct Cpu<R> {
    /// The patch matrix of convolutions; grows to the largest and is reused.
    scratch: RefCell<Vec<R>>,
}

impl<R: Real> Cpu<R> {
    /// A backend that uses the threads of the global rayon pool.
    pub const fn new() -> Self {
        Self { scratch: RefCell::new(Vec::new()) }
    }
}

fn slice<R>(view: View<'_, Vec<R>>) -> &[R] {
    &view.buffer[view.start..view.start + view.len]
}

fn slice_mut<R>(view: ViewMut<'_, Vec<R>>) -> &mut [R] {
    &mut view.buffer[view.start..view.start + view.len]
}

fn pairs<'a, R>(pairs: &[(&'a Vec<R>, View<'a, Vec<R>>)]) -> Vec<(&'a [R], &'a [R])> {
    pairs.iter().map(|(x, w)| (x.as_slice(), slice(*w))).collect()
}

impl<R: Real> Backend for Cpu<R> {
    type Buffer = Vec<R>;
    type Wide = Vec<f64>;
    type Integers = Vec<u32>;
    type Bytes = Vec<u8>;

    fn precision(&self) -> &'static str {
        R::NAME
    }
    fn element_bytes(&self) -> usize {
        size_of::<R>()
    }

    fn buffer(&self, len: usize) -> Vec<R> {
        vec![R::ZERO; len]
    }
    fn wide(&self, len: usize) -> Vec<f64> {
        vec![0.0; len]
    }
    fn integers(&self, len: usize) -> Vec<u32> {
        vec![0; len]
    }
    fn bytes(&self, len: usize) -> Vec<u8> {
        vec![0; len]
    }
    fn upload(&self, x: &[f64], to: &mut Vec<R>) {
        assert_eq!(x.len(), to.len(), "a whole buffer is uploaded");
        to.iter_mut().zip(x).for_each(|(to, &x)| *to = R::from_f64(x));
    }
    fn upload_images(&self, shape: Shape, n: usize, x: &[f64], to: &mut Vec<R>) {
        kernels::layout::from_nchw(shape.channels, n, x, &mut to[..n * shape.elements()]);
    }
    fn upload_integers(&self, x: &[u32], to: &mut Vec<u32>) {
        to[..x.len()].copy_from_slice(x);
    }
    fn upload_wide(&self, x: &[f64], to: &mut Vec<f64>) {
        to[..x.len()].copy_from_slice(x);
    }
    fn download(&self, x: View<'_, Vec<R>>) -> Vec<f64> {
        slice(x).iter().map(|x| x.to_f64()).collect()
    }
    fn download_activations(&self, shape: Shape, n: usize, x: &Vec<R>) -> Vec<f64> {
        kernels::layout::to_nchw(shape.channels, n, &x[..n * shape.elements()])
    }
    fn read(&self, x: &Vec<f64>) -> Vec<f64> {
        x.clone()
    }
    fn read_into(&self, x: &Vec<f64>, out: &mut [f64]) {
        out.copy_from_slice(x);
    }
    fn clear(&self, x: &mut Vec<f64>) {
        x.fill(0.0);
    }

    fn linear_combination(
        &self,
        terms: &[(f64, View<'_, Vec<R>>)],
        accumulate: Accumulate,
        y: ViewMut<'_, Vec<R>>,
    ) {
        let terms: Vec<(f64, &[R])> = terms.iter().map(|(a, x)| (*a, slice(*x))).collect();
        kernels::elementwise::linear_combination(&terms, accumulate, slice_mut(y));
    }
    fn multiply(
        &self,
        a: View<'_, Vec<R>>,
        b: View<'_, Vec<R>>,
        accumulate: Accumulate,
        y: ViewMut<'_, Vec<R>>,
    ) {
        kernels::elementwise::multiply(slice(a), slice(b), accumulate, slice_mut(y));
    }
    fn absolute_plus(&self, x: View<'_, Vec<R>>, offset: f64, y: ViewMut<'_, Vec<R>>) {
        kernels::elementwise::absolute_plus(slice(x), offset, slice_mut(y));
    }
    fn dot(&self, x: View<'_, Vec<R>>, y: View<'_, Vec<R>>, slot: usize, out: &mut Vec<f64>) {
        out[slot] = kernels::reduce::dot(slice(x), slice(y));
    }
    fn add_to_wide(&self, x: View<'_, Vec<R>>, y: &mut Vec<f64>) {
        kernels::elementwise::add_to_wide(slice(x), y);
    }

    fn activation(&self, kind: Activation, len: usize, x: &Vec<R>, y: &mut Vec<R>) {
        kernels::activation::activation(kind, x, &mut y[..len]);
    }
    fn activation_first(
        &self,
        kind: Activation,
        len: usize,
        x: &Vec<R>,
        v: &Vec<R>,
        accumulate: Accumulate,
        y: &mut Vec<R>,
    ) {
        kernels::activation::activation_first(kind, x, v, accumulate, &mut y[..len]);
    }
    fn activation_second(
        &self,
        kind: Activation,
        len: usize,
        x: &Vec<R>,
        v: &Vec<R>,
        (a, b): (&Vec<R>, &Vec<R>),
        accumulate: Accumulate,
        y: &mut Vec<R>,
    ) {
        kernels::activation::activation_second(kind, x, v, (a, b), accumulate, &mut y[..len]);
    }

    fn conv_forward(
        &self,
        conv: &Conv2d,
        n: usize,
        operands: &[(&Vec<R>, View<'_, Vec<R>>)],
        y: &mut Vec<R>,
    ) {
        kernels::conv2d::forward(conv, n, &pairs(operands), y, &mut self.scratch.borrow_mut());
    }
    fn conv_input_gradient(
        &self,
        conv: &Conv2d,
        n: usize,
        operands: &[(&Vec<R>, View<'_, Vec<R>>)],
        accumulate: Accumulate,
        x: &mut Vec<R>,
    ) {
        let scratch = &mut self.scratch.borrow_mut();
        kernels::conv2d::input_gradient(conv, n, &pairs(operands), accumulate, x, scratch);
    }
    fn conv_weight_gradient(
        &self,
        conv: &Conv2d,
        n: usize,
        pairs: &[(&Vec<R>, &Vec<R>)],
        accumulate: Accumulate,
        w: ViewMut<'_, Vec<R>>,
    ) {
        let pairs: Vec<(&[R], &[R])> = pairs.iter().map(|(x, y)| (x.as_slice(), y.as_slice())).collect();
        let scratch = &mut self.scratch.borrow_mut();
        kernels::conv2d::weight_gradient(conv, n, &pairs, accumulate, slice_mut(w), scratch);
    }

    fn linear_forward(
        &self,
        (features_in, features_out): (usize, usize),
        n: usize,
        pairs: &[(&Vec<R>, View<'_, Vec<R>>)],
        y: &mut Vec<R>,
    ) {
        let products: Vec<_> = pairs
            .iter()
            .map(|(x, w)| {
                let w = Matrix::rows(slice(*w), features_out, features_in, features_in);
                (w, Matrix::rows(x.as_slice(), features_in, n, n))
            })
            .collect();
        matmul(&products, Accumulate::Set, MatrixMut::rows(y, features_out, n, n));
    }
    fn linear_input_gradient(
        &self,
        (features_in, features_out): (usize, usize),
        n: usize,
        pairs: &[(&Vec<R>, View<'_, Vec<R>>)],
        accumulate: Accumulate,
        x: &mut Vec<R>,
    ) {
        let products: Vec<_> = pairs
            .iter()
            .map(|(y, w)| {
                let w = Matrix::rows(slice(*w), features_out, features_in, features_in);
                (w.transposed(), Matrix::rows(y.as_slice(), features_out, n, n))
            })
            .collect();
        matmul(&products, accumulate, MatrixMut::rows(x, features_in, n, n));
    }
    fn linear_weight_gradient(
        &self,
        (features_in, features_out): (usize, usize),
        n: usize,
        pairs: &[(&Vec<R>, &Vec<R>)],
        accumulate: Accumulate,
        w: ViewMut<'_, Vec<R>>,
    ) {
        let products: Vec<_> = pairs
            .iter()
            .map(|(x, y)| {
                let y = Matrix::rows(y.as_slice(), features_out, n, n);
                (y, Matrix::rows(x.as_slice(), features_in, n, n).transposed())
            })
            .collect();
        matmul(&products, accumulate, MatrixMut::rows(slice_mut(w), features_out, features_in, features_in));
    }

    fn max_pool(&self, pool: &Pool2d, planes: usize, x: &Vec<R>, y: &mut Vec<R>, choice: &mut Vec<u8>) {
        let len = planes * outputs(pool);
        kernels::pool2d::max_pool(pool, x, &mut y[..len], &mut choice[..len]);
    }
    fn max_pool_gather(&self, pool: &Pool2d, planes: usize, x: &Vec<R>, choice: &Vec<u8>, y: &mut Vec<R>) {
        kernels::pool2d::max_pool_gather(pool, x, choice, &mut y[..planes * outputs(pool)]);
    }
    fn max_pool_scatter(
        &self,
        pool: &Pool2d,
        planes: usize,
        y: &Vec<R>,
        choice: &Vec<u8>,
        accumulate: Accumulate,
        x: &mut Vec<R>,
    ) {
        let x = &mut x[..planes * pool.height * pool.width];
        kernels::pool2d::max_pool_scatter(pool, y, choice, accumulate, x);
    }
    fn average_pool(&self, pool: &Pool2d, planes: usize, x: &Vec<R>, y: &mut Vec<R>) {
        kernels::pool2d::average_pool(pool, x, &mut y[..planes * outputs(pool)]);
    }
    fn average_pool_adjoint(
        &self,
        pool: &Pool2d,
        planes: usize,
        y: &Vec<R>,
        accumulate: Accumulate,
        x: &mut Vec<R>,
    ) {
        kernels::pool2d::average_pool_adjoint(
            pool,
            y,
            accumulate,
            &mut x[..planes * pool.height * pool.width],
        );
    }
    fn subsample(&self, shape: Shape, channels_out: usize, n: usize, x: &Vec<R>, y: &mut Vec<R>) {
        let pixels = shape.height.div_ceil(2) * shape.width.div_ceil(2);
        let input = (shape.channels, shape.height, shape.width);
        kernels::layout::subsample(n, input, x, &mut y[..channels_out * n * pixels]);
    }
    fn subsample_adjoint(&self, shape: Shape, n: usize, y: &Vec<R>, accumulate: Accumulate, x: &mut Vec<R>) {
        let x = &mut x[..n * shape.elements()];
        kernels::layout::subsample_adjoint((shape.height, shape.width), y, accumulate, x);
    }
    fn flatten(&self, shape: Shape, n: usize, x: &Vec<R>, y: &mut Vec<R>) {
        kernels::layout::flatten(n, shape.pixels(), x, &mut y[..n * shape.elements()]);
    }
    fn unflatten(&self, shape: Shape, n: usize, y: &Vec<R>, accumulate: Accumulate, x: &mut Vec<R>) {
        kernels::layout::unflatten(n, shape.pixels(), y, accumulate, &mut x[..n * shape.elements()]);
    }

    fn channel_sum(&self, shape: Shape, n: usize, x: &Vec<R>, out: &mut Vec<f64>) {
        kernels::channels::channel_sum(&x[..n * shape.elements()], out);
    }
    fn channel_dot(&self, shape: Shape, n: usize, x: &Vec<R>, y: &Vec<R>, out: &mut Vec<f64>) {
        let len = n * shape.elements();
        kernels::channels::channel_dot(&x[..len], &y[..len], out);
    }
    fn channel_affine(
        &self,
        shape: Shape,
        n: usize,
        terms: &[(&Vec<f64>, &Vec<R>)],
        bias: Option<&Vec<f64>>,
        accumulate: Accumulate,
        y: &mut Vec<R>,
    ) {
        let terms: Vec<(&[f64], &[R])> = terms.iter().map(|(a, x)| (a.as_slice(), x.as_slice())).collect();
        let y = &mut y[..n * shape.elements()];
        kernels::channels::channel_affine(shape.channels, &terms, bias.map(Vec::as_slice), accumulate, y);
    }
    fn polynomial(&self, terms: &[Monomial<'_, Vec<f64>>], out: &mut Vec<f64>) {
        for (c, out) in out.iter_mut().enumerate() {
            *out = terms.iter().map(|(a, factors)| a * factors.iter().map(|v| v[c]).product::<f64>()).sum();
        }
    }
    fn inverse_sqrt(&self, x: &Vec<f64>, epsilon: f64, out: &mut Vec<f64>) {
        out.iter_mut().zip(x).for_each(|(out, x)| *out = 1.0 / (x + epsilon).sqrt());
    }
    fn widen(&self, x: View<'_, Vec<R>>, out: &mut Vec<f64>) {
        out.iter_mut().zip(slice(x)).for_each(|(out, x)| *out = x.to_f64());
    }
    fn narrow(&self, x: &Vec<f64>, accumulate: Accumulate, y: ViewMut<'_, Vec<R>>) {
        let values = x.iter().map(|&x| R::from_f64(x));
        match accumulate {
            Accumulate::Set => slice_mut(y).iter_mut().zip(values).for_each(|(y, x)| *y = x),
            Accumulate::Add => slice_mut(y).iter_mut().zip(values).for_each(|(y, x)| *y += x),
        }
    }

    fn dropout_mask(
        &self,
        p: f64,
        key: MaskKey,
        shape: Shape,
        n: usize,
        examples: &Vec<u32>,
        mask: &mut Vec<R>,
    ) {
        let mask = &mut mask[..n * shape.elements()];
        kernels::dropout::dropout_mask(p, key, &examples[..n], shape.pixels(), mask);
    }

    fn loss_value(
        &self,
        loss: Loss,
        classes: usize,
        n: usize,
        z: &Vec<R>,
        labels: &Vec<u32>,
        sums: &mut Vec<f64>,
    ) {
        kernels::loss::loss_value(loss, n, &z[..n * classes], labels, sums);
    }
    fn loss_gradient(
        &self,
        loss: Loss,
        classes: usize,
        n: usize,
        z: &Vec<R>,
        labels: &Vec<u32>,
        scale: f64,
        dz: &mut Vec<R>,
    ) {
        kernels::loss::loss_gradient(loss, n, &z[..n * classes], labels, scale, &mut dz[..n * classes]);
    }
    fn loss_hessian_product(
        &self,
        loss: Loss,
        classes: usize,
        n: usize,
        z: &Vec<R>,
        labels: &Vec<u32>,
        scale: f64,
        v: &Vec<R>,
        out: &mut Vec<R>,
    ) {
        let out = &mut out[..n * classes];
        kernels::loss::loss_hessian_product(loss, n, &z[..n * classes], labels, scale, v, out);
    }
}

/// Output elements of one plane.
fn outputs(pool: &Pool2d) -> usize {
    pool.output().map_or(0, |(h, w)| h * w)
}
