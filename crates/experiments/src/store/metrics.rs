//! The metrics of a run: one line of JSON for each epoch.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;

use super::atomic::{failed, sync_directory_of};
use crate::training::EpochMetrics;
use crate::{Error, Result};

/// The metrics file of a run that this process writes.
#[derive(Debug)]
pub(super) struct MetricsFile {
    file: File,
    path: std::path::PathBuf,
}

impl MetricsFile {
    /// Opens the file, keeps the lines of the first `epochs` epochs and cuts what follows: lines that the checkpoint does not know
    /// of, which will be written again, and a last line that was torn when the process was killed.
    ///
    /// # Errors
    /// [`Error::DamagedRun`] if a line that must be kept is missing or is not that of its epoch; [`Error::Io`].
    pub(super) fn open(path: &Path, epochs: u32) -> Result<Self> {
        let mut options = OpenOptions::new();
        let file = options.create(true).append(true).open(path).map_err(failed("open", path))?;
        let content = std::fs::read(path).map_err(failed("read", path))?;
        let kept = kept_bytes(&content, epochs).map_err(|problem| Error::DamagedRun {
            file: path.to_owned(),
            problem,
            way_out: "restore it from a copy, or train again in another directory with --out",
        })?;
        if kept < content.len() {
            file.set_len(kept as u64).map_err(failed("cut", path))?;
            file.sync_all().map_err(failed("write", path))?;
        }
        sync_directory_of(path)?;
        Ok(Self { file, path: path.to_owned() })
    }

    /// Appends a line and makes it durable.
    pub(super) fn append(&mut self, metrics: &EpochMetrics) -> Result<()> {
        let mut line =
            serde_json::to_vec(metrics).map_err(|e| failed("write", &self.path)(io::Error::other(e)))?;
        line.push(b'\n');
        self.file.write_all(&line).map_err(failed("write", &self.path))?;
        self.file.sync_data().map_err(failed("write", &self.path))
    }
}

/// The length of the lines of the first `epochs` epochs, or what is wrong with them.
fn kept_bytes(content: &[u8], epochs: u32) -> std::result::Result<usize, String> {
    let mut lines = content.split_inclusive(|&byte| byte == b'\n');
    let mut kept = 0;
    for epoch in 1..=epochs {
        let line = lines.next().filter(|line| line.ends_with(b"\n"));
        let line = line
            .ok_or_else(|| format!("it ends after {} epochs, but the checkpoint has {epochs}", epoch - 1))?;
        let found: EpochMetrics =
            serde_json::from_slice(line).map_err(|e| format!("line {epoch} is no epoch's metrics ({e})"))?;
        if found.epoch != epoch {
            return Err(format!("line {epoch} is that of epoch {}", found.epoch));
        }
        kept += line.len();
    }
    Ok(kept)
}
