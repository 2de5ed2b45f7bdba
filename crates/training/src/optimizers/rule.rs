//! The traits of an optimizer: its settings, which determine each step, and the rule that applies a gradient.

use std::fmt::Debug;

use sharpness_network::backend::{Backend, Update, View, ViewMut};

use super::config::OptimizerConfig;
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

/// An optimizer that a run can name: one fused kernel.
#[derive(Debug)]
pub(crate) struct Fused<B: Backend> {
    config: OptimizerConfig,
    state: Vec<B::Buffer>,
}

impl<B: Backend> Fused<B> {
    /// The optimizer with these settings, for `dim` parameters, resumed from `state` unless that is empty.
    pub(crate) fn new(config: &OptimizerConfig, backend: &B, dim: usize, state: &[Vec<f64>]) -> Self {
        let count = config.settings().state_vectors().len();
        let mut buffers: Vec<B::Buffer> = (0..count).map(|_| backend.buffer(dim)).collect();
        for (vector, buffer) in state.iter().zip(&mut buffers) {
            backend.upload(vector, buffer);
        }
        Self { config: config.clone(), state: buffers }
    }
}

impl<B: Backend> Rule<B> for Fused<B> {
    fn state(&self) -> &[B::Buffer] {
        &self.state
    }

    fn update(
        &mut self,
        backend: &B,
        (step, learning_rate): (u32, f64),
        gradient: View<'_, B::Buffer>,
        parameters: ViewMut<'_, B::Buffer>,
    ) {
        let update = self.config.settings().update(step, learning_rate);
        backend.update(update, gradient, &mut self.state, parameters);
    }
}
