//! The memory of a training.

use sharpness_network::Network;
use sharpness_network::backend::Backend;
use sharpness_network::op::TapeKind;
use sharpness_network::sum::NarrowSum;

use crate::evaluation::Evaluation;
use crate::measures::weights_bytes;
use crate::settings::RunConfig;

/// The peak memory of a training of `network` in bytes, without the data set. A run that is kept writes checkpoints.
pub fn training_bytes<B: Backend>(network: &Network<B>, config: &RunConfig, is_kept: bool) -> usize {
    // Of the state there are the bytes of each tensor and those of the file while a checkpoint is written.
    let copies = if is_kept { 2 * network.backend().element_bytes() } else { 0 };
    let checkpoint = state_vectors(config).saturating_mul(copies).saturating_mul(network.parameters().len());
    // At the end, the next iterate is added to the state.
    let host = state_bytes(network, config).saturating_add(checkpoint.max(weights_bytes(network)));
    device_bytes(network, config).saturating_add(host)
}

/// Bytes of a training on the device while it does something else, such as measuring λ_max.
pub(crate) fn device_bytes<B: Backend>(network: &Network<B>, config: &RunConfig) -> usize {
    let (training, sam) = (&config.training, config.training.sam.as_ref());
    // Weights; the optimizer's state; the perturbed weights, and what adaptive SAM scales.
    let of_optimizer = training.optimizer.settings().state_vectors().len();
    let of_sam = sam.map_or(0, |sam| if sam.adaptive { 4 } else { 1 });
    let vectors = (1 + of_optimizer + of_sam).saturating_mul(network.parameters().len());
    let vectors = vectors.saturating_mul(network.backend().element_bytes());
    let batch = training.micro_batch();
    let group = sam.and_then(|sam| sam.m).unwrap_or(training.batch_size).clamp(1, training.batch_size.max(1));
    let (groups, micro_batches) = (training.batch_size.div_ceil(group), group.div_ceil(batch.max(1)));
    let terms = if groups > 1 { groups } else { micro_batches };
    // The gradient, and that before the perturbation.
    let gradient = NarrowSum::bytes(network, terms);
    let ascent = if sam.is_some() { NarrowSum::bytes(network, micro_batches) } else { 0 };
    let vectors = vectors.saturating_add(gradient).saturating_add(ascent);
    let evaluation = Evaluation::<B>::CHUNK;
    let tapes = network
        .tape_bytes(batch, TapeKind::Gradient)
        .saturating_add(network.tape_bytes(evaluation, TapeKind::Values));
    vectors.saturating_add(tapes).saturating_add(network.scratch_bytes(batch.max(evaluation)))
}

/// Bytes of the state of a run on the host, a [`TrainState`](crate::progress::TrainState).
pub(crate) fn state_bytes<B: Backend>(network: &Network<B>, config: &RunConfig) -> usize {
    let parameters = state_vectors(config).saturating_mul(network.parameters().len());
    parameters.saturating_add(network.state().len()).saturating_mul(size_of::<f64>())
}

/// Vectors of the parameters' length in a state: the weights, the optimizer's, and an eigenvector if λ_max is measured through
/// training.
fn state_vectors(config: &RunConfig) -> usize {
    let of_optimizer = config.training.optimizer.settings().state_vectors().len();
    1 + of_optimizer + usize::from(config.training.through_training.is_some())
}
