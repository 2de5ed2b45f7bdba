//! What an optimizer is: settings from which its step follows, and what a training does with a gradient.

use std::fmt::Debug;

use sharpness_network::backend::{Backend, Update, View, ViewMut};

use super::edge_of_stability::EdgeOfStability;

/// The settings of an optimizer.
pub trait Settings: Debug {
    /// The names of the vectors that the optimizer keeps, each of the parameters' length: what a checkpoint holds besides the weights.
    fn state_vectors(&self) -> &'static [&'static str];

    /// The step with the number `step`, from 0, at a learning rate.
    fn update(&self, step: u32, learning_rate: f64) -> Update;

    /// The curvature above which the optimizer diverges, where that is known.
    fn edge_of_stability(&self) -> Option<EdgeOfStability>;

    /// The first setting that contradicts another, as a key within `training.optimizer`, and what is wrong with it.
    ///
    /// # Errors
    /// The key and the problem.
    fn validate(&self) -> Result<(), (&'static str, String)> {
        Ok(())
    }
}

/// What moves the parameters of a training.
pub trait Rule<B: Backend>: Debug + Send {
    /// The vectors that the optimizer keeps from step to step, as long as the parameters.
    fn state(&self) -> &[B::Buffer];

    /// Moves the `parameters` along the `gradient`, at the step with a number, from 0, and with a learning rate.
    fn update(
        &mut self,
        backend: &B,
        step: (u32, f64),
        gradient: View<'_, B::Buffer>,
        parameters: ViewMut<'_, B::Buffer>,
    );
}
