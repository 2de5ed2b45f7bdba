//! The memory that a training takes.

use sharpness_network::Network;
use sharpness_network::backend::Backend;
use sharpness_network::op::TapeKind;

/// Vectors of the parameters' length in the engine's precision: weights, gradient, momentum and two of SAM.
const VECTORS: usize = 5;
/// The same in f64, for initial weights and checkpoints.
const WIDE_VECTORS: usize = 3;

/// Bytes that a training of `network` takes at its peak in micro-batches of `micro_batch` examples, the data set not counted.
pub fn training_bytes<B: Backend>(network: &Network<B>, micro_batch: usize) -> usize {
    let of_parameter = VECTORS * network.backend().element_bytes() + WIDE_VECTORS * size_of::<f64>();
    let of_batch = network.tape_bytes(micro_batch, TapeKind::Gradient);
    let of_batch = of_batch.saturating_add(network.scratch_bytes(micro_batch));
    network.parameters().len().saturating_mul(of_parameter).saturating_add(of_batch)
}
