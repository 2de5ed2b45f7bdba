//! Convolutions and linear layers with an epilogue, and the contractions that are their adjoints.

use crate::{Accumulate, Device, Epilogue, View, ViewMut};

/// The geometry of a convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conv2d {
    /// Channels of the input.
    pub channels_in: usize,
    /// Channels of the output.
    pub channels_out: usize,
    /// Height of the input in pixels.
    pub height: usize,
    /// Width of the input in pixels.
    pub width: usize,
    /// Height and width of the kernel.
    pub kernel: usize,
    /// Distance between neighbouring outputs, in input pixels.
    pub stride: usize,
    /// Zeros added on each side.
    pub padding: usize,
}

impl Conv2d {
    /// Height and width of the output, or `None` where the kernel does not fit the padded image once.
    pub fn output(&self) -> Option<(usize, usize)> {
        let size = |input: usize| {
            let room = (input + 2 * self.padding).checked_sub(self.kernel)?;
            Some(room.checked_div(self.stride)? + 1)
        };
        Some((size(self.height)?, size(self.width)?))
    }

    /// Elements of the weights.
    pub fn weights(&self) -> usize {
        self.channels_out * self.channels_in * self.kernel * self.kernel
    }

    /// Height and width of the output.
    ///
    /// # Panics
    /// If the kernel does not fit the padded image once.
    pub fn sizes(&self) -> (usize, usize) {
        self.output().expect("the geometry of a convolution is checked at construction")
    }
}

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

/// An operand of a layer's contractions, in the form in which the backend takes it. What it holds is the backend's own business:
/// an input or an output gradient as it is where [`OperandSizes`] says 0, or else what [`Contractions::prepare_input`] or
/// [`Contractions::prepare_output`] wrote, which only contractions of the same layer can read.
#[derive(Debug)]
pub struct Prepared<'a, T>(&'a T);

impl<'a, T> Prepared<'a, T> {
    /// The operand in `buffer`.
    pub const fn new(buffer: &'a T) -> Self {
        Self(buffer)
    }

    /// The buffer, for the backend.
    pub const fn buffer(self) -> &'a T {
        self.0
    }
}

// Derived impls would ask for `T: Copy`.
impl<T> Clone for Prepared<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for Prepared<'_, T> {}

/// An input or an output gradient, and weights.
pub type WeightPair<'a, T> = (Prepared<'a, T>, View<'a, T>);
/// An input and an output gradient.
pub type ActivationPair<'a, T> = (Prepared<'a, T>, Prepared<'a, T>);

/// What a [`BilinearLayer`] takes for a number of examples besides its operands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OperandSizes {
    /// Elements of a prepared input; 0 if the contractions take an input as it is.
    pub input: usize,
    /// Elements of a prepared output gradient; 0 if the contractions take it as it is.
    pub output: usize,
    /// Bytes of the epilogue's choices.
    pub choice: usize,
    /// Bytes to which scratch inside the backend grows; it is shared by all layers.
    pub scratch_bytes: usize,
}

/// Whether an epilogue decides which elements pass, or repeats what it decided at the primal point.
#[derive(Debug)]
pub enum Choice<'a, T> {
    /// Choose, and write the choice here.
    Record(&'a mut T),
    /// The choice is read from here.
    Replay(&'a T),
}

/// Convolutions and linear layers with an epilogue, and the contractions that are their adjoints. See the [crate] for
/// what all kernels promise.
pub trait Contractions: Device {
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
        pairs: &[WeightPair<'_, Self::Buffer>],
        addends: Addends<'_, Self::Buffer>,
        choice: Choice<'_, Self::Bytes>,
        y: &mut Self::Buffer,
    );

    /// `x (+)= Σ_k y_k ·ₓ w_k`, the adjoint of the product in its input, with prepared output gradients, which `choice` led to.
    /// `shift[0]` is the sum of all elements that were set or added: the gradient of the number that is added to the input.
    #[expect(clippy::too_many_arguments, reason = "a closed kernel names all its operands")]
    fn bilinear_input_gradient(
        &self,
        layer: &BilinearLayer,
        n: usize,
        pairs: &[WeightPair<'_, Self::Buffer>],
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
        pairs: &[ActivationPair<'_, Self::Buffer>],
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
}
