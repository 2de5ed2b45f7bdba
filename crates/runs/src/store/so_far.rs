//! What a training has written so far, for readers that watch it. Nothing here waits for the process that writes it.

use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use sharpness_network::files;
use sharpness_training::settings::RunConfig;
use sharpness_training::{EpochMetrics, Progress};

use super::config::read_config;
use super::look::holder;
use super::metrics::LINE_LIMIT;
use super::runs::RunStore;
use crate::json::{read_file, read_json};
use crate::layout::RunLayout;
use crate::{Error, Result};

/// The epochs of a training.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Epochs {
    /// Those that could be read, in their order. A last line that is still being written is not among them.
    pub metrics: Vec<EpochMetrics>,
    /// Why the others could not.
    pub damage: Option<String>,
}

/// The lengths and times of the files of a training. Equal stamps mean equal results, except that a process may have started or stopped working on the
/// run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stamp(Vec<Option<(u64, SystemTime)>>);

impl Stamp {
    /// When the last of the files was written.
    pub fn latest(&self) -> Option<SystemTime> {
        self.0.iter().flatten().map(|(_, time)| *time).max()
    }
}

impl RunStore {
    /// Whether a process is working on a training or on one of its measurements.
    pub fn is_running(&self, training_id: &str) -> bool {
        holder(&self.training(training_id)).is_some()
    }

    /// The lengths and times of the files of a training.
    pub fn stamp(&self, training_id: &str) -> Stamp {
        let layout = self.training(training_id);
        // Files are replaced by renaming, so the time of the directory of measurements changes with any of them.
        let files = [
            layout.config(),
            layout.metrics(),
            layout.state(),
            layout.result(),
            layout.failure(),
            layout.measurements(),
        ];
        let stamp = |file: &PathBuf| {
            let found = std::fs::metadata(file).ok()?;
            Some((found.len(), found.modified().ok()?))
        };
        Stamp(files.iter().map(stamp).collect())
    }

    /// The settings of a training; none if it has none yet.
    ///
    /// # Errors
    /// [`Error::DamagedRun`] or [`Error::Io`] if they cannot be read.
    pub fn config(&self, training_id: &str) -> Result<Option<RunConfig>> {
        Ok(read_config(&self.training(training_id))?.map(|stored| stored.config))
    }

    /// The progress in the last checkpoint of a training; none before the first.
    ///
    /// # Errors
    /// As [`Self::config`].
    pub fn progress(&self, training_id: &str) -> Result<Option<Progress>> {
        read_json(&self.training(training_id).state())
    }

    /// All epochs of a training so far.
    ///
    /// # Errors
    /// [`Error::Io`] if the file cannot be read.
    pub fn epochs(&self, training_id: &str) -> Result<Epochs> {
        let Some(content) = read_file(&self.training(training_id).metrics())? else {
            return Ok(Epochs::default());
        };
        let mut epochs = Epochs::default();
        for (line, number) in content.split_inclusive(|byte| *byte == b'\n').zip(1..) {
            match serde_json::from_slice(line) {
                Ok(metrics) => epochs.metrics.push(metrics),
                Err(_) if !line.ends_with(b"\n") => {}
                Err(problem) => {
                    let name = metrics_name(&self.training(training_id));
                    epochs.damage =
                        Some(format!("line {number} of {name} is not that of an epoch ({problem})"));
                    break;
                }
            }
        }
        Ok(epochs)
    }

    /// The last epoch of a training so far, at the cost of a few lines; none if there is none, or its line cannot be read.
    pub fn last_epoch(&self, training_id: &str) -> Option<EpochMetrics> {
        let tail = tail(&self.training(training_id).metrics()).ok()?;
        // The first piece may be the end of a line.
        let mut lines = tail.split_inclusive(|byte| *byte == b'\n').filter(|line| line.ends_with(b"\n"));
        serde_json::from_slice(lines.next_back()?).ok()
    }
}

/// The end of a file: at least its last line.
fn tail(path: &Path) -> Result<Vec<u8>> {
    let mut file = files::open_to_read(path).map_err(Error::io("open", path))?;
    let length = file.metadata().map_err(Error::io("read", path))?.len();
    let (mut size, mut tail) = (LINE_LIMIT / 64, Vec::new());
    loop {
        tail.clear();
        file.seek(SeekFrom::Start(length.saturating_sub(size))).map_err(Error::io("read", path))?;
        file.by_ref().take(size).read_to_end(&mut tail).map_err(Error::io("read", path))?;
        let ends = tail.iter().filter(|byte| **byte == b'\n').count();
        if ends > 1 || size >= length || size > LINE_LIMIT {
            return Ok(tail);
        }
        size *= 8;
    }
}

fn metrics_name(layout: &RunLayout) -> String {
    layout.metrics().file_name().unwrap_or_default().to_string_lossy().into_owned()
}
