//! The optimizers that a run can name, each as one fused kernel.

use sharpness_network::backend::{Backend, View, ViewMut};

use super::config::OptimizerConfig;
use super::rule::Rule;

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
