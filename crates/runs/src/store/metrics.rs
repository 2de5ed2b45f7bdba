//! The metrics of a run: one line of JSON for each epoch.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, ErrorKind, Read as _, Write as _};
use std::path::Path;

use sharpness_network::files;
use sharpness_training::EpochMetrics;

use super::run_dir::RunDir;
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
    /// Replaces the file by a new one with the lines of the first `epochs` epochs, without the rest: lines of epochs after the
    /// checkpoint, which will be repeated, and a last line that was torn when the process was killed. So an earlier holder of
    /// the lease, which may still append, does so to a file that nobody reads.
    ///
    /// # Errors
    /// [`Error::DamagedRun`] if a line that must be kept is missing or is not that of its epoch; [`Error::Io`].
    pub(super) fn open(dir: &RunDir, epochs: u32) -> Result<Self> {
        let path = dir.layout().metrics();
        let kept = match files::open_to_read(&path) {
            Err(e) if e.kind() == ErrorKind::NotFound => kept_lines(io::empty(), &path, epochs)?,
            file => kept_lines(file.map_err(Error::io("open", &path))?, &path, epochs)?,
        };
        Ok(Self { file: dir.replace(&path, &kept)?, path })
    }

    /// Appends a line and makes it durable.
    pub(super) fn append(&mut self, metrics: &EpochMetrics) -> Result<()> {
        let line = lines(&self.path, std::slice::from_ref(metrics))?;
        self.file.write_all(&line).map_err(Error::io("write", &self.path))?;
        self.file.sync_data().map_err(Error::io("write", &self.path))
    }
}

/// The lines of some epochs for the file at `path`.
pub(super) fn lines(path: &Path, epochs: &[EpochMetrics]) -> Result<Vec<u8>> {
    let mut lines = Vec::new();
    for epoch in epochs {
        serde_json::to_writer(&mut lines, epoch)
            .map_err(|e| Error::io("write", path)(io::Error::other(e)))?;
        lines.push(b'\n');
    }
    Ok(lines)
}

/// The metrics of the first `epochs` epochs.
///
/// # Errors
/// As [`MetricsFile::open`].
pub(crate) fn read(path: &Path, epochs: u32) -> Result<Vec<EpochMetrics>> {
    if epochs == 0 {
        return Ok(Vec::new());
    }
    let file = files::open_to_read(path).map_err(Error::io("open", path))?;
    let mut read = Vec::new();
    each_line(file, path, epochs, |metrics, _| read.push(metrics))?;
    Ok(read)
}

/// The lines of the first `epochs` epochs in a file.
fn kept_lines(file: impl io::Read, path: &Path, epochs: u32) -> Result<Vec<u8>> {
    let mut kept = Vec::new();
    each_line(file, path, epochs, |_, line| kept.extend_from_slice(line))?;
    Ok(kept)
}

/// Calls `seen` with the metrics and the line of each of the first `epochs` epochs.
fn each_line(
    file: impl io::Read,
    path: &Path,
    epochs: u32,
    mut seen: impl FnMut(EpochMetrics, &[u8]),
) -> Result<()> {
    let damaged = |problem: String| Error::DamagedRun {
        file: path.to_owned(),
        problem,
        way_out: "restore it from a copy, or train again in another directory with --out",
    };
    let mut content = BufReader::new(file);
    let mut line = Vec::new();
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
        seen(found, &line);
    }
    Ok(())
}
