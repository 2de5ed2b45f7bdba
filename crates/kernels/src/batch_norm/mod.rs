//! Batch normalisation of each channel and an epilogue, `y = e(γ s (x - μ) + β)` with `s = (σ² + ε)^(-1/2)`, and its rules.
//!
//! A rule needs sums over a channel before it can write its result. Both are made by one task, while the channel is in its
//! cache; this is why these kernels know the rules, which `ops/batch_norm.rs` of the network derives. With `E` the linear map of
//! the epilogue's choices, `z̄ = Eᵀ ȳ`, `k = γ s` and means over a channel, they are
//!
//! | rule | means | result |
//! | --- | --- | --- |
//! | [`BatchNorm::value`] | `μ` of `x`, `σ²` of `(x - μ)²` | `y = e(k (x - μ) + β)` |
//! | [`BatchNorm::gradient`] | `a` of `z̄`, `c` of `z̄ s (x - μ)` | `x̄ = k (z̄ - a) - k c s (x - μ)` |
//! | [`BatchNorm::tangent`] | `p` of `ẋ`, `m` of `ẋ s (x - μ)` | `ẏ = E (k (ẋ - p) + (γ̇ - k m) s (x - μ) + β̇)` |
//! | [`BatchNorm::gradient_tangent`] | `e` of `dz̄`, `f` of `dz̄ s (x - μ)`, `q` of `z̄ (ẋ - p)` | see there |
//!
//! With running statistics, `μ` and `σ²` are given, and `a, c, e, p, m` count as 0 in the results.

mod loops;
mod rules;
mod windows;

use sharpness_backend::{Accumulate, Epilogue};

use crate::Real;
use crate::epilogue::Size;
use crate::simd::LANES;
use crate::workspace::{Workspace, bytes};

use rules::{Gradient, GradientTangent, Tangent, Value};

/// Elements that are read, combined and written while they stay in the first-level cache; a multiple of 16.
const BLOCK: usize = 2048;

/// A batch norm of `x: [channels, n, height, width]`, and what follows it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BatchNorm {
    /// The size of the input.
    pub size: Size,
    /// What follows.
    pub epilogue: Epilogue,
    /// Added to the variance.
    pub epsilon: f64,
    /// Whether the statistics are those of the batch; else they are given, and constant.
    pub of_batch: bool,
}

/// Where rules are evaluated: what [`BatchNorm::value`] read and wrote.
#[derive(Clone, Copy, Debug)]
pub struct Point<'a, R> {
    /// The input.
    pub x: &'a [R],
    /// The mean of each channel.
    pub mean: &'a [f64],
    /// The variance of each channel.
    pub variance: &'a [f64],
    /// The factor `γ` of each channel.
    pub gamma: &'a [R],
    /// What the epilogue chose.
    pub choice: &'a [u8],
}

/// Two numbers for each channel.
pub type Pair<'a> = (&'a [f64], &'a [f64]);
/// Two numbers for each channel, to be written.
pub type PairMut<'a> = (&'a mut [f64], &'a mut [f64]);
/// Where the gradient of the input goes, or nothing where nobody needs it.
pub type Target<'a, R> = Option<(&'a mut [R], Accumulate)>;

impl BatchNorm {
    /// Bytes of the choices.
    pub const fn choice_len(&self) -> usize {
        self.size.channels * self.channel_choices()
    }

    /// Bytes that a rule takes of the workspace, on all threads.
    pub fn scratch_bytes<R: Real>(&self) -> usize {
        rayon::current_num_threads() * bytes::<R>(self.staging_len())
    }

    /// `y` = the epilogue of the normalised input, and `choice` = what it chose. Statistics of the batch overwrite `statistics`
    /// (mean and variance); others are read there.
    ///
    /// # Panics
    /// If a slice is shorter than its shape, or there is a pooling and no window fits.
    pub fn value<R: Real>(
        &self,
        x: &[R],
        (gamma, beta): (&[R], &[R]),
        statistics: PairMut<'_>,
        choice: &mut [u8],
        y: &mut [R],
        workspace: &Workspace<R>,
    ) {
        self.check();
        R::with_lanes(Value { norm: self, x, gamma, beta, statistics, choice, y, workspace });
    }

    /// `sums = (Σ z̄, Σ z̄ s (x - μ))`, which are `β̄` and `γ̄`, of the gradient `dy`, and `dx (+)= x̄`.
    ///
    /// # Panics
    /// As [`Self::value`].
    pub fn gradient<R: Real>(
        &self,
        at: Point<'_, R>,
        dy: &[R],
        sums: PairMut<'_>,
        dx: Target<'_, R>,
        workspace: &Workspace<R>,
    ) {
        self.check();
        R::with_lanes(Gradient { norm: self, at, dy, sums, dx, workspace });
    }

    /// `means = (p, m)` of the tangent `x_dot`, zeros where it is absent, and `y_dot = ẏ`, with `dot = (γ̇, β̇)`.
    ///
    /// # Panics
    /// As [`Self::value`].
    pub fn tangent<R: Real>(
        &self,
        at: Point<'_, R>,
        x_dot: Option<&[R]>,
        dot: (&[R], &[R]),
        means: PairMut<'_>,
        y_dot: &mut [R],
        workspace: &Workspace<R>,
    ) {
        self.check();
        R::with_lanes(Tangent { norm: self, at, x_dot, dot, means, y_dot, workspace });
    }

    /// `sums` = the derivatives of `β̄` and `γ̄`, and `dx (+)=` that of `x̄`, along `ẋ`, `γ̇` and `dȳ`. `gradient` and `tangent` are
    /// the sums and the means of these rules, and `adjoint = (ȳ, dȳ)`. With `ċ = f + s (q - m c)` and `k̇ = γ̇ s - k s m`, that of
    /// `c` and of `k`, it is
    /// `k̇ (z̄ - a) + k (dz̄ - e) - k c s (ẋ - p) - (k̇ c + k ċ - k c s m) s (x - μ)`.
    ///
    /// # Panics
    /// As [`Self::value`].
    #[expect(clippy::too_many_arguments, reason = "a closed kernel names all its operands")]
    pub fn gradient_tangent<R: Real>(
        &self,
        at: Point<'_, R>,
        (gradient, tangent): (Pair<'_>, Pair<'_>),
        adjoint: (&[R], &[R]),
        (x_dot, gamma_dot): (Option<&[R]>, &[R]),
        sums: PairMut<'_>,
        dx: Target<'_, R>,
        workspace: &Workspace<R>,
    ) {
        self.check();
        let (norm, known) = (self, (gradient, tangent));
        R::with_lanes(GradientTangent { norm, at, known, adjoint, x_dot, gamma_dot, sums, dx, workspace });
    }

    fn check(&self) {
        let windows = self.size.output_len(self.epilogue);
        assert!(windows > 0 || self.size.elements() == 0, "a 2x2 window fits the image");
    }

    /// Elements of one channel before the epilogue.
    const fn channel(&self) -> usize {
        self.size.n * self.size.height * self.size.width
    }

    /// Elements of one channel after the epilogue.
    const fn channel_outputs(&self) -> usize {
        let (height, width) = self.epilogue.output((self.size.height, self.size.width));
        self.size.n * height * width
    }

    /// Bytes of the choices of one channel.
    const fn channel_choices(&self) -> usize {
        self.choices(self.channel(), self.channel_outputs())
    }

    /// Bytes of the choices of so many elements before and after the epilogue.
    const fn choices(&self, elements: usize, outputs: usize) -> usize {
        match self.epilogue {
            Epilogue::None => 0,
            Epilogue::Relu => 2 * elements.div_ceil(LANES),
            Epilogue::ReluMaxPool => outputs,
        }
    }

    /// Elements of a block before and after the epilogue; those of whole images where there is a pooling.
    fn block(&self) -> (usize, usize) {
        if self.epilogue != Epilogue::ReluMaxPool {
            return (BLOCK, BLOCK);
        }
        let pixels = self.size.height * self.size.width;
        let images = (BLOCK / pixels.max(1)).max(1);
        let (height, width) = self.epilogue.output((self.size.height, self.size.width));
        (images * pixels, images * height * width)
    }

    /// Elements of a task's scratch: two blocks before the epilogue.
    fn staging_len(&self) -> usize {
        if self.epilogue == Epilogue::None { 0 } else { 2 * self.block().0 }
    }
}
