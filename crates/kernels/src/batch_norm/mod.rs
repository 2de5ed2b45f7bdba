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
mod norm;
mod rules;
mod windows;

use crate::Real;
use crate::workspace::{Workspace, bytes};

pub use norm::{BatchNorm, Pair, PairMut, Point, Target};
use rules::{Gradient, GradientTangent, Tangent, Value};

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
}
