//! The CPU's backend: slices and the loops of `sharpness-kernels`, in `f32` or `f64`.

use sharpness_kernels as kernels;
use sharpness_kernels::Real;
use sharpness_kernels::batch_norm::{self, BatchNorm};
use sharpness_kernels::conv2d::Plan;
use sharpness_kernels::epilogue::Size;
use sharpness_kernels::linear::Linear;
use sharpness_kernels::workspace::Workspace;
use smallvec::{SmallVec, smallvec};

use crate::backend::{
    Accumulate, Activation, Addends, Backend, BatchNormLayer, BatchNormPoint, BilinearLayer, Choice,
    Contraction, Loss, MaskKey, Method, Monomial, OperandSizes, Pixels, Pool2d, Scaled, Sgd, Shape, Target,
    View, ViewMut,
};

/// The CPU in precision `R`. Activations have the layout `[c, n, h, w]`.
#[derive(Debug, Default)]
pub struct Cpu<R> {
    /// Which algorithms convolutions may use.
    method: Method,
    /// The scratch of bilinear layers.
    workspace: Workspace<R>,
}

/// The kernel of a bilinear layer.
enum Kernel {
    Convolution(Plan),
    Linear(Linear),
}

impl<R: Real> Cpu<R> {
    /// A backend that uses the threads of the global rayon pool, and for convolutions the algorithms of `method`.
    pub const fn new(method: Method) -> Self {
        Self { method, workspace: Workspace::new() }
    }

    /// The gradient of a bias with a number for each channel.
    fn channel_sums(&self, layer: &BilinearLayer, n: usize, dy: &[R], choice: &[u8], out: &mut [f64]) {
        match self.kernel(layer) {
            Kernel::Convolution(k) => k.bias_gradient(n, dy, choice, out),
            Kernel::Linear(k) => k.bias_gradient(n, dy, choice, out),
        }
    }

    fn kernel(&self, layer: &BilinearLayer) -> Kernel {
        let epilogue = layer.epilogue;
        match layer.contraction {
            Contraction::Convolution(conv) => {
                let plan = Plan::new::<R>(self.method, conv, epilogue);
                Kernel::Convolution(if layer.is_shifted { plan.shifted() } else { plan })
            }
            Contraction::Linear { features_in, features_out } => {
                Kernel::Linear(Linear { features_in, features_out, epilogue })
            }
        }
    }
}

/// The pairs of operands of a contraction: two at most in the rules, so that they take no allocation.
type Pairs<'a, R> = SmallVec<[(&'a [R], &'a [R]); 2]>;

fn slice<R>(view: View<'_, Vec<R>>) -> &[R] {
    &view.buffer[view.start..view.start + view.len]
}

fn slice_mut<R>(view: ViewMut<'_, Vec<R>>) -> &mut [R] {
    &mut view.buffer[view.start..view.start + view.len]
}

fn pairs<'a, R>(pairs: &[(&'a Vec<R>, View<'a, Vec<R>>)]) -> Pairs<'a, R> {
    pairs.iter().map(|(x, w)| (x.as_slice(), slice(*w))).collect()
}

/// The one number of a view.
fn number<R: Copy>(view: View<'_, Vec<R>>) -> R {
    view.buffer[view.start]
}

/// The one number of `bias` for each channel of the output; nothing where `bias` has one for each.
fn spread<R: Real>(layer: &BilinearLayer, bias: Option<&[R]>) -> SmallVec<[R; 64]> {
    let channels = layer.contraction.channels_out();
    match bias {
        Some([one]) if channels > 1 => smallvec![*one; channels],
        _ => SmallVec::new(),
    }
}

/// The kernels of a batch norm.
const fn batch_norm(layer: &BatchNormLayer, n: usize) -> BatchNorm {
    let Shape { channels, height, width } = layer.input;
    BatchNorm {
        size: Size { channels, n, height, width },
        epilogue: layer.epilogue,
        epsilon: layer.epsilon,
        of_batch: layer.of_batch,
    }
}

fn point<'a, R: Real>(at: BatchNormPoint<'a, Cpu<R>>) -> batch_norm::Point<'a, R> {
    let (mean, variance) = at.statistics;
    batch_norm::Point { x: at.x, mean, variance, gamma: slice(at.gamma), choice: at.choice }
}

fn target<'a, R>(dx: Target<'a, Vec<R>>) -> batch_norm::Target<'a, R> {
    dx.map(|(dx, accumulate)| (dx.as_mut_slice(), accumulate))
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
    fn upload_pixels(&self, shape: Shape, pixels: &Pixels<'_>, numbers: &[u32], to: &mut Vec<R>) {
        let to = &mut to[..numbers.len() * shape.elements()];
        kernels::layout::from_pixels(shape.channels, pixels, numbers, to);
    }
    fn upload_integers(&self, x: &[u32], to: &mut Vec<u32>) {
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
        let terms: SmallVec<[(f64, &[R]); 4]> = terms.iter().map(|(a, x)| (*a, slice(*x))).collect();
        kernels::elementwise::linear_combination(&terms, accumulate, slice_mut(y));
    }
    fn scaled_sum(&self, terms: &[Scaled<'_, Vec<R>>], accumulate: Accumulate, y: ViewMut<'_, Vec<R>>) {
        let terms: SmallVec<[(f64, &[R]); 2]> =
            terms.iter().map(|(s, x)| (number(*s).to_f64(), slice(*x))).collect();
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
    fn sgd(
        &self,
        rule: &Sgd,
        gradient: View<'_, Vec<R>>,
        buffer: Option<ViewMut<'_, Vec<R>>>,
        parameters: ViewMut<'_, Vec<R>>,
    ) {
        kernels::sgd::sgd(rule, slice(gradient), buffer.map(slice_mut), slice_mut(parameters));
    }
    fn dot(&self, x: View<'_, Vec<R>>, y: View<'_, Vec<R>>, slot: usize, out: &mut Vec<f64>) {
        out[slot] = kernels::reduce::dot(slice(x), slice(y));
    }
    fn add_to_wide(&self, x: View<'_, Vec<R>>, y: &mut Vec<f64>) {
        kernels::elementwise::add_to_wide(slice(x), y);
    }

    #[inline(never)]
    fn activation(&self, kind: Activation, len: usize, x: &Vec<R>, y: &mut Vec<R>) {
        kernels::activation::activation(kind, x, &mut y[..len]);
    }
    #[inline(never)]
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
    #[inline(never)]
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

    fn operand_sizes(&self, layer: &BilinearLayer, n: usize) -> OperandSizes {
        let of = |input, output, choice, scratch_bytes| OperandSizes { input, output, choice, scratch_bytes };
        match self.kernel(layer) {
            Kernel::Convolution(k) => {
                of(k.input_len(n), k.output_len(n), k.choice_len(n), k.scratch_bytes::<R>(n))
            }
            Kernel::Linear(k) => of(0, k.output_len(n), k.choice_len(n), k.scratch_bytes::<R>(n)),
        }
    }
    #[inline(never)]
    fn prepare_input(
        &self,
        layer: &BilinearLayer,
        n: usize,
        x: &Vec<R>,
        shift: Option<View<'_, Vec<R>>>,
        to: &mut Vec<R>,
    ) {
        match self.kernel(layer) {
            Kernel::Convolution(k) => k.prepare_input(n, (x, shift.map(number)), to, &self.workspace),
            Kernel::Linear(_) => {}
        }
    }
    #[inline(never)]
    fn prepare_output(
        &self,
        layer: &BilinearLayer,
        n: usize,
        dy: &Vec<R>,
        choice: &Vec<u8>,
        to: &mut Vec<R>,
    ) {
        match self.kernel(layer) {
            Kernel::Convolution(k) => k.prepare_output(n, dy, choice, to, &self.workspace),
            Kernel::Linear(k) => k.prepare_output(n, dy, choice, to),
        }
    }
    #[inline(never)]
    fn bilinear_forward(
        &self,
        layer: &BilinearLayer,
        n: usize,
        operands: &[(&Vec<R>, View<'_, Vec<R>>)],
        addends: Addends<'_, Vec<R>>,
        choice: Choice<'_, Vec<u8>>,
        y: &mut Vec<R>,
    ) {
        let pairs = pairs(operands);
        let (bias, residual) = (addends.bias.map(slice), addends.residual.map(Vec::as_slice));
        let spread = spread(layer, bias);
        let bias = if spread.is_empty() { bias } else { Some(spread.as_slice()) };
        let choice = match choice {
            Choice::Record(choice) => kernels::epilogue::Choice::Record(choice),
            Choice::Replay(choice) => kernels::epilogue::Choice::Replay(choice),
        };
        match self.kernel(layer) {
            Kernel::Convolution(k) => {
                let addends = kernels::epilogue::Addends { bias, residual };
                k.forward(n, &pairs, addends, choice, y, &self.workspace);
            }
            Kernel::Linear(k) => k.forward(n, &pairs, bias, choice, y, &self.workspace),
        }
    }
    #[inline(never)]
    fn bilinear_input_gradient(
        &self,
        layer: &BilinearLayer,
        n: usize,
        operands: &[(&Vec<R>, View<'_, Vec<R>>)],
        choice: &Vec<u8>,
        accumulate: Accumulate,
        x: &mut Vec<R>,
        shift: Option<&mut Vec<f64>>,
    ) {
        let pairs = pairs(operands);
        match self.kernel(layer) {
            Kernel::Convolution(k) => {
                let sum = shift.and_then(|shift| shift.first_mut());
                k.input_gradient(n, &pairs, choice, accumulate, (x, sum), &self.workspace);
            }
            Kernel::Linear(k) => k.input_gradient(n, &pairs, accumulate, x, &self.workspace),
        }
    }
    #[inline(never)]
    fn bilinear_weight_gradient(
        &self,
        layer: &BilinearLayer,
        n: usize,
        pairs: &[(&Vec<R>, &Vec<R>)],
        choice: &Vec<u8>,
        accumulate: Accumulate,
        w: ViewMut<'_, Vec<R>>,
    ) {
        let pairs: Pairs<'_, R> = pairs.iter().map(|(x, y)| (x.as_slice(), y.as_slice())).collect();
        let w = slice_mut(w);
        match self.kernel(layer) {
            Kernel::Convolution(k) => k.weight_gradient(n, &pairs, choice, accumulate, w, &self.workspace),
            Kernel::Linear(k) => k.weight_gradient(n, &pairs, accumulate, w, &self.workspace),
        }
    }
    #[inline(never)]
    fn bilinear_bias_gradient(
        &self,
        layer: &BilinearLayer,
        n: usize,
        dy: &Vec<R>,
        choice: &Vec<u8>,
        out: &mut Vec<f64>,
    ) {
        let channels = layer.contraction.channels_out();
        if let [total] = out.as_mut_slice()
            && channels > 1
        {
            let mut sums: SmallVec<[f64; 64]> = smallvec![0.0; channels];
            self.channel_sums(layer, n, dy, choice, &mut sums);
            *total = sums.iter().sum();
        } else {
            self.channel_sums(layer, n, dy, choice, out);
        }
    }
    #[inline(never)]
    fn residual_gradient(
        &self,
        layer: &BilinearLayer,
        n: usize,
        dy: &Vec<R>,
        choice: &Vec<u8>,
        accumulate: Accumulate,
        r: &mut Vec<R>,
    ) {
        match self.kernel(layer) {
            Kernel::Convolution(k) => k.residual_gradient(n, dy, choice, accumulate, r),
            Kernel::Linear(_) => unreachable!("only convolutions have residuals"),
        }
    }

    fn batch_norm_sizes(&self, layer: &BatchNormLayer, n: usize) -> OperandSizes {
        let norm = batch_norm(layer, n);
        let (choice, scratch_bytes) = (norm.choice_len(), norm.scratch_bytes::<R>());
        OperandSizes { choice, scratch_bytes, ..OperandSizes::default() }
    }
    #[inline(never)]
    fn batch_norm_value(
        &self,
        layer: &BatchNormLayer,
        n: usize,
        x: &Vec<R>,
        (gamma, beta): (View<'_, Vec<R>>, View<'_, Vec<R>>),
        (mean, variance): (&mut Vec<f64>, &mut Vec<f64>),
        choice: &mut Vec<u8>,
        y: &mut Vec<R>,
    ) {
        let affine = (slice(gamma), slice(beta));
        batch_norm(layer, n).value(x, affine, (mean, variance), choice, y, &self.workspace);
    }
    #[inline(never)]
    fn batch_norm_gradient(
        &self,
        layer: &BatchNormLayer,
        n: usize,
        at: BatchNormPoint<'_, Self>,
        dy: &Vec<R>,
        (beta, gamma): (&mut Vec<f64>, &mut Vec<f64>),
        dx: Target<'_, Vec<R>>,
    ) {
        batch_norm(layer, n).gradient(point(at), dy, (beta, gamma), target(dx), &self.workspace);
    }
    #[inline(never)]
    fn batch_norm_tangent(
        &self,
        layer: &BatchNormLayer,
        n: usize,
        at: BatchNormPoint<'_, Self>,
        x_dot: Option<&Vec<R>>,
        (gamma, beta): (View<'_, Vec<R>>, View<'_, Vec<R>>),
        (p, m): (&mut Vec<f64>, &mut Vec<f64>),
        y_dot: &mut Vec<R>,
    ) {
        let (x_dot, dot) = (x_dot.map(Vec::as_slice), (slice(gamma), slice(beta)));
        batch_norm(layer, n).tangent(point(at), x_dot, dot, (p, m), y_dot, &self.workspace);
    }
    #[inline(never)]
    fn batch_norm_gradient_tangent(
        &self,
        layer: &BatchNormLayer,
        n: usize,
        at: BatchNormPoint<'_, Self>,
        [(beta, gamma), (p, m)]: [(&Vec<f64>, &Vec<f64>); 2],
        (dy, dy_dot): (&Vec<R>, &Vec<R>),
        (x_dot, gamma_dot): (Option<&Vec<R>>, View<'_, Vec<R>>),
        (d_beta, d_gamma): (&mut Vec<f64>, &mut Vec<f64>),
        dx: Target<'_, Vec<R>>,
    ) {
        let (known, dot) =
            (((&**beta, &**gamma), (&**p, &**m)), (x_dot.map(Vec::as_slice), slice(gamma_dot)));
        let (norm, sums, s) = (batch_norm(layer, n), (&mut **d_beta, &mut **d_gamma), &self.workspace);
        norm.gradient_tangent(point(at), known, (dy, dy_dot), dot, sums, target(dx), s);
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
    #[inline(never)]
    fn channel_affine(
        &self,
        shape: Shape,
        n: usize,
        terms: &[(&Vec<f64>, &Vec<R>)],
        bias: Option<&Vec<f64>>,
        accumulate: Accumulate,
        y: &mut Vec<R>,
    ) {
        let terms: SmallVec<[(&[f64], &[R]); 2]> =
            terms.iter().map(|(a, x)| (a.as_slice(), x.as_slice())).collect();
        let y = &mut y[..n * shape.elements()];
        kernels::channels::channel_affine(shape.channels, &terms, bias.map(Vec::as_slice), accumulate, y);
    }
    fn polynomial(&self, terms: &[Monomial<'_, Vec<f64>>], out: &mut Vec<f64>) {
        for (c, out) in out.iter_mut().enumerate() {
            *out = terms.iter().map(|(a, factors)| a * factors.iter().map(|v| v[c]).product::<f64>()).sum();
        }
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
        sums: &mut Vec<f64>,
        dz: &mut Vec<R>,
    ) {
        let dz = &mut dz[..n * classes];
        kernels::loss::loss_gradient(loss, n, &z[..n * classes], labels, scale, sums, dz);
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
