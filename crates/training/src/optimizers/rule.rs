//! The traits of an optimizer: its settings, which determine each step, and the rule that applies a gradient.

use std::fmt::Debug;

use sharpness_network::backend::{Backend, Update, View, ViewMut};

use super::edge_of_stability::EdgeOfStability;

/// The settings of an optimizer.
pub trait Settings: Debug {
    /// The names of the optimizer's state vectors, each as long as the parameters. Checkpoints hold them besides the
    /// weights.
    fn state_vectors(&self) -> &'static [&'static str];

    /// The step with the number `step`, from 0, at a learning rate.
    fn update(&self, step: u32, learning_rate: f64) -> Update;

    /// The curvature above which the optimizer diverges, if known.
    fn edge_of_stability(&self) -> Option<EdgeOfStability>;

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
