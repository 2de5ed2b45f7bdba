//! Loss and accuracy over a whole set of examples, in evaluation mode.

use sharpness_network::backend::Backend;
use sharpness_network::op::{Pass, TapeKind};
use sharpness_network::{Network, Sums, Tape};

use crate::optimizers::{Examples, HostBatch};

/// The buffers of an evaluation, which are allocated once.
#[derive(Debug)]
pub(super) struct Evaluation<B: Backend> {
    tape: Tape<B>,
    host: HostBatch,
}

impl<B: Backend> Evaluation<B> {
    /// Examples that are evaluated at once: enough to fill the caches, few enough for memory.
    pub(super) const CHUNK: usize = 500;

    /// Buffers for sets of up to `largest` examples.
    pub(super) fn new(network: &Network<B>, largest: usize) -> Self {
        Self { tape: network.tape(Self::CHUNK.min(largest), TapeKind::Values), host: HostBatch::default() }
    }

    /// Mean loss and accuracy over the examples with the given numbers. Cost: one forward pass.
    pub(super) fn mean(
        &mut self,
        network: &Network<B>,
        (parameters, state): (&B::Buffer, &B::Buffer),
        examples: &dyn Examples,
        numbers: &[u32],
    ) -> Sums {
        let mut sums = Sums::default();
        for chunk in numbers.chunks(self.tape.capacity()) {
            self.host.load(network, &mut self.tape, examples, chunk);
            let of_chunk = network.value(parameters, state, &Pass::EVALUATION, &mut self.tape);
            sums.loss += of_chunk.loss;
            sums.correct += of_chunk.correct;
        }
        let count = numbers.len() as f64;
        Sums { loss: sums.loss / count, correct: sums.correct / count }
    }
}
