//! A convolution with its epilogue, by the algorithm that suits it.
//!
//! An algorithm may contract transformed operands. Each is prepared once and then used by every contraction that takes it: an
//! input by the forward pass and the weight gradient, an output gradient by both gradients.

use serde::{Deserialize, Serialize};
use sharpness_backend::{Accumulate, Conv2d, Epilogue};

use super::direct::Direct;
use super::winograd::{Form, Winograd};
use super::{im2col, output_size};
use crate::epilogue::{self, Addends, Choice};
use crate::workspace::{Workspace, bytes};
use crate::{Real, elementwise, reduce};

/// Which algorithms compute convolutions. Their results differ by rounding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ConvolutionAlgorithm {
    /// Sums of products as the definition has them.
    Direct,
    /// Winograd's minimal filtering wherever it can be used (Lavin and Gray 2016).
    Winograd,
    /// The fastest for each layer.
    #[default]
    Auto,
}

/// How one convolution is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Algorithm {
    /// A matrix product with image patches: takes every geometry.
    Im2col,
    /// The sum over taps of few input channels: 3 x 3 kernels with stride 1 and padding 1.
    Direct,
    /// Small tiles in the transformed domain: 3 x 3 kernels with stride 1 or 2 and padding 1.
    Winograd(Form),
}

/// Channels on either side below which transforms cost more than they save.
const WINOGRAD_CHANNELS: usize = 8;

/// The algorithm for a geometry in the precision `R`.
///
/// Winograd's forms take less arithmetic wherever they fit, but transforms must be paid for by enough channels. `f64` is there for
/// exact comparison, so that it is direct unless asked otherwise.
fn choose<R: Real>(wanted: ConvolutionAlgorithm, g: &Conv2d, epilogue: Epilogue) -> Algorithm {
    let is_winograd = match wanted {
        ConvolutionAlgorithm::Direct => false,
        ConvolutionAlgorithm::Winograd => true,
        ConvolutionAlgorithm::Auto => {
            size_of::<R>() == size_of::<f32>() && g.channels_in.min(g.channels_out) >= WINOGRAD_CHANNELS
        }
    };
    if is_winograd && Winograd::fits(g, epilogue) {
        Algorithm::Winograd(Form::fewest(g))
    } else if Direct::fits(g) {
        Algorithm::Direct
    } else {
        Algorithm::Im2col
    }
}

/// A convolution with its epilogue, and the algorithm chosen for it.
///
/// Prepared operands of an algorithm that takes operands as they are have no elements; the operands are passed instead.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// The convolution.
    pub geometry: Conv2d,
    /// What follows its bias.
    pub epilogue: Epilogue,
    /// Whether a number is added to every pixel of the input before the padding.
    is_shifted: bool,
    algorithm: Algorithm,
}

impl Plan {
    /// The plan for a geometry in the precision `R`.
    pub fn new<R: Real>(wanted: ConvolutionAlgorithm, geometry: Conv2d, epilogue: Epilogue) -> Self {
        Self { geometry, epilogue, is_shifted: false, algorithm: choose::<R>(wanted, &geometry, epilogue) }
    }

    /// The same with a number added to every pixel of the input before the padding.
    pub const fn shifted(self) -> Self {
        Self { is_shifted: true, ..self }
    }

    const fn direct(&self) -> Direct {
        Direct { geometry: self.geometry, epilogue: self.epilogue }
    }

    const fn winograd(&self, form: Form) -> Winograd {
        Winograd { geometry: self.geometry, form, epilogue: self.epilogue }
    }

    /// Elements of a prepared input of `n` examples; 0 where the contractions take it as it is.
    pub fn input_len(&self, n: usize) -> usize {
        match self.algorithm {
            Algorithm::Im2col | Algorithm::Direct if self.is_shifted => self.input_elements(n),
            Algorithm::Im2col | Algorithm::Direct => 0,
            Algorithm::Winograd(form) => self.winograd(form).input_len(n),
        }
    }

    const fn input_elements(&self, n: usize) -> usize {
        self.geometry.channels_in * n * self.geometry.height * self.geometry.width
    }

    /// Elements of a prepared output gradient of `n` examples; 0 where the contractions take it as it is.
    pub fn output_len(&self, n: usize) -> usize {
        match (self.algorithm, self.epilogue) {
            (Algorithm::Im2col, Epilogue::None) | (Algorithm::Direct, _) => 0,
            (Algorithm::Im2col, Epilogue::Relu | Epilogue::ReluMaxPool) => {
                output_size(&self.geometry, n).elements()
            }
            (Algorithm::Winograd(form), _) => self.winograd(form).output_len(n),
        }
    }

    /// Bytes of the choices of `n` examples.
    pub fn choice_len(&self, n: usize) -> usize {
        output_size(&self.geometry, n).choice_len(self.epilogue)
    }

    /// Bytes that the contractions of `n` examples take of the workspace, on all threads of the pool together.
    pub fn scratch_bytes<R: Real>(&self, n: usize) -> usize {
        let one = match self.algorithm {
            Algorithm::Im2col => bytes::<R>(im2col::scratch_len(&self.geometry, self.epilogue, n)),
            Algorithm::Direct => self.direct().scratch_bytes::<R>(n),
            Algorithm::Winograd(form) => return self.winograd(form).scratch_bytes::<R>(n),
        };
        // The gradient of a shift needs that of the input alone, while scratch is borrowed.
        one + if self.is_shifted { one.max(bytes::<R>(self.input_elements(n))) } else { 0 }
    }

    /// Prepares `x + shift`, `x: [c_in, n, h, w]`, where [`Self::input_len`] is not 0. Only a shifted plan takes a shift.
    ///
    /// # Panics
    /// If a slice is shorter than its shape.
    pub fn prepare_input<R: Real>(
        &self,
        n: usize,
        (x, shift): (&[R], Option<R>),
        to: &mut [R],
        workspace: &Workspace<R>,
    ) {
        match self.algorithm {
            Algorithm::Im2col | Algorithm::Direct => {
                elementwise::shift(x, shift.unwrap_or(R::ZERO), &mut to[..self.input_len(n)])
            }
            Algorithm::Winograd(form) => self.winograd(form).prepare_input(n, (x, shift), to, workspace),
        }
    }

    /// Prepares the output gradient `dy: [c_out, n, ..]` after the epilogue, which made `choice`, where [`Self::output_len`] is
    /// not 0.
    ///
    /// # Panics
    /// If a slice is shorter than its shape.
    pub fn prepare_output<R: Real>(
        &self,
        n: usize,
        dy: &[R],
        choice: &[u8],
        to: &mut [R],
        workspace: &Workspace<R>,
    ) {
        match self.algorithm {
            Algorithm::Im2col => {
                epilogue::scatter(
                    self.epilogue,
                    &output_size(&self.geometry, n),
                    dy,
                    choice,
                    Accumulate::Set,
                    to,
                );
            }
            Algorithm::Direct => {}
            Algorithm::Winograd(form) => self.winograd(form).prepare_output(n, dy, choice, to, workspace),
        }
    }

    /// `y: [c_out, n, ..]` = the epilogue of `Σ_k conv(x_k, w_k)` and the addends for pairs of prepared inputs and weights, or what
    /// `choice` lets pass of it.
    ///
    /// # Panics
    /// If a slice is shorter than its shape, or there is a residual and another epilogue than a ReLU.
    pub fn forward<R: Real>(
        &self,
        n: usize,
        pairs: &[(&[R], &[R])],
        addends: Addends<'_, R>,
        mut choice: Choice<'_>,
        y: &mut [R],
        workspace: &Workspace<R>,
    ) {
        let (g, epilogue) = (&self.geometry, self.epilogue);
        assert!(
            addends.residual.is_none() || epilogue == Epilogue::Relu,
            "a residual is added before a ReLU"
        );
        match (self.algorithm, epilogue) {
            (Algorithm::Im2col, Epilogue::None) => {
                let y = &mut y[..output_size(g, n).elements()];
                im2col::forward(g, n, pairs, y, workspace);
                epilogue::add_bias(g.channels_out, addends.bias, y);
            }
            (Algorithm::Im2col, Epilogue::Relu | Epilogue::ReluMaxPool) => {
                im2col::forward_then((g, epilogue), n, pairs, addends, &mut choice, y, workspace);
            }
            (Algorithm::Direct, _) => self.direct().forward(n, pairs, addends, choice, y, workspace),
            (Algorithm::Winograd(form), _) => {
                self.winograd(form).forward(n, pairs, addends, choice, y, workspace)
            }
        }
    }

    /// `x: [c_in, n, h, w] (+)= Σ_k convᵀ(y_k, w_k)` for pairs of prepared output gradients, which `choice` led to, and weights.
    /// Where `sum` is asked for, it is that of all elements of the result, without those that it is added to: the gradient of the shift.
    ///
    /// # Panics
    /// If a slice is shorter than its shape.
    pub fn input_gradient<R: Real>(
        &self,
        n: usize,
        pairs: &[(&[R], &[R])],
        choice: &[u8],
        accumulate: Accumulate,
        (x, sum): (&mut [R], Option<&mut f64>),
        workspace: &Workspace<R>,
    ) {
        let alone = |accumulate, x: &mut [R]| match self.algorithm {
            Algorithm::Direct => self.direct().input_gradient(n, pairs, choice, accumulate, x, workspace),
            _ => im2col::input_gradient(&self.geometry, n, pairs, accumulate, x, workspace),
        };
        match (self.algorithm, sum) {
            (Algorithm::Winograd(form), sum) => {
                self.winograd(form).input_gradient(n, pairs, accumulate, (x, sum), workspace)
            }
            (_, None) => alone(accumulate, x),
            (_, Some(sum)) => workspace.with(self.input_elements(n), |terms| {
                alone(Accumulate::Set, terms);
                *sum = reduce::sum(terms);
                elementwise::linear_combination(&[(1.0, terms)], accumulate, &mut x[..terms.len()]);
            }),
        }
    }

    /// `w (+)=` the adjoint of the convolution in its weights, summed over pairs of prepared inputs and prepared output
    /// gradients, which `choice` led to.
    ///
    /// # Panics
    /// If a slice is shorter than its shape.
    pub fn weight_gradient<R: Real>(
        &self,
        n: usize,
        pairs: &[(&[R], &[R])],
        choice: &[u8],
        accumulate: Accumulate,
        w: &mut [R],
        workspace: &Workspace<R>,
    ) {
        match self.algorithm {
            Algorithm::Direct => self.direct().weight_gradient(n, pairs, choice, accumulate, w, workspace),
            Algorithm::Im2col => im2col::weight_gradient(&self.geometry, n, pairs, accumulate, w, workspace),
            Algorithm::Winograd(form) => {
                self.winograd(form).weight_gradient(n, pairs, accumulate, w, workspace)
            }
        }
    }

    /// `r: [c_out, n, ..] (+)=` the gradient of a residual from `dy` after the epilogue, which made `choice`.
    ///
    /// # Panics
    /// If a slice is shorter than its shape.
    pub fn residual_gradient<R: Real>(
        &self,
        n: usize,
        dy: &[R],
        choice: &[u8],
        accumulate: Accumulate,
        r: &mut [R],
    ) {
        epilogue::scatter(self.epilogue, &output_size(&self.geometry, n), dy, choice, accumulate, r);
    }

    /// `out[c]` = the gradient of the bias from `dy` after the epilogue.
    ///
    /// # Panics
    /// If a slice is shorter than its shape or `out` has not one number per channel.
    pub fn bias_gradient<R: Real>(&self, n: usize, dy: &[R], choice: &[u8], out: &mut [f64]) {
        epilogue::channel_sum(self.epilogue, &output_size(&self.geometry, n), dy, choice, out);
    }
}
