//! The traits of an optimizer: its settings, which determine each step, and the rule that applies a gradient.

use std::fmt::Debug;

use sharpness_network::backend::{Backend, Update, View, ViewMut};

use super::edge_of_stability::EdgeOfStability;

/// The diagonal matrix `P` whose inverse scales the gradient, and the edge of stability with it.
#[derive(Clone, Debug, PartialEq)]
pub struct Preconditioner {
    /// The entries of `P`, above 0.
    pub diagonal: Vec<f64>,
    /// The largest eigenvalue of `P^(-1/2) H P^(-1/2)` at which the optimizer converges on a quadratic with Hessian `H`, if `P` stays.
    pub edge_of_stability: f64,
}

/// The settings of an optimizer.
pub trait Settings: Debug {
    /// The names of the optimizer's state vectors, each as long as the parameters. Checkpoints hold them besides the
    /// weights.
    fn state_vectors(&self) -> &'static [&'static str];

    /// The step with the number `step`, from 0, at a learning rate.
    fn update(&self, step: u32, learning_rate: f64) -> Update;

    /// The curvature above which the optimizer diverges, if known.
    fn edge_of_stability(&self) -> Option<EdgeOfStability>;

    /// How it scales the gradient after `step` steps, with its `state` vectors then, at a learning rate; `None` if it does not scale
    /// single entries.
    fn preconditioner(&self, state: &[Vec<f64>], step: u32, learning_rate: f64) -> Option<Preconditioner> {
        let _ = (state, step, learning_rate);
        None
    }

    /// The first setting that contradicts another, as a key within `training.optimizer`, and what is wrong with it.
    ///
    /// # Errors
    /// The key and the problem.
    fn validate(&self) -> Result<(), (&'static str, String)> {
        Ok(())
    }
}

/// An update of the parameters.
pub trait Rule<B: Backend>: Debug + Send {
    /// The optimizer's state vectors, each as long as the parameters.
    fn state(&self) -> &[B::Buffer];

    /// Updates the `parameters` with the `gradient`. `step` is the number of the step, from 0, and the learning rate.
    fn update(
        &mut self,
        backend: &B,
        step: (u32, f64),
        gradient: View<'_, B::Buffer>,
        parameters: ViewMut<'_, B::Buffer>,
    );
}
