//! The matrices at the weights: one of the curvature's matrices as a whole, scaled by a diagonal, or one of its diagonal blocks.

use std::ops::Range;

use sharpness_curvature::{Block, Scaled, SymmetricOperator};
use sharpness_network::backend::Backend;
use sharpness_network::operators::{Curvature, Matrix};

use super::problem::solver_error;
use crate::Result;

/// Which part of a matrix, or how scaled.
#[derive(Debug)]
pub enum Form {
    /// All of it.
    Whole,
    /// `D A D`, with the diagonal of `D`.
    Scaled(Vec<f64>),
    /// The rows and columns in these ranges.
    Block(Vec<Range<usize>>),
}

/// A matrix at the weights.
#[derive(Debug)]
pub struct Target {
    /// The measure that asks for it.
    pub(super) name: &'static str,
    pub(super) matrix: Matrix,
    pub(super) form: Form,
}

impl Target {
    /// The measure `name`'s matrix as a whole.
    pub(super) const fn whole(name: &'static str, matrix: Matrix) -> Self {
        Self { name, matrix, form: Form::Whole }
    }

    /// Works with products of this matrix.
    pub(super) fn with<B: Backend, T>(
        &self,
        operator: &mut Curvature<'_, B>,
        work: impl FnOnce(&mut dyn SymmetricOperator) -> std::result::Result<T, sharpness_curvature::Error>,
    ) -> Result<T> {
        operator.set_matrix(self.matrix);
        let done = match &self.form {
            Form::Whole => work(operator),
            Form::Scaled(scale) => Scaled::new(operator, scale).and_then(|mut operator| work(&mut operator)),
            Form::Block(ranges) => {
                Block::new(operator, ranges.clone()).and_then(|mut operator| work(&mut operator))
            }
        };
        operator.set_matrix(Matrix::Hessian);
        done.map_err(solver_error)
    }

    /// A start of the solver: the gradient, in this form.
    pub(super) fn start(&self, gradient: &[f64]) -> Vec<f64> {
        match &self.form {
            Form::Whole => gradient.to_vec(),
            Form::Scaled(scale) => scale.iter().zip(gradient).map(|(scale, g)| scale * g).collect(),
            Form::Block(ranges) => {
                ranges.iter().flat_map(|range| &gradient[range.clone()]).copied().collect()
            }
        }
    }
}
