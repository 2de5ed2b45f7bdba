//! The four rules of a differentiable op, and their contract: all that the author of a rule must read.
//!
//! For `y = f(x, w)` with inputs `x` (activations of earlier ops) and parameters `w`:
//!
//! | rule | formula |
//! | --- | --- |
//! | [`Op::value`] | `y = f(x, w)` |
//! | [`Op::gradient`] | given `ȳ`: `x̄ = (∂f/∂x)ᵀ ȳ`, `w̄ = (∂f/∂w)ᵀ ȳ` |
//! | [`Op::tangent`] | given `ẋ, ẇ`: `ẏ = (∂f/∂x) ẋ + (∂f/∂w) ẇ` |
//! | [`Op::gradient_tangent`] | given `ẋ, ẇ, dȳ`: the derivative of `(x̄, w̄)` along `(ẋ, ẇ, dȳ)` |
//!
//! A Hessian-vector product is one sweep of tangents forwards and one sweep of tangents of gradients backwards
//! (forward-over-reverse; Pearlmutter 1994).

use std::cell::RefCell;
use std::fmt::Debug;
use std::ops::Range;

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use crate::backend::{Accumulate, Device, OperandSizes, Shape, View, ViewMut};

/// How a parameter begins.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Init {
    /// Every element is this.
    Constant(f64),
    /// Normal with mean 0 and this standard deviation.
    Normal(f64),
    /// Uniform between plus and minus this bound.
    Uniform(f64),
}

/// A tensor that an op owns: a parameter, or a running statistic.
#[derive(Clone, Debug)]
pub struct TensorSpec {
    /// PyTorch's name within the module (`weight`), or empty where the op's own name is the tensor's (Fixup's scalars).
    pub name: &'static str,
    /// The shape, outermost first.
    pub shape: Vec<usize>,
    /// How it begins.
    pub init: Init,
}

impl TensorSpec {
    /// A tensor of this name, shape and beginning.
    pub const fn new(name: &'static str, shape: Vec<usize>, init: Init) -> Self {
        Self { name, shape, init }
    }
}

/// What a factor `c > 0` does to an op, outside of training.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Homogeneity {
    /// It is not carried through.
    None,
    /// On the input it is one on the output: `f(c x) = c f(x)`. There are no parameters.
    Input,
    /// On weight and bias it is one on the output, and on the input it is the same as one on the weight: `f(x, c w, c b) = c f(x, w, b)`
    /// and `f(c x, w, b) = f(x, c w, b)`. The weight is the first parameter.
    Layer,
}

/// Which statistics batch norm normalises with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BatchNorm {
    /// Those of the batch, as in training; derivatives pass through them.
    #[default]
    Batch,
    /// The running ones, as constants.
    Running,
}

/// Where a training step's dropout masks come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dropout {
    /// The seed of the run's dropout stream.
    pub seed: u64,
    /// The number of the optimizer's step.
    pub step: u32,
}

/// What distinguishes training from evaluation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pass {
    /// The statistics of batch norm.
    pub batch_norm: BatchNorm,
    /// Dropout, or none.
    pub dropout: Option<Dropout>,
}

impl Pass {
    /// Running statistics, no dropout.
    pub const EVALUATION: Self = Self { batch_norm: BatchNorm::Running, dropout: None };
}

/// What a tape is for: it keeps what its sweeps need later, and no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TapeKind {
    /// Values only.
    Values,
    /// Values and gradients.
    Gradient,
    /// Values, gradients and products with the Hessian or the Gauss-Newton matrix.
    Products,
}

/// Operands that no later sweep needs. Ops take turns with them.
#[derive(Debug)]
pub struct Scratch<B: Device> {
    /// A prepared input.
    pub input: B::Buffer,
    /// A prepared output gradient, or its tangent.
    pub output: B::Buffer,
    /// A prepared output gradient in a sweep that prepares its tangent too.
    pub adjoint: B::Buffer,
}

/// What every rule is told about its place.
#[derive(Debug)]
pub struct Context<'a, B: Device> {
    /// The device.
    pub backend: &'a B,
    /// Training or evaluation.
    pub pass: &'a Pass,
    /// Examples in the batch.
    pub n: usize,
    /// The numbers of the examples in the data set.
    pub examples: &'a B::Integers,
    /// Shapes of the inputs.
    pub inputs: &'a [Shape],
    /// Shape of the output.
    pub output: Shape,
    /// Where operands are prepared that are not kept.
    pub scratch: &'a RefCell<Scratch<B>>,
    /// Whether later sweeps need what this one finds at the primal point, so that it stays in [`Saved`]; never in a sweep of
    /// tangents. A prepared output gradient is not kept: to prepare it again costs less than its memory is worth.
    pub keeps: bool,
}

/// The point at which an op is evaluated or differentiated.
#[derive(Debug)]
pub struct Point<'a, B: Device> {
    /// The inputs.
    pub x: &'a [&'a B::Buffer],
    /// The parameters, in the order of [`Op::parameters`].
    pub w: &'a [View<'a, B::Buffer>],
    /// The running statistics, in the order of [`Op::state`].
    pub state: &'a [View<'a, B::Buffer>],
}

/// A direction at a [`Point`].
#[derive(Debug)]
pub struct Direction<'a, B: Device> {
    /// The tangents of the inputs; `None` is zero.
    pub x: &'a [Option<&'a B::Buffer>],
    /// The tangents of the parameters.
    pub w: &'a [View<'a, B::Buffer>],
}

/// The ranges of a flat buffer that belong to one op.
#[derive(Debug)]
pub struct Slots<'a, T> {
    /// The flat buffer.
    pub buffer: &'a mut T,
    /// The op's ranges, in the order of its tensors.
    pub ranges: &'a [Range<usize>],
}

impl<T> Slots<'_, T> {
    /// The range of tensor `i`.
    pub fn at(&mut self, i: usize) -> ViewMut<'_, T> {
        ViewMut::new(self.buffer, self.ranges[i].start, self.ranges[i].len())
    }
}

/// For each input: where its gradient goes and whether it is added there; `None` if it is not needed.
pub type Targets<'a, B> = SmallVec<[Option<(&'a mut <B as Device>::Buffer, Accumulate)>; 2]>;

/// Where a backward rule puts its results.
#[derive(Debug)]
pub struct Gradients<'a, B: Device> {
    /// Where the gradients of the inputs go.
    pub x: Targets<'a, B>,
    /// For each parameter: where its gradient goes.
    pub w: Slots<'a, B::Buffer>,
    /// Whether gradients of parameters are added to what is there.
    pub accumulate: Accumulate,
}

/// The lengths of an op's by-products.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SavedSizes {
    /// Elements of activations.
    pub buffers: Vec<usize>,
    /// Sums and per-channel vectors.
    pub wides: Vec<usize>,
    /// Choices.
    pub bytes: Vec<usize>,
}

impl SavedSizes {
    /// Only `count` wide vectors of length `len`.
    pub fn wides(count: usize, len: usize) -> Self {
        Self { wides: vec![len; count], ..Self::default() }
    }

    /// Bytes in all, with elements of `element` bytes.
    pub fn total_bytes(&self, element: usize) -> usize {
        let sum = |lengths: &[usize]| lengths.iter().sum::<usize>();
        element * sum(&self.buffers) + size_of::<f64>() * sum(&self.wides) + sum(&self.bytes)
    }
}

/// By-products that an op keeps between its rules; allocated once.
#[derive(Debug)]
pub struct Saved<B: Device> {
    /// Activations.
    pub buffers: Vec<B::Buffer>,
    /// Sums and per-channel vectors.
    pub wides: Vec<B::Wide>,
    /// Choices.
    pub bytes: Vec<B::Bytes>,
}

impl<B: Device> Saved<B> {
    /// Zeros of these sizes.
    pub fn new(backend: &B, sizes: &SavedSizes) -> Self {
        Self {
            buffers: sizes.buffers.iter().map(|&len| backend.buffer(len)).collect(),
            wides: sizes.wides.iter().map(|&len| backend.wide(len)).collect(),
            bytes: sizes.bytes.iter().map(|&len| backend.bytes(len)).collect(),
        }
    }
}

/// A differentiable op.
///
/// The graph calls [`Op::value`] first at a point, and [`Op::tangent`] before [`Op::gradient_tangent`] with the same
/// direction; by-products in [`Saved`] may pass along these two paths. Those of an [`Op::gradient`] with
/// [`Context::keeps`] may pass to [`Op::gradient_tangent`] too, and no others. It asks for derivatives only where some
/// parameter, the op's own or an earlier one, reaches the output: a [`Direction`] is never empty.
pub trait Op<B: Device>: Debug + Send {
    /// The kind of op, as tables name it.
    fn kind(&self) -> &'static str;

    /// The output's shape, or what is wrong with the inputs.
    fn output(&self, inputs: &[Shape]) -> Result<Shape, String>;

    /// The parameters, in PyTorch's order.
    fn parameters(&self) -> Vec<TensorSpec> {
        Vec::new()
    }

    /// The running statistics, in PyTorch's order.
    fn state(&self) -> Vec<TensorSpec> {
        Vec::new()
    }

    /// The sizes of the by-products for up to `capacity` examples on a tape of the given kind.
    fn saved(&self, backend: &B, capacity: usize, inputs: &[Shape], kind: TapeKind) -> SavedSizes {
        let _ = (backend, capacity, inputs, kind);
        SavedSizes::default()
    }

    /// The sizes of prepared operands and of scratch inside the backend for up to `capacity` examples.
    fn operands(&self, backend: &B, capacity: usize, inputs: &[Shape]) -> OperandSizes {
        let _ = (backend, capacity, inputs);
        OperandSizes::default()
    }

    /// Whether rules other than [`Op::value`] read input number `input`. An input that none reads is not kept for products.
    fn reads_input(&self, backend: &B, inputs: &[Shape], input: usize) -> bool {
        let _ = (backend, inputs, input);
        true
    }

    /// Floating-point operations of one example's value (a multiplication and an addition are two); 0 where they are few.
    fn flops(&self, inputs: &[Shape]) -> u64 {
        let _ = inputs;
        0
    }

    /// What a positive factor on the input or on the parameters does.
    fn homogeneity(&self) -> Homogeneity {
        Homogeneity::None
    }

    /// `y = f(x, w)`.
    fn value(&self, cx: &Context<'_, B>, at: &Point<'_, B>, saved: &mut Saved<B>, y: &mut B::Buffer);

    /// `x̄, w̄` from `ȳ`.
    fn gradient(
        &self,
        cx: &Context<'_, B>,
        at: &Point<'_, B>,
        saved: &mut Saved<B>,
        dy: &B::Buffer,
        out: &mut Gradients<'_, B>,
    );

    /// `ẏ` from `ẋ, ẇ`.
    fn tangent(
        &self,
        cx: &Context<'_, B>,
        at: &Point<'_, B>,
        saved: &mut Saved<B>,
        dot: &Direction<'_, B>,
        y_dot: &mut B::Buffer,
    );

    /// The derivative of `x̄, w̄` along `ẋ, ẇ, dȳ`, with `adjoint = (ȳ, dȳ)`.
    ///
    /// The default is that of an op that is linear in its input and has no parameters: `(∂f/∂x)ᵀ dȳ`.
    fn gradient_tangent(
        &self,
        cx: &Context<'_, B>,
        at: &Point<'_, B>,
        saved: &mut Saved<B>,
        adjoint: (&B::Buffer, &B::Buffer),
        dot: &Direction<'_, B>,
        out: &mut Gradients<'_, B>,
    ) {
        let _ = dot;
        self.gradient(cx, at, saved, adjoint.1, out);
    }

    /// What [`Op::update_state`] adds to the running statistics after it has scaled them, one vector for each.
    fn statistics(&self, cx: &Context<'_, B>, saved: &mut Saved<B>) -> Vec<Vec<f64>> {
        let _ = (cx, saved);
        Vec::new()
    }

    /// Moves the running statistics towards those of the batch that [`Op::value`] saw last.
    fn update_state(&self, cx: &Context<'_, B>, saved: &mut Saved<B>, state: &mut Slots<'_, B::Buffer>) {
        let _ = (cx, saved, state);
    }
}
