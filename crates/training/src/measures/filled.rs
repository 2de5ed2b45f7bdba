//! The settings of a measurement with everything filled in.

use sharpness_network::op::BatchNorm;

use super::list::{filled, normalized};
use crate::settings::{MeasureConfig, RunConfig};

impl RunConfig {
    /// What is measured, with the chunk and the settings of every measure filled in. With batch statistics an unset chunk is the
    /// micro-batch of the training, so that batch norm sees batches of the size that it was trained with, at most
    /// [`MeasureConfig::DEFAULT_CHUNK`]. Otherwise chunks change nothing but rounding.
    pub fn measurement(&self) -> MeasureConfig {
        let has_batches = self.model.arch.has_batch_norm() && self.measure.bn == BatchNorm::Batch;
        let trained_with = if has_batches { self.training.micro_batch() } else { usize::MAX };
        let chunk = self.measure.chunk.unwrap_or(trained_with.min(MeasureConfig::DEFAULT_CHUNK));
        // `validate` reports values that no measure accepts.
        let asked = normalized(&self.measure.asked).unwrap_or_else(|_| self.measure.asked.clone());
        let asked = filled(&asked, &self.training);
        MeasureConfig { chunk: Some(chunk), asked, ..self.measure.clone() }
    }
}
