//! The statistics of batch norm at any weights, estimated from the measured examples.

use sharpness_network::backend::{Backend, View};
use sharpness_network::op::{BatchNorm, Pass, TapeKind};
use sharpness_network::ops::BatchNorm2d;
use sharpness_network::sum::Dealt;
use sharpness_network::{HostBatch, Weights};

use super::problem::Problem;
use crate::{Error, Result};

impl<B: Backend> Problem<'_, B> {
    /// The running statistics that belong to `parameters`: the means and unbiased variances of the chunks of the measured examples,
    /// averaged with the numbers of their examples as weights (Izmailov et al. 2018, section 3.2, and the code of Garipov et al. 2018).
    /// Empty without batch norm. Cost: a forward pass.
    ///
    /// # Errors
    /// [`Error::MeasureStopped`], asked between chunks.
    pub(crate) fn statistics(&self, parameters: &[f64]) -> Result<Vec<f64>> {
        let (network, length) = (self.network(), self.network().state().len());
        if length == 0 {
            return Ok(Vec::new());
        }
        let pass = Pass { batch_norm: BatchNorm::Batch, dropout: None };
        let (parameters, zeros) = (network.upload(parameters), vec![0.0; length]);
        let (mut tape, mut host) = (network.tape(self.chunk(), TapeKind::Values), HostBatch::default());
        let (mut state, mut own, mut is_stopped) = (network.upload(&zeros), Vec::new(), false);
        let (numbers, chunk, ranks) = (self.numbers(), self.chunk(), network.ranks());
        let dealt = Dealt::new(numbers.len().div_ceil(chunk), ranks);
        for (_, range) in dealt.own_chunks(numbers.len(), chunk) {
            is_stopped = self.is_stopped();
            if is_stopped {
                break;
            }
            let of_chunk = &numbers[range];
            host.load(network, &mut tape, self.examples(), of_chunk);
            // From zero, the update leaves the momentum times the chunk's statistics.
            network.backend().upload(&zeros, &mut state);
            network.value(&parameters, &state, &pass, &mut tape);
            network.update_state(&pass, &mut tape, &mut state);
            let share = of_chunk.len() as f64 / self.count() as f64 / BatchNorm2d::MOMENTUM;
            let found = network.backend().download(View::new(&state, 0, length));
            own.extend(found.into_iter().map(|one| (share * one).to_bits()));
        }
        if ranks.any(is_stopped) {
            return Err(Error::MeasureStopped);
        }
        let mut total = zeros;
        for of_chunk in ranks.gather(&own).iter().flat_map(|own| own.chunks(length)) {
            total.iter_mut().zip(of_chunk).for_each(|(total, bits)| *total += f64::from_bits(*bits));
        }
        Ok(total)
    }

    /// `parameters` with their own [statistics](Self::statistics).
    ///
    /// # Errors
    /// As [`Self::statistics`].
    pub(crate) fn with_statistics(&self, parameters: Vec<f64>) -> Result<Weights> {
        let state = self.statistics(&parameters)?;
        Ok(Weights { parameters, state })
    }
}
