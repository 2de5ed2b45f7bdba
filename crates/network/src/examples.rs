//! The source of a network's examples, for training, evaluation and measurement alike.

use std::fmt::Debug;

use crate::backend::{Backend, Pixels};
use crate::graph::Tape;
use crate::network::Network;

/// All images of a source of examples.
#[derive(Clone, Copy, Debug)]
pub enum Images<'a> {
    /// Bytes, which the device standardizes.
    Pixels(Pixels<'a>),
    /// Numbers, `[examples, c, h, w]`.
    Numbers(&'a [f64]),
}

/// Numbered examples in memory.
pub trait Examples: Debug {
    /// All images.
    fn images(&self) -> Images<'_>;
    /// The label of an example.
    fn label(&self, number: u32) -> u32;
}

/// A batch on its way to a tape. Its buffers are reused from batch to batch.
#[derive(Debug, Default)]
pub struct HostBatch {
    images: Vec<f64>,
    labels: Vec<u32>,
}

impl HostBatch {
    /// Loads the examples with the given numbers onto the tape.
    ///
    /// # Panics
    /// As [`Network::load`].
    pub fn load<B: Backend>(
        &mut self,
        network: &Network<B>,
        tape: &mut Tape<B>,
        examples: &dyn Examples,
        numbers: &[u32],
    ) {
        let Self { images, labels } = self;
        labels.clear();
        labels.extend(numbers.iter().map(|&number| examples.label(number)));
        match examples.images() {
            Images::Pixels(pixels) => network.load_pixels(tape, &pixels, labels, numbers),
            Images::Numbers(all) => {
                let len = network.input().elements();
                images.clear();
                numbers.iter().for_each(|&i| images.extend_from_slice(&all[i as usize * len..][..len]));
                network.load(tape, images, labels, numbers);
            }
        }
    }
}
