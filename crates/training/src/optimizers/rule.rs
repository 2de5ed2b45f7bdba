//! What an optimizer is: settings that name its state vectors, and an update of the parameters from a gradient.

use std::fmt::Debug;

use sharpness_network::backend::{Backend, View, ViewMut};

use super::edge_of_stability::EdgeOfStability;

/// What follows from the settings of an optimizer alone.
pub trait Settings: Debug {
    /// The names of the state vectors, each of the parameters' length: what a checkpoint holds besides the weights.
    fn state_vectors(&self) -> &'static [&'static str];

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

/// The update of an optimizer on a device.
pub trait Rule<B: Backend>: Debug + Send {
    /// The state vectors, in the order of [`Settings::state_vectors`].
    fn state(&self) -> Vec<&B::Buffer>;

    /// Moves the `parameters` along the `gradient`, at the step with a number, from 0, and with a learning rate.
    fn update(
        &mut self,
        backend: &B,
        step: (u32, f64),
        gradient: View<'_, B::Buffer>,
        parameters: ViewMut<'_, B::Buffer>,
    );
}

/// State vectors of `dim` elements, from `state` if there is one, else zeros.
pub(super) fn state_buffers<B: Backend>(
    backend: &B,
    dim: usize,
    settings: &dyn Settings,
    state: &[Vec<f64>],
) -> Vec<B::Buffer> {
    let mut buffers: Vec<B::Buffer> = settings.state_vectors().iter().map(|_| backend.buffer(dim)).collect();
    for (vector, buffer) in state.iter().zip(&mut buffers) {
        backend.upload(vector, buffer);
    }
    buffers
}
