//! What a builder of networks is told.

use crate::backend::Activation;

/// The options of a network, of which each family uses its own.
pub(super) struct Options<'a> {
    /// The family's name, for messages.
    pub(super) arch: &'static str,
    pub(super) batch_norm: bool,
    pub(super) activation: Activation,
    pub(super) hidden: &'a [usize],
    pub(super) dropout: f64,
    pub(super) width_divisor: usize,
}

impl Options<'_> {
    /// A published width, divided.
    pub(super) fn width(&self, published: usize) -> usize {
        (published / self.width_divisor).max(1)
    }
}
