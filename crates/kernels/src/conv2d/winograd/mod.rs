//! Convolution with 3 x 3 kernels, stride 1 or 2 and padding 1 in the transformed domain of small tiles (Winograd 1980; Lavin and Gray
//! 2016), 4 times (`F(4x4, 3x3)` and [`Form::Toeplitz2`]) or 2.25 times (`F(2x2, 3x3)`) less work than the direct sum.
//!
//! Inputs and output gradients are transformed once and can be kept: all three contractions, and their tangents, are sums of
//! products of transformed operands, with one transform back per sum. Gradients use the adjoints of the same form, so that they are
//! the exact derivatives of what [`Winograd::forward`] computes, up to rounding.
//!
//! # Error
//! Relative to the direct sum in `f64`, in the 2-norm, for ReLU activations and 256 to 512 channels in `f32`: about 2e-6 for
//! `F(4x4, 3x3)` and 7e-7 for the others; the direct sum in `f32` has 2e-7. Tests assert 1e-5.

mod contract;
mod forms;
mod operands;
mod output;
mod sandwich;
mod tiling;
mod weights;

use std::marker::PhantomData;

use smallvec::{SmallVec, smallvec};

use contract::Call;
use forms::{F2, F4, Form as Matrices, Input, OutputAdjoint, Toeplitz2};
use tiling::{Size, Tiling};

use sharpness_backend::{Accumulate, Conv2d, Epilogue};

use crate::Real;
use crate::disjoint::Disjoint;
use crate::epilogue::blocks::{Choices, Source, Target};
use crate::epilogue::{Addends, Choice};
use crate::simd::{LANES, Lanes, Task};
use crate::workspace::{SLACK, Workspace, bytes};

/// Which tiles an image is cut into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// 4 x 4 outputs of 6 x 6 inputs with 36 multiplications.
    F4,
    /// 2 x 2 outputs of 4 x 4 inputs with 16 multiplications.
    F2,
    /// An image of 2 x 2 pixels with 9 multiplications.
    Toeplitz2,
}

impl Form {
    const fn size(self) -> Size {
        match self {
            Self::F4 => Size { input: 6, points: 6, output: 4 },
            Self::F2 => Size { input: 4, points: 4, output: 2 },
            Self::Toeplitz2 => Size { input: 2, points: 3, output: 2 },
        }
    }

    /// The form with the fewest multiplications; of equals the one with the smaller error.
    pub(super) fn fewest(g: &Conv2d) -> Self {
        if (g.height, g.width) == (2, 2) {
            return Self::Toeplitz2;
        }
        if Self::F2.products(g) <= Self::F4.products(g) { Self::F2 } else { Self::F4 }
    }

    /// Multiplications for one image and one pair of channels.
    const fn products(self, g: &Conv2d) -> usize {
        let size = self.size();
        g.height.div_ceil(size.output) * g.width.div_ceil(size.output) * size.points * size.points
    }
}

/// A convolution in the transformed domain of a form.
#[derive(Clone, Copy, Debug)]
pub(super) struct Winograd {
    pub(super) geometry: Conv2d,
    pub(super) form: Form,
    pub(super) epilogue: Epilogue,
}

impl Winograd {
    /// Whether the forms are for this: a stride of 2 takes every other pixel of what a stride of 1 makes, which is as much
    /// arithmetic as the direct sum; but windows to be pooled have no pixels between them.
    pub(super) fn fits(g: &Conv2d, epilogue: Epilogue) -> bool {
        let stride = if epilogue == Epilogue::ReluMaxPool { 1..=1 } else { 1..=2 };
        g.kernel == 3 && g.padding == 1 && g.height > 0 && g.width > 0 && stride.contains(&g.stride)
    }

    fn tiling(&self, n: usize) -> Tiling {
        Tiling::new(&self.geometry, n, self.form.size())
    }

    /// Elements of transformed operands with `channels`.
    fn len(&self, n: usize, channels: usize) -> usize {
        let tiling = self.tiling(n);
        tiling.groups() * channels.div_ceil(LANES) * tiling.block() + SLACK
    }

    /// Elements of a transformed input of `n` images.
    pub(super) fn input_len(&self, n: usize) -> usize {
        self.len(n, self.geometry.channels_in)
    }

    /// Elements of a transformed output gradient of `n` images.
    pub(super) fn output_len(&self, n: usize) -> usize {
        self.len(n, self.geometry.channels_out)
    }

    /// Bytes that the largest contraction takes of the workspace: its tasks on each thread, and parts of the weights' gradient.
    pub(super) fn scratch_bytes<R: Real>(&self, n: usize) -> usize {
        let (g, tiling) = (&self.geometry, self.tiling(n));
        let tasks = rayon::current_num_threads() * bytes::<R>(contract::scratch_len(g, &tiling));
        tasks + bytes::<R>(contract::partial_len(g, &tiling))
    }

    /// Height and width of an image after the epilogue.
    fn result(&self) -> (usize, usize) {
        self.epilogue.output(self.geometry.sizes())
    }

    /// `to` = the transformed `x + shift`.
    pub(super) fn prepare_input<R: Real>(
        &self,
        n: usize,
        (x, shift): (&[R], Option<R>),
        to: &mut [R],
        workspace: &Workspace<R>,
    ) {
        let operation = Operation::PrepareInput { x, shift, to };
        R::with_lanes(Run { winograd: self, n, workspace, operation });
    }

    /// `to` = the transformed output gradient before the epilogue.
    pub(super) fn prepare_output<R: Real>(
        &self,
        n: usize,
        dy: &[R],
        choice: &[u8],
        to: &mut [R],
        workspace: &Workspace<R>,
    ) {
        let operation = Operation::PrepareOutput { dy, choice, to };
        R::with_lanes(Run { winograd: self, n, workspace, operation });
    }

    /// `y = epilogue(Σ_k conv(x_k, w_k) + addends)` of transformed inputs.
    pub(super) fn forward<R: Real>(
        &self,
        n: usize,
        pairs: &[(&[R], &[R])],
        addends: Addends<'_, R>,
        choice: Choice<'_>,
        y: &mut [R],
        workspace: &Workspace<R>,
    ) {
        let target = Target {
            y: Disjoint::new(y),
            channels: self.geometry.channels_out,
            image: self.result(),
            stride: self.geometry.stride,
            addends,
            epilogue: self.epilogue,
            choices: choice.into(),
            accumulate: Accumulate::Set,
            sums: None,
        };
        R::with_lanes(Run { winograd: self, n, workspace, operation: Operation::Forward { pairs, target } });
    }

    /// `x (+)= Σ_k convᵀ(dy_k, w_k)` of transformed output gradients, and the sum of the result.
    pub(super) fn input_gradient<R: Real>(
        &self,
        n: usize,
        pairs: &[(&[R], &[R])],
        accumulate: Accumulate,
        (x, sum): (&mut [R], Option<&mut f64>),
        workspace: &Workspace<R>,
    ) {
        let parts = self.tiling(n).groups() * self.geometry.channels_in.div_ceil(LANES);
        let mut parts: SmallVec<[f64; 256]> = smallvec![0.0; if sum.is_some() { parts } else { 0 }];
        let target = Target {
            y: Disjoint::new(x),
            channels: self.geometry.channels_in,
            image: (self.geometry.height, self.geometry.width),
            stride: 1,
            addends: Addends::default(),
            epilogue: Epilogue::None,
            choices: Choices::Replay(&[]),
            accumulate,
            sums: sum.is_some().then(|| Disjoint::new(&mut parts)),
        };
        R::with_lanes(Run {
            winograd: self,
            n,
            workspace,
            operation: Operation::InputGradient { pairs, target },
        });
        if let Some(sum) = sum {
            *sum = parts.iter().sum();
        }
    }

    /// `w (+)= Σ_k` of the adjoint in the weights, for pairs of a transformed input and a transformed output gradient.
    pub(super) fn weight_gradient<R: Real>(
        &self,
        n: usize,
        pairs: &[(&[R], &[R])],
        accumulate: Accumulate,
        w: &mut [R],
        workspace: &Workspace<R>,
    ) {
        let operation = Operation::WeightGradient { pairs, accumulate, w };
        R::with_lanes(Run { winograd: self, n, workspace, operation });
    }
}

/// What to do, with its operands.
enum Operation<'a, R> {
    PrepareInput { x: &'a [R], shift: Option<R>, to: &'a mut [R] },
    PrepareOutput { dy: &'a [R], choice: &'a [u8], to: &'a mut [R] },
    Forward { pairs: &'a [(&'a [R], &'a [R])], target: Target<'a, R> },
    InputGradient { pairs: &'a [(&'a [R], &'a [R])], target: Target<'a, R> },
    WeightGradient { pairs: &'a [(&'a [R], &'a [R])], accumulate: Accumulate, w: &'a mut [R] },
}

/// One operation, on its way to the lanes and the form.
struct Run<'a, R> {
    winograd: &'a Winograd,
    n: usize,
    workspace: &'a Workspace<R>,
    operation: Operation<'a, R>,
}

impl<R: Real> Task<R> for Run<'_, R> {
    fn run<V: Lanes<Scalar = R>>(self) {
        match self.winograd.form {
            Form::F4 => self.with_form::<V, F4, 6, 6, 4>(),
            Form::F2 => self.with_form::<V, F2, 4, 4, 2>(),
            Form::Toeplitz2 => self.with_form::<V, Toeplitz2, 2, 3, 2>(),
        }
    }
}

impl<R: Real> Run<'_, R> {
    fn with_form<
        V: Lanes<Scalar = R>,
        F: Matrices<I, P, O>,
        const I: usize,
        const P: usize,
        const O: usize,
    >(
        self,
    ) {
        let Self { winograd, n, workspace, operation } = self;
        let (tiling, g) = (winograd.tiling(n), &winograd.geometry);
        let call = Call { g, tiling, workspace };
        match operation {
            Operation::PrepareInput { x, shift, to } => {
                let (channels, image) = (g.channels_in, (g.height, g.width));
                let source =
                    Source { x, channels, image, stride: 1, shift, epilogue: Epilogue::None, choice: &[] };
                operands::transform::<V, I, P>(
                    &tiling,
                    tiling.input_canvas(),
                    source,
                    Input::<F, I, P, O>(PhantomData),
                    to,
                    workspace,
                );
            }
            Operation::PrepareOutput { dy, choice, to } => {
                let (channels, image) = (g.channels_out, winograd.result());
                let (stride, epilogue) = (g.stride, winograd.epilogue);
                let source = Source { x: dy, channels, image, stride, shift: None, epilogue, choice };
                let canvas = tiling.output_canvas();
                operands::transform::<V, O, P>(
                    &tiling,
                    canvas,
                    source,
                    OutputAdjoint::<F, I, P, O>(PhantomData),
                    to,
                    workspace,
                );
            }
            Operation::Forward { pairs, target } => contract::forward::<V, F, I, P, O>(&call, pairs, &target),
            Operation::InputGradient { pairs, target } => {
                contract::input_gradient::<V, F, I, P, O>(&call, pairs, &target);
            }
            Operation::WeightGradient { pairs, accumulate, w } => {
                contract::weight_gradient::<V, F, I, P, O>(&call, pairs, accumulate, w);
            }
        }
    }
}
