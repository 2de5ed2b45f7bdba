//! The loops that a network needs, behind one trait: ops hold the calculus, a backend holds the loops.
//!
//! # Contract
//! - Buffers are opaque. Host data passes only through [`Backend::upload`], [`Backend::upload_images`],
//!   [`Backend::upload_pixels`], [`Backend::upload_integers`], [`Backend::download`], [`Backend::download_activations`] and [`Backend::read`]; these are the
//!   only calls that may wait for a device.
//! - Outputs are parameters and are allocated by the caller beforehand. Kernels overwrite them unless an [`Accumulate`] says
//!   otherwise. Inputs and outputs do not overlap.
//! - The layout of activations is the backend's own business: ops name a [`Shape`] and a number of examples `n`. Parameter
//!   vectors are flat and have PyTorch's order (row-major, `[out, in, kh, kw]`) everywhere.
//! - Ties: max pooling takes the first maximum in row order, and a NaN wins; `ReLU'(0) = 0`; an output's class is its first
//!   maximum.
//! - Reductions accumulate in `f64` in an order that depends on the data's size alone.
//! - Dropout masks are Philox4x32-10 words of (seed, step, layer, example, element).

use std::fmt::Debug;

pub use sharpness_kernels::Accumulate;
pub use sharpness_kernels::activation::Activation;
pub use sharpness_kernels::conv2d::{Conv2d, Method};
pub use sharpness_kernels::dropout::MaskKey;
pub use sharpness_kernels::epilogue::Epilogue;
pub use sharpness_kernels::layout::Pixels;
pub use sharpness_kernels::loss::Loss;
pub use sharpness_kernels::pool2d::Pool2d;
pub use sharpness_kernels::sgd::Sgd;

/// The shape of one example's activation: channels, height, width. A linear layer's features are `[features, 1, 1]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Channels or features.
    pub channels: usize,
    /// Height in pixels.
    pub height: usize,
    /// Width in pixels.
    pub width: usize,
}

impl Shape {
    /// The shape `[channels, height, width]`.
    pub const fn new(channels: usize, height: usize, width: usize) -> Self {
        Self { channels, height, width }
    }

    /// The shape of a vector of features.
    pub const fn features(features: usize) -> Self {
        Self::new(features, 1, 1)
    }

    /// Pixels of one channel.
    pub const fn pixels(&self) -> usize {
        self.height * self.width
    }

    /// Elements of one example.
    pub const fn elements(&self) -> usize {
        self.channels * self.height * self.width
    }
}

impl std::fmt::Display for Shape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}x{}x{}", self.channels, self.height, self.width)
    }
}

/// A contiguous range of a flat buffer.
#[derive(Debug)]
pub struct View<'a, T> {
    /// The whole buffer.
    pub buffer: &'a T,
    /// The first element.
    pub start: usize,
    /// The number of elements.
    pub len: usize,
}

impl<'a, T> View<'a, T> {
    /// The range `start..start + len` of `buffer`.
    pub const fn new(buffer: &'a T, start: usize, len: usize) -> Self {
        Self { buffer, start, len }
    }
}

// Derived impls would ask for `T: Copy`.
impl<T> Clone for View<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for View<'_, T> {}

/// A contiguous range of a flat buffer, to be written.
#[derive(Debug)]
pub struct ViewMut<'a, T> {
    /// The whole buffer.
    pub buffer: &'a mut T,
    /// The first element.
    pub start: usize,
    /// The number of elements.
    pub len: usize,
}

impl<'a, T> ViewMut<'a, T> {
    /// The range `start..start + len` of `buffer`.
    pub const fn new(buffer: &'a mut T, start: usize, len: usize) -> Self {
        Self { buffer, start, len }
    }
}

/// A number on the device, and a vector that it multiplies.
pub type Scaled<'a, T> = (View<'a, T>, View<'a, T>);

/// One product of per-channel vectors with a coefficient.
pub type Monomial<'a, W> = (f64, &'a [&'a W]);

/// What a layer contracts its input with its weights by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contraction {
    /// A convolution.
    Convolution(Conv2d),
    /// A product of the weights' matrix `[features_out, features_in]` with the features.
    Linear {
        /// Features of the input.
        features_in: usize,
        /// Features of the output.
        features_out: usize,
    },
}

impl Contraction {
    /// Channels of the output.
    pub const fn channels_out(&self) -> usize {
        match self {
            Self::Convolution(conv) => conv.channels_out,
            Self::Linear { features_out, .. } => *features_out,
        }
    }
}

/// A layer that is bilinear in its input and its weights, and what follows its bias in the same pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BilinearLayer {
    /// The product.
    pub contraction: Contraction,
    /// What follows the bias.
    pub epilogue: Epilogue,
    /// Whether a number is added to every pixel of a convolution's input before the padding.
    pub is_shifted: bool,
}

/// What is added to a layer's product before its epilogue.
#[derive(Debug)]
pub struct Addends<'a, T> {
    /// A number for each channel, or one for all.
    pub bias: Option<View<'a, T>>,
    /// A number for each element.
    pub residual: Option<&'a T>,
}

/// What a [`BilinearLayer`] takes for a number of examples besides its operands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OperandSizes {
    /// Elements of a prepared input; 0 where the contractions take it as it is.
    pub input: usize,
    /// Elements of a prepared output gradient; 0 where the contractions take it as it is.
    pub output: usize,
    /// Bytes of the epilogue's choices.
    pub choice: usize,
    /// Bytes to which scratch inside the backend grows; it is shared by all layers.
    pub scratch_bytes: usize,
}

/// A batch norm of inputs of this shape, and what follows it in the same pass.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BatchNormLayer {
    /// The shape of the input.
    pub input: Shape,
    /// What follows.
    pub epilogue: Epilogue,
    /// Added to the variance.
    pub epsilon: f64,
    /// Whether the statistics are those of the batch; else they are given, and constant.
    pub of_batch: bool,
}

/// Where the rules of a [`BatchNormLayer`] are evaluated: what [`Backend::batch_norm_value`] read and wrote.
#[derive(Clone, Copy, Debug)]
pub struct BatchNormPoint<'a, B: Backend> {
    /// The input.
    pub x: &'a B::Buffer,
    /// The factor of each channel.
    pub gamma: View<'a, B::Buffer>,
    /// The mean and the variance of each channel.
    pub statistics: (&'a B::Wide, &'a B::Wide),
    /// What the epilogue chose.
    pub choice: &'a B::Bytes,
}

/// Where the gradient of an input goes and whether it is added there; `None` where nobody needs it.
pub type Target<'a, T> = Option<(&'a mut T, Accumulate)>;

/// Whether an epilogue decides which elements pass, or repeats what it decided at the primal point.
#[derive(Debug)]
pub enum Choice<'a, T> {
    /// The choice is made and written here.
    Record(&'a mut T),
    /// The choice is read from here.
    Replay(&'a T),
}

/// The kernels of one device. See the [module](self) for what all of them promise.
pub trait Backend: Debug + Send + Sized + 'static {
    /// Numbers of the backend's precision: parameters or activations.
    type Buffer: Debug + Send;
    /// `f64` numbers: sums, per-channel vectors, accumulated gradients.
    type Wide: Debug + Send;
    /// Labels and example numbers.
    type Integers: Debug + Send;
    /// One byte an element: the choices of max pooling.
    type Bytes: Debug + Send;

    /// The precision of [`Self::Buffer`], as reports name it.
    fn precision(&self) -> &'static str;
    /// Bytes of one element of [`Self::Buffer`].
    fn element_bytes(&self) -> usize;

    /// A buffer of `len` zeros.
    fn buffer(&self, len: usize) -> Self::Buffer;
    /// `len` wide zeros.
    fn wide(&self, len: usize) -> Self::Wide;
    /// `len` integer zeros.
    fn integers(&self, len: usize) -> Self::Integers;
    /// `len` zero bytes.
    fn bytes(&self, len: usize) -> Self::Bytes;
    /// Overwrites a whole flat buffer.
    fn upload(&self, x: &[f64], to: &mut Self::Buffer);
    /// Overwrites the first `n` examples of an activation with `x: [n, c, h, w]`.
    fn upload_images(&self, shape: Shape, n: usize, x: &[f64], to: &mut Self::Buffer);
    /// Overwrites the first examples of an activation with the images with the given numbers.
    fn upload_pixels(&self, shape: Shape, pixels: &Pixels<'_>, numbers: &[u32], to: &mut Self::Buffer);
    /// Overwrites the first integers.
    fn upload_integers(&self, x: &[u32], to: &mut Self::Integers);
    /// The range of a flat buffer.
    fn download(&self, x: View<'_, Self::Buffer>) -> Vec<f64>;
    /// The first `n` examples of an activation as `[n, c, h, w]`.
    fn download_activations(&self, shape: Shape, n: usize, x: &Self::Buffer) -> Vec<f64>;
    /// All numbers of `x`.
    fn read(&self, x: &Self::Wide) -> Vec<f64>;
    /// Overwrites `out` with all numbers of `x`, which has the same length.
    fn read_into(&self, x: &Self::Wide, out: &mut [f64]);
    /// Sets all numbers to zero.
    fn clear(&self, x: &mut Self::Wide);

    /// `y (+)= Σ_k a_k x_k`.
    fn linear_combination(
        &self,
        terms: &[(f64, View<'_, Self::Buffer>)],
        accumulate: Accumulate,
        y: ViewMut<'_, Self::Buffer>,
    );
    /// `y (+)= Σ_k s_k x_k` with numbers `s_k` on the device.
    fn scaled_sum(
        &self,
        terms: &[Scaled<'_, Self::Buffer>],
        accumulate: Accumulate,
        y: ViewMut<'_, Self::Buffer>,
    );
    /// `y (+)= a ⊙ b`.
    fn multiply(
        &self,
        a: View<'_, Self::Buffer>,
        b: View<'_, Self::Buffer>,
        accumulate: Accumulate,
        y: ViewMut<'_, Self::Buffer>,
    );
    /// `y = |x| + offset`.
    fn absolute_plus(&self, x: View<'_, Self::Buffer>, offset: f64, y: ViewMut<'_, Self::Buffer>);
    /// Moves the `parameters` along the `gradient`, and the buffer of momentum where there is one.
    fn sgd(
        &self,
        rule: &Sgd,
        gradient: View<'_, Self::Buffer>,
        buffer: Option<ViewMut<'_, Self::Buffer>>,
        parameters: ViewMut<'_, Self::Buffer>,
    );
    /// `out[slot] = ⟨x, y⟩`.
    fn dot(&self, x: View<'_, Self::Buffer>, y: View<'_, Self::Buffer>, slot: usize, out: &mut Self::Wide);
    /// `y += x` in double precision.
    fn add_to_wide(&self, x: View<'_, Self::Buffer>, y: &mut Self::Wide);

    /// `y = f(x)`, over `len` elements.
    fn activation(&self, kind: Activation, len: usize, x: &Self::Buffer, y: &mut Self::Buffer);
    /// `y (+)= f'(x) ⊙ v`.
    fn activation_first(
        &self,
        kind: Activation,
        len: usize,
        x: &Self::Buffer,
        v: &Self::Buffer,
        accumulate: Accumulate,
        y: &mut Self::Buffer,
    );
    /// `y (+)= f'(x) ⊙ v + f''(x) ⊙ a ⊙ b`, with `curved = (a, b)`.
    #[expect(clippy::too_many_arguments, reason = "a closed kernel names all its operands")]
    fn activation_second(
        &self,
        kind: Activation,
        len: usize,
        x: &Self::Buffer,
        v: &Self::Buffer,
        curved: (&Self::Buffer, &Self::Buffer),
        accumulate: Accumulate,
        y: &mut Self::Buffer,
    );

    /// The sizes of prepared operands, choices and scratch of a layer for `n` examples.
    fn operand_sizes(&self, layer: &BilinearLayer, n: usize) -> OperandSizes;
    /// `to` = `x`, plus the number `shift` in a shifted layer, prepared for the contractions. Only where [`OperandSizes::input`] is
    /// not 0.
    fn prepare_input(
        &self,
        layer: &BilinearLayer,
        n: usize,
        x: &Self::Buffer,
        shift: Option<View<'_, Self::Buffer>>,
        to: &mut Self::Buffer,
    );
    /// `to` = the gradient before the epilogue, which made `choice`, from the gradient `dy` after it, prepared for the
    /// contractions. Only where [`OperandSizes::output`] is not 0.
    fn prepare_output(
        &self,
        layer: &BilinearLayer,
        n: usize,
        dy: &Self::Buffer,
        choice: &Self::Bytes,
        to: &mut Self::Buffer,
    );
    /// `y` = the epilogue of `Σ_k x_k · w_k` and the addends with prepared inputs, or what `choice` lets pass of it.
    fn bilinear_forward(
        &self,
        layer: &BilinearLayer,
        n: usize,
        pairs: &[(&Self::Buffer, View<'_, Self::Buffer>)],
        addends: Addends<'_, Self::Buffer>,
        choice: Choice<'_, Self::Bytes>,
        y: &mut Self::Buffer,
    );
    /// `x (+)= Σ_k y_k ·ₓ w_k`, the adjoint of the product in its input, with prepared output gradients, which `choice` led to. `shift[0]` is the sum of all
    /// elements that were set or added: the gradient of the number that is added to the input.
    #[expect(clippy::too_many_arguments, reason = "a closed kernel names all its operands")]
    fn bilinear_input_gradient(
        &self,
        layer: &BilinearLayer,
        n: usize,
        pairs: &[(&Self::Buffer, View<'_, Self::Buffer>)],
        choice: &Self::Bytes,
        accumulate: Accumulate,
        x: &mut Self::Buffer,
        shift: Option<&mut Self::Wide>,
    );
    /// `w (+)= Σ_k x_k ·w y_k`, the adjoint of the product in its weights, with prepared inputs and output gradients, which
    /// `choice` led to.
    fn bilinear_weight_gradient(
        &self,
        layer: &BilinearLayer,
        n: usize,
        pairs: &[(&Self::Buffer, &Self::Buffer)],
        choice: &Self::Bytes,
        accumulate: Accumulate,
        w: ViewMut<'_, Self::Buffer>,
    );
    /// `out[c]` = the gradient of the bias from the gradient `dy` after the epilogue; a bias of one number has one sum.
    fn bilinear_bias_gradient(
        &self,
        layer: &BilinearLayer,
        n: usize,
        dy: &Self::Buffer,
        choice: &Self::Bytes,
        out: &mut Self::Wide,
    );
    /// `r (+)=` the gradient of a residual from the gradient `dy` after the epilogue.
    fn residual_gradient(
        &self,
        layer: &BilinearLayer,
        n: usize,
        dy: &Self::Buffer,
        choice: &Self::Bytes,
        accumulate: Accumulate,
        r: &mut Self::Buffer,
    );

    /// The bytes of choices and of scratch of a batch norm for `n` examples; its operands are prepared by nobody.
    fn batch_norm_sizes(&self, layer: &BatchNormLayer, n: usize) -> OperandSizes;
    /// `y` = the epilogue of the normalised input, with `affine = (γ, β)`, and `choice` = what it chose. Statistics of the batch
    /// overwrite `statistics` (mean and variance); others are read there.
    #[expect(clippy::too_many_arguments, reason = "a closed kernel names all its operands")]
    fn batch_norm_value(
        &self,
        layer: &BatchNormLayer,
        n: usize,
        x: &Self::Buffer,
        affine: (View<'_, Self::Buffer>, View<'_, Self::Buffer>),
        statistics: (&mut Self::Wide, &mut Self::Wide),
        choice: &mut Self::Bytes,
        y: &mut Self::Buffer,
    );
    /// `sums = (β̄, γ̄)` and `dx (+)=` the gradient of the input, from the gradient `dy` after the epilogue.
    fn batch_norm_gradient(
        &self,
        layer: &BatchNormLayer,
        n: usize,
        at: BatchNormPoint<'_, Self>,
        dy: &Self::Buffer,
        sums: (&mut Self::Wide, &mut Self::Wide),
        dx: Target<'_, Self::Buffer>,
    );
    /// `y_dot` = the tangent after the epilogue, with `dot = (γ̇, β̇)`, and `means` = what [`Self::batch_norm_gradient_tangent`]
    /// needs of it.
    #[expect(clippy::too_many_arguments, reason = "a closed kernel names all its operands")]
    fn batch_norm_tangent(
        &self,
        layer: &BatchNormLayer,
        n: usize,
        at: BatchNormPoint<'_, Self>,
        x_dot: Option<&Self::Buffer>,
        dot: (View<'_, Self::Buffer>, View<'_, Self::Buffer>),
        means: (&mut Self::Wide, &mut Self::Wide),
        y_dot: &mut Self::Buffer,
    );
    /// `sums` = the derivatives of `β̄` and `γ̄`, and `dx (+)=` that of the input's gradient, along `dot = (ẋ, γ̇)` and `dȳ`, with
    /// `adjoint = (ȳ, dȳ)` and `known` = the sums of the gradient and the means of the tangent.
    #[expect(clippy::too_many_arguments, reason = "a closed kernel names all its operands")]
    fn batch_norm_gradient_tangent(
        &self,
        layer: &BatchNormLayer,
        n: usize,
        at: BatchNormPoint<'_, Self>,
        known: [(&Self::Wide, &Self::Wide); 2],
        adjoint: (&Self::Buffer, &Self::Buffer),
        dot: (Option<&Self::Buffer>, View<'_, Self::Buffer>),
        sums: (&mut Self::Wide, &mut Self::Wide),
        dx: Target<'_, Self::Buffer>,
    );

    /// `y` = the maxima of the windows of `planes` images, `choice` = which element of its window each is.
    fn max_pool(
        &self,
        pool: &Pool2d,
        planes: usize,
        x: &Self::Buffer,
        y: &mut Self::Buffer,
        choice: &mut Self::Bytes,
    );
    /// `y` = the elements of `x` that `choice` names.
    fn max_pool_gather(
        &self,
        pool: &Pool2d,
        planes: usize,
        x: &Self::Buffer,
        choice: &Self::Bytes,
        y: &mut Self::Buffer,
    );
    /// `x (+)=` the adjoint of [`Self::max_pool_gather`].
    fn max_pool_scatter(
        &self,
        pool: &Pool2d,
        planes: usize,
        y: &Self::Buffer,
        choice: &Self::Bytes,
        accumulate: Accumulate,
        x: &mut Self::Buffer,
    );
    /// `y` = the means of the windows.
    fn average_pool(&self, pool: &Pool2d, planes: usize, x: &Self::Buffer, y: &mut Self::Buffer);
    /// `x (+)=` the adjoint of [`Self::average_pool`].
    fn average_pool_adjoint(
        &self,
        pool: &Pool2d,
        planes: usize,
        y: &Self::Buffer,
        accumulate: Accumulate,
        x: &mut Self::Buffer,
    );
    /// `y: [channels_out, ⌈h/2⌉, ⌈w/2⌉]` = every second pixel of `x: shape`, then channels of zeros.
    fn subsample(&self, shape: Shape, channels_out: usize, n: usize, x: &Self::Buffer, y: &mut Self::Buffer);
    /// `x (+)=` the adjoint of [`Self::subsample`].
    fn subsample_adjoint(
        &self,
        shape: Shape,
        n: usize,
        y: &Self::Buffer,
        accumulate: Accumulate,
        x: &mut Self::Buffer,
    );
    /// `y: [c h w, 1, 1]` = the features of `x: shape` in PyTorch's order.
    fn flatten(&self, shape: Shape, n: usize, x: &Self::Buffer, y: &mut Self::Buffer);
    /// `x (+)=` the adjoint of [`Self::flatten`].
    fn unflatten(
        &self,
        shape: Shape,
        n: usize,
        y: &Self::Buffer,
        accumulate: Accumulate,
        x: &mut Self::Buffer,
    );

    /// `out[c] = Σ x` over the examples and pixels of each channel. A `shape` of one channel of all elements sums everything.
    fn channel_sum(&self, shape: Shape, n: usize, x: &Self::Buffer, out: &mut Self::Wide);
    /// `out[c] = Σ x y` over the examples and pixels of each channel.
    fn channel_dot(&self, shape: Shape, n: usize, x: &Self::Buffer, y: &Self::Buffer, out: &mut Self::Wide);
    /// `y (+)= Σ_k a_k[c] x_k + b[c]`.
    fn channel_affine(
        &self,
        shape: Shape,
        n: usize,
        terms: &[(&Self::Wide, &Self::Buffer)],
        bias: Option<&Self::Wide>,
        accumulate: Accumulate,
        y: &mut Self::Buffer,
    );
    /// `out[c] = Σ_k a_k Π_j v_kj[c]`: arithmetic on per-channel vectors of one length.
    fn polynomial(&self, terms: &[Monomial<'_, Self::Wide>], out: &mut Self::Wide);
    /// `out` = the range of a flat buffer in double precision.
    fn widen(&self, x: View<'_, Self::Buffer>, out: &mut Self::Wide);
    /// The range of a flat buffer `(+)= x`.
    fn narrow(&self, x: &Self::Wide, accumulate: Accumulate, y: ViewMut<'_, Self::Buffer>);

    /// `mask` = 0 with probability `p`, else `1 / (1 - p)`, for `n` examples with the given numbers.
    fn dropout_mask(
        &self,
        p: f64,
        key: MaskKey,
        shape: Shape,
        n: usize,
        examples: &Self::Integers,
        mask: &mut Self::Buffer,
    );

    /// `sums[0] +=` the examples' losses, `sums[1] +=` the number of correct outputs.
    fn loss_value(
        &self,
        loss: Loss,
        classes: usize,
        n: usize,
        z: &Self::Buffer,
        labels: &Self::Integers,
        sums: &mut Self::Wide,
    );
    /// `dz = scale ·` the gradient of the sum of the losses, and `sums` as in [`Self::loss_value`].
    #[expect(clippy::too_many_arguments, reason = "a closed kernel names all its operands")]
    fn loss_gradient(
        &self,
        loss: Loss,
        classes: usize,
        n: usize,
        z: &Self::Buffer,
        labels: &Self::Integers,
        scale: f64,
        sums: &mut Self::Wide,
        dz: &mut Self::Buffer,
    );
    /// `out = scale · H v` with the Hessian of the sum of the losses in `z`.
    #[expect(clippy::too_many_arguments, reason = "a closed kernel names all its operands")]
    fn loss_hessian_product(
        &self,
        loss: Loss,
        classes: usize,
        n: usize,
        z: &Self::Buffer,
        labels: &Self::Integers,
        scale: f64,
        v: &Self::Buffer,
        out: &mut Self::Buffer,
    );
}
