//! A linear layer `y = w x + b` with its epilogue, and the two contractions that are its adjoints.
//!
//! Shapes: `x: [features_in, n]`, `y: [features_out, n]`, weights `[features_out, features_in]` row-major. Each contraction
//! takes a sum of pairs, as those of [`crate::conv2d`].

use crate::epilogue::{self, Choice, Epilogue, Size};
use crate::matmul::{Matrix, MatrixMut, matmul};
use crate::workspace::{Workspace, bytes};
use crate::{Accumulate, Real};

/// A linear layer with its epilogue. A max pooling finds no window in a vector of features.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Linear {
    /// Features of the input.
    pub features_in: usize,
    /// Features of the output.
    pub features_out: usize,
    /// What follows the bias.
    pub epilogue: Epilogue,
}

impl Linear {
    const fn size(&self, n: usize) -> Size {
        Size { channels: self.features_out, n, height: 1, width: 1 }
    }

    fn weights<'w, R>(&self, w: &'w [R]) -> Matrix<'w, R> {
        Matrix::rows(w, self.features_out, self.features_in, self.features_in)
    }

    /// Elements of a prepared output gradient of `n` examples; 0 where the contractions take it as it is.
    pub const fn output_len(&self, n: usize) -> usize {
        match self.epilogue {
            Epilogue::None => 0,
            Epilogue::Relu | Epilogue::ReluMaxPool => self.size(n).elements(),
        }
    }

    /// Bytes of the choices of `n` examples.
    pub const fn choice_len(&self, n: usize) -> usize {
        self.epilogue.choice_len(&self.size(n))
    }

    /// Bytes that [`Self::forward`] takes of the workspace.
    pub const fn scratch_bytes<R: Real>(&self, n: usize) -> usize {
        bytes::<R>(self.output_len(n))
    }

    /// `to` = the gradient before the epilogue, from `dy` after it.
    ///
    /// # Panics
    /// If a slice is shorter than its shape.
    pub fn prepare_output<R: Real>(&self, n: usize, dy: &[R], choice: &[u8], to: &mut [R]) {
        epilogue::scatter(self.epilogue, &self.size(n), dy, choice, Accumulate::Set, to);
    }

    /// `y` = the epilogue of `Σ_k w_k x_k + b` for pairs `(x_k, w_k)`, or what `choice` lets pass of it.
    ///
    /// # Panics
    /// If a slice is shorter than its shape.
    pub fn forward<R: Real>(
        &self,
        n: usize,
        pairs: &[(&[R], &[R])],
        bias: Option<&[R]>,
        choice: Choice<'_>,
        y: &mut [R],
        workspace: &Workspace<R>,
    ) {
        let size = self.size(n);
        let y = &mut y[..self.epilogue.output_len(&size)];
        if self.epilogue == Epilogue::None {
            self.product(n, pairs, y);
            return epilogue::add_bias(self.features_out, bias, y);
        }
        workspace.with(self.output_len(n), |z| {
            self.product(n, pairs, z);
            match choice {
                Choice::Record(choice) => epilogue::apply(self.epilogue, &size, 0..n, (z, bias), choice, y),
                Choice::Replay(choice) => epilogue::gather(self.epilogue, &size, 0..n, (z, bias), choice, y),
            }
        });
    }

    /// `y = Σ_k w_k x_k`.
    fn product<R: Real>(&self, n: usize, pairs: &[(&[R], &[R])], y: &mut [R]) {
        for ((x, w), accumulate) in pairs.iter().zip(Accumulate::Set.each()) {
            let y = MatrixMut::rows(y, self.features_out, n, n);
            matmul(&[(self.weights(w), Matrix::rows(x, self.features_in, n, n))], accumulate, y);
        }
    }

    /// `x (+)= Σ_k w_kᵀ y_k` for pairs `(y_k, w_k)` of prepared output gradients and weights.
    ///
    /// # Panics
    /// If a slice is shorter than its shape.
    pub fn input_gradient<R: Real>(
        &self,
        n: usize,
        pairs: &[(&[R], &[R])],
        accumulate: Accumulate,
        x: &mut [R],
    ) {
        for ((y, w), accumulate) in pairs.iter().zip(accumulate.each()) {
            let product = (self.weights(w).transposed(), Matrix::rows(y, self.features_out, n, n));
            matmul(&[product], accumulate, MatrixMut::rows(x, self.features_in, n, n));
        }
    }

    /// `w (+)= Σ_k y_k x_kᵀ` for pairs `(x_k, y_k)` of inputs and prepared output gradients.
    ///
    /// # Panics
    /// If a slice is shorter than its shape.
    pub fn weight_gradient<R: Real>(
        &self,
        n: usize,
        pairs: &[(&[R], &[R])],
        accumulate: Accumulate,
        w: &mut [R],
    ) {
        for ((x, y), accumulate) in pairs.iter().zip(accumulate.each()) {
            let x = Matrix::rows(x, self.features_in, n, n).transposed();
            let w = MatrixMut::rows(w, self.features_out, self.features_in, self.features_in);
            matmul(&[(Matrix::rows(y, self.features_out, n, n), x)], accumulate, w);
        }
    }

    /// `out[c]` = the gradient of the bias from `dy` after the epilogue.
    ///
    /// # Panics
    /// If a slice is shorter than its shape.
    pub fn bias_gradient<R: Real>(&self, n: usize, dy: &[R], choice: &[u8], out: &mut [f64]) {
        epilogue::channel_sum(self.epilogue, &self.size(n), dy, choice, out);
    }
}
