//! Loss and accuracy over a whole set of examples, in evaluation mode.

use sharpness_data::{Part, PartExamples, Standardized};
use sharpness_network::backend::Backend;
use sharpness_network::op::{Pass, TapeKind};
use sharpness_network::sum::{Dealt, GroupSums};
use sharpness_network::{Examples, HostBatch, Network, Sums, Tape, Weights};

/// The buffers of an evaluation, allocated once.
#[derive(Debug)]
pub(crate) struct Evaluation<B: Backend> {
    tape: Tape<B>,
    host: HostBatch,
}

impl<B: Backend> Evaluation<B> {
    /// Examples that are evaluated at once: enough to fill the caches, few enough for memory.
    pub(crate) const CHUNK: usize = 500;

    /// Buffers for sets of up to `largest` examples.
    pub(crate) fn new(network: &Network<B>, largest: usize) -> Self {
        Self { tape: network.tape(Self::CHUNK.min(largest), TapeKind::Values), host: HostBatch::default() }
    }

    /// Mean loss and accuracy over the examples with the given numbers. Cost: one forward pass.
    pub(crate) fn mean(
        &mut self,
        network: &Network<B>,
        (parameters, state): (&B::Buffer, &B::Buffer),
        examples: &dyn Examples,
        numbers: &[u32],
    ) -> Sums {
        let capacity = self.tape.capacity();
        let dealt = Dealt::new(numbers.len().div_ceil(capacity), network.ranks());
        let mut sums = GroupSums::default();
        for (group, range) in dealt.own_chunks(numbers.len(), capacity) {
            self.host.load(network, &mut self.tape, examples, &numbers[range]);
            sums.add(group, network.value(parameters, state, &Pass::EVALUATION, &mut self.tape));
        }
        sums.finish(dealt, network.ranks(), false).unwrap_or_default().mean(numbers.len())
    }
}

/// The mean loss and the accuracy of weights over a part of the data, in evaluation mode.
///
/// # Panics
/// If the weights or the data do not have the sizes of the network.
pub fn evaluate<B: Backend>(
    network: &Network<B>,
    data: &Standardized,
    part: Part,
    weights: &Weights,
) -> Sums {
    let count = data.dataset().split(part).labels().len();
    let numbers: Vec<u32> = (0_u32..).take(count).collect();
    let [parameters, state] = [&weights.parameters, &weights.state].map(|flat| network.upload(flat));
    let examples = PartExamples::new(data, part);
    Evaluation::new(network, count).mean(network, (&parameters, &state), &examples, &numbers)
}
