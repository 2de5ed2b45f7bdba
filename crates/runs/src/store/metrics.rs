//! The metrics of a run: one line of JSON for each epoch.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::path::Path;

use sharpness_network::files;
use sharpness_training::EpochMetrics;

use crate::atomic::sync_directory_of;
use crate::{Error, Result};

/// The length of the longest line, in bytes.
pub(super) const LINE_LIMIT: u64 = 1 << 20;

/// The metrics file of a run that this process writes.
#[derive(Debug)]
pub(super) struct MetricsFile {
    file: File,
    path: std::path::PathBuf,
}

impl MetricsFile {
    /// Opens the file, keeps the lines of the first `epochs` epochs and cuts the rest: lines of epochs after the
    /// checkpoint, which will be repeated, and a last line that was torn when the process was killed.
    ///
    /// # Errors
    /// [`Error::DamagedRun`] if a line that must be kept is missing or is not that of its epoch; [`Error::Io`].
    pub(super) fn open(path: &Path, epochs: u32) -> Result<Self> {
        let options = &mut File::options();
        let file = files::open_to_write(options.create(true).read(true).append(true), path)
            .map_err(Error::io("open", path))?;
        let kept = kept_bytes(&file, path, epochs)?;
        if kept < file.metadata().map_err(Error::io("read", path))?.len() {
            file.set_len(kept).map_err(Error::io("cut", path))?;
            file.sync_all().map_err(Error::io("write", path))?;
        }
        sync_directory_of(path)?;
        Ok(Self { file, path: path.to_owned() })
    }

    /// Appends a line and makes it durable.
    pub(super) fn append(&mut self, metrics: &EpochMetrics) -> Result<()> {
        let mut line =
            serde_json::to_vec(metrics).map_err(|e| Error::io("write", &self.path)(io::Error::other(e)))?;
        line.push(b'\n');
        self.file.write_all(&line).map_err(Error::io("write", &self.path))?;
        self.file.sync_data().map_err(Error::io("write", &self.path))
    }
}

/// The length of the lines of the first `epochs` epochs.
fn kept_bytes(file: &File, path: &Path, epochs: u32) -> Result<u64> {
    let damaged = |problem: String| Error::DamagedRun {
        file: path.to_owned(),
        problem,
        way_out: "restore it from a copy, or train again in another directory with --out",
    };
    let mut content = BufReader::new(file);
    let (mut kept, mut line) = (0, Vec::new());
    for epoch in 1..=epochs {
        line.clear();
        content.by_ref().take(LINE_LIMIT).read_until(b'\n', &mut line).map_err(Error::io("read", path))?;
        if line.len() as u64 == LINE_LIMIT {
            return Err(damaged(format!("line {epoch} has {LINE_LIMIT} bytes or more")));
        } else if !line.ends_with(b"\n") {
            let ended = epoch - 1;
            return Err(damaged(format!("it ends after {ended} epochs, but the checkpoint has {epochs}")));
        }
        let found: EpochMetrics = serde_json::from_slice(&line)
            .map_err(|e| damaged(format!("line {epoch} does not hold an epoch's metrics ({e})")))?;
        if found.epoch != epoch {
            return Err(damaged(format!("line {epoch} is that of epoch {}", found.epoch)));
        }
        kept += line.len() as u64;
    }
    Ok(kept)
}
