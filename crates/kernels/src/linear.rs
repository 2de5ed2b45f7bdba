//! A linear layer `y = w x + b` with its epilogue, and the two contractions that are its adjoints.
//!
//! Shapes: `x: [features_in, n]`, `y: [features_out, n]`, weights `[features_out, features_in]` row-major. Each contraction
//! takes a sum of pairs, as those of [`crate::conv2d`].

mod contract;

use self::contract::{Contraction, Order, Output};
use sharpness_backend::{Accumulate, Epilogue};

use crate::Real;
use crate::epilogue::{self, Choice, Size};
use crate::transpose::transpose;
use crate::workspace::{Workspace, bytes};

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

    /// Elements of a prepared output gradient of `n` examples; 0 where the contractions take it as it is.
    pub const fn output_len(&self, n: usize) -> usize {
        match self.epilogue {
            Epilogue::None => 0,
            Epilogue::Relu | Epilogue::ReluMaxPool => self.size(n).elements(),
        }
    }

    /// Bytes of the choices of `n` examples.
    pub const fn choice_len(&self, n: usize) -> usize {
        self.size(n).choice_len(self.epilogue)
    }

    /// Bytes that the contractions of `n` examples take of the workspace, on all threads of the pool together.
    pub fn scratch_bytes<R: Real>(&self, n: usize) -> usize {
        let tasks = rayon::current_num_threads() * contract::scratch_bytes::<R>(n.max(self.features_out));
        tasks + bytes::<R>(n * self.features_out)
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
        let y = &mut y[..self.size(n).output_len(self.epilogue)];
        let output = match (self.epilogue, choice) {
            (Epilogue::None, _) => Output::Biased(bias, y),
            (Epilogue::Relu, Choice::Record(choice)) => Output::Record(bias, y, choice),
            (Epilogue::Relu, Choice::Replay(choice)) => Output::Replay(bias, y, choice),
            (Epilogue::ReluMaxPool, _) => return,
        };
        let (columns, depth) = (self.features_out, self.features_in);
        R::with_lanes(Contraction {
            pairs,
            rows: n,
            columns,
            depth,
            right: Order::Columns,
            output,
            workspace,
        });
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
        workspace: &Workspace<R>,
    ) {
        let (columns, depth) = (self.features_in, self.features_out);
        let output = Output::Columns(accumulate, x);
        R::with_lanes(Contraction { pairs, rows: n, columns, depth, right: Order::Rows, output, workspace });
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
        workspace: &Workspace<R>,
    ) {
        let (rows, columns) = (self.features_out, self.features_in);
        workspace.with(n * rows, |transposed| {
            for ((x, y), accumulate) in pairs.iter().zip(accumulate.each()) {
                transpose((rows, n), &y[..rows * n], Accumulate::Set, transposed);
                let (pairs, output) = (&[(&*transposed, *x)], Output::Rows(accumulate, &mut *w));
                let right = Order::Columns;
                R::with_lanes(Contraction { pairs, rows, columns, depth: n, right, output, workspace });
            }
        });
    }

    /// `out[c]` = the gradient of the bias from `dy` after the epilogue.
    ///
    /// # Panics
    /// If a slice is shorter than its shape.
    pub fn bias_gradient<R: Real>(&self, n: usize, dy: &[R], choice: &[u8], out: &mut [f64]) {
        epilogue::channel_sum(self.epilogue, &self.size(n), dy, choice, out);
    }
}
