//! Records the progress of a training.

use std::time::{Duration, Instant};

use sharpness_training::{EpochMetrics, TrainState};

use super::checkpoint;
use super::metrics::MetricsFile;
use super::run_dir::RunDir;
use crate::{Error, Result};

/// When to write checkpoints. One is always written when a training ends or is interrupted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CheckpointEvery {
    /// After every epoch whose number is a multiple of this.
    pub epochs: Option<u32>,
    /// After the first step that ends this many seconds after the last checkpoint.
    pub seconds: Option<u64>,
}

impl Default for CheckpointEvery {
    /// Every minute: a kill loses at most that much work, and writing takes a small fraction of it.
    fn default() -> Self {
        Self { epochs: None, seconds: Some(60) }
    }
}

/// The metrics and checkpoints of a training under way.
#[derive(Debug)]
pub(crate) struct Journal<'r> {
    dir: &'r RunDir,
    metrics: MetricsFile,
    every: CheckpointEvery,
    saved: Instant,
}

impl<'r> Journal<'r> {
    /// A journal that continues after `epochs` epochs. Later entries are cut.
    ///
    /// # Errors
    /// If the metrics of these epochs are incomplete, or a file cannot be written.
    pub(crate) fn open(dir: &'r RunDir, every: CheckpointEvery, epochs: u32) -> Result<Self> {
        let metrics = MetricsFile::open(dir, epochs)?;
        Ok(Self { dir, metrics, every, saved: Instant::now() })
    }
}

impl sharpness_training::Journal for Journal<'_> {
    type Error = Error;

    fn append(&mut self, metrics: &EpochMetrics) -> Result<()> {
        self.dir.renew()?;
        self.metrics.append(metrics)
    }

    /// Also if the lease is lost, so that the training ends.
    fn is_due(&self) -> bool {
        self.dir.is_lost()
            || self.every.seconds.is_some_and(|seconds| self.saved.elapsed() >= Duration::from_secs(seconds))
    }

    fn is_due_after(&self, epoch: u32) -> bool {
        self.is_due() || self.every.epochs.is_some_and(|every| epoch.is_multiple_of(every.max(1)))
    }

    /// Replaces the checkpoint, and then its copy for people.
    fn save(&mut self, state: &TrainState) -> Result<()> {
        let path = self.dir.layout().checkpoint();
        let content = checkpoint::content(&path, &self.dir.checkpoint_key(), state)?;
        self.dir.replace(&path, &content)?;
        self.dir.replace_json(&self.dir.layout().state(), &state.progress)?;
        self.saved = Instant::now();
        Ok(())
    }
}
