//! Steps of optimizers.

use crate::{Device, View, ViewMut};

/// The numbers of `torch.optim.SGD` without dampening.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sgd {
    /// The step size η.
    pub learning_rate: f64,
    /// The weight decay λ.
    pub weight_decay: f64,
    /// The momentum μ.
    pub momentum: f64,
    /// Whether the direction is Nesterov's.
    pub nesterov: bool,
}

/// Steps of optimizers. See the [crate](crate) for what all kernels promise.
pub trait Update: Device {
    /// Moves the `parameters` along the `gradient`, and the buffer of momentum where there is one.
    fn sgd(
        &self,
        rule: &Sgd,
        gradient: View<'_, Self::Buffer>,
        buffer: Option<ViewMut<'_, Self::Buffer>>,
        parameters: ViewMut<'_, Self::Buffer>,
    );
}
