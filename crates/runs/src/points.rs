//! The journal of a computation with many parts, so that a killed one resumes where it was.

use std::collections::BTreeMap;
use std::fs::{File, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use crate::atomic::{open_locked, sync_directory_of};
use crate::{Error, Result};

/// The size of the largest journal, in bytes: a million points fit.
const LIMIT: u64 = 256 << 20;

/// A text file with a line that says what is computed, and a line for each finished part: its key, a space, and its value. This process holds its
/// lock.
#[derive(Debug)]
pub struct PointJournal {
    file: File,
    path: PathBuf,
    header: String,
    known: BTreeMap<String, String>,
    started_over: bool,
}

impl PointJournal {
    /// Opens the journal at `path`, in a directory that is created if necessary, of the computation that `header` describes in one line. The parts of
    /// another computation are dropped, as is a last line that was torn when the process was killed.
    ///
    /// # Errors
    /// [`Error::RunLocked`] if another process has it open; [`Error::Io`].
    pub fn open(path: &Path, header: &str) -> Result<Self> {
        let dir = path.parent().unwrap_or(path);
        std::fs::create_dir_all(dir).map_err(Error::io("create", dir))?;
        let mut file = open_locked(path, |file| match file.try_lock() {
            Err(TryLockError::WouldBlock) => Err(Error::RunLocked { dir: dir.to_owned(), holder: None }),
            // Work even if the file system has no locks.
            _ => Ok(()),
        })?;
        let mut content = Vec::new();
        let reading = File::open(path).and_then(|file| file.take(LIMIT).read_to_end(&mut content));
        reading.map_err(Error::io("read", path))?;
        let (mut known, mut kept) = (BTreeMap::new(), 0);
        let mut lines = content.split_inclusive(|byte| *byte == b'\n').map(|line| {
            let text = line.strip_suffix(b"\n").and_then(|line| std::str::from_utf8(line).ok());
            (line.len() as u64, text)
        });
        let is_same = match lines.next() {
            Some((length, Some(first))) if first == header => {
                kept = length;
                true
            }
            _ => false,
        };
        if is_same {
            for (length, text) in lines {
                let Some((key, value)) = text.and_then(|text| text.split_once(' ')) else { break };
                known.insert(key.to_owned(), value.to_owned());
                kept += length;
            }
        }
        file.set_len(kept).map_err(Error::io("cut", path))?;
        if !is_same {
            writeln!(file, "{header}").map_err(Error::io("write", path))?;
        }
        file.sync_all().map_err(Error::io("write", path))?;
        sync_directory_of(path)?;
        let (path, header) = (path.to_owned(), header.to_owned());
        Ok(Self { file, path, header, known, started_over: !is_same && !content.is_empty() })
    }

    /// What is computed.
    pub fn header(&self) -> &str {
        &self.header
    }

    /// Whether the journal was that of another computation.
    pub const fn started_over(&self) -> bool {
        self.started_over
    }

    /// The value of a finished part.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.known.get(key).map(String::as_str)
    }

    /// The numbers of a finished part.
    pub fn numbers<const N: usize>(&self, key: &str) -> Option<[f64; N]> {
        let numbers: Option<Vec<f64>> = self.get(key)?.split(' ').map(|text| text.parse().ok()).collect();
        numbers?.try_into().ok()
    }

    /// Appends a finished part and makes it durable. Neither text may contain a line end, nor the key a space.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn append(&mut self, key: &str, value: &str) -> Result<()> {
        // In one call, so that a line is torn only by a full disk or a crash.
        let line = format!("{key} {value}\n");
        let written = self.file.write_all(line.as_bytes()).and_then(|()| self.file.sync_data());
        written.map_err(|e: io::Error| Error::io("write", &self.path)(e))?;
        self.known.insert(key.to_owned(), value.to_owned());
        Ok(())
    }

    /// Appends numbers, each of which is read again exactly.
    ///
    /// # Errors
    /// As [`Self::append`].
    pub fn append_numbers(&mut self, key: &str, numbers: &[f64]) -> Result<()> {
        let texts: Vec<String> = numbers.iter().map(|number| format!("{number:?}")).collect();
        self.append(key, &texts.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finished_parts_are_known_again_to_the_last_bit() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("new/points");
        let numbers = [0.1 + 0.2, 1e-300, f64::NAN];
        let mut journal = PointJournal::open(&path, "one").unwrap();
        journal.append_numbers("7", &numbers).unwrap();
        journal.append("name", "a text").unwrap();
        assert!(matches!(PointJournal::open(&path, "one"), Err(Error::RunLocked { .. })), "it is in use");
        drop(journal);
        // A process was killed while it wrote.
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, [&whole[..], b"8 0.25"].concat()).unwrap();
        let journal = PointJournal::open(&path, "one").unwrap();
        let known = journal.numbers::<3>("7").unwrap();
        assert_eq!(known.map(f64::to_bits)[..2], numbers.map(f64::to_bits)[..2], "exact");
        assert!(known[2].is_nan() && journal.get("name") == Some("a text"), "{journal:?}");
        assert_eq!(journal.get("8"), None, "a torn line");
        assert_eq!(std::fs::read(&path).unwrap(), whole, "it is cut");
    }

    #[test]
    fn another_computation_starts_over() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("points");
        let mut journal = PointJournal::open(&path, "one").unwrap();
        assert!(!journal.started_over(), "there was nothing");
        journal.append("1", "x").unwrap();
        drop(journal);
        let journal = PointJournal::open(&path, "two").unwrap();
        assert!(journal.started_over() && journal.get("1").is_none(), "{journal:?}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "two\n");
    }
}
