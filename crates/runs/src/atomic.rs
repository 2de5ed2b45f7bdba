//! Files that are replaced at one instant, and locks.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

use sharpness_network::files;

use crate::layout::RunLayout;
use crate::{Error, Result};

/// How often a file may be replaced while it is being locked: more often than processes ever would.
const REPLACEMENTS: usize = 10_000;

/// Replaces `path` with `content`. At any instant, even after a power loss, the file has its old or its new content.
/// Processes that replace the same file take turns.
///
/// # Errors
/// [`Error::Io`] if the directory cannot be written or the disk is full; the old content is then kept.
pub fn replace(path: &Path, content: &[u8]) -> Result<()> {
    // Renaming over a link such as `/dev/stdout` would destroy it.
    files::check_to_write(path).map_err(Error::io("replace", path))?;
    let partial = RunLayout::partial(path);
    let mut file = open_locked(&partial, |file| {
        // Write even if the file system has no locks: usually no other process writes this file.
        let _ = file.lock();
        Ok(())
    })?;
    let written = write_synced(&mut file, &partial, content);
    put(&partial, path, written)
}

/// Replaces `path` through `partial`, a file on the same file system that no other process uses. `check` runs directly before
/// the rename, which replaces it only if `partial` still exists. Returns the new file, open for writing at its end.
///
/// # Errors
/// As [`replace`], and those of `check`. [`Error::Io`] with `NotFound` if another process removed `partial`.
pub(crate) fn replace_through(
    partial: &Path,
    path: &Path,
    content: &[u8],
    check: impl FnOnce() -> Result<()>,
) -> Result<File> {
    files::check_to_write(path).map_err(Error::io("replace", path))?;
    let mut file = files::open_to_write(File::options().create(true).write(true).truncate(true), partial)
        .map_err(Error::io("write", path))?;
    let written = write_synced(&mut file, path, content).and_then(|()| check());
    put(partial, path, written).map(|()| file)
}

/// Renames `partial` to `path`, or removes it if it was not written.
fn put(partial: &Path, path: &Path, written: Result<()>) -> Result<()> {
    let put = written.and_then(|()| fs::rename(partial, path).map_err(Error::io("replace", path)));
    if put.is_err() {
        // The original error is more informative than one of this clean-up.
        let _ = fs::remove_file(partial);
    }
    put?;
    sync_directory_of(path)
}

fn write_synced(file: &mut File, path: &Path, content: &[u8]) -> Result<()> {
    // Left by a killed process.
    file.set_len(0).map_err(Error::io("write", path))?;
    file.write_all(content).map_err(Error::io("write", path))?;
    file.sync_all().map_err(Error::io("write", path))
}

/// Opens the file at `path` for appending, creates it if it does not exist, and locks it with `lock`. Another process may replace or
/// delete the file before it is locked; then the next one at `path` is opened.
pub(crate) fn open_locked(path: &Path, lock: impl Fn(&File) -> Result<()>) -> Result<File> {
    for _ in 0..REPLACEMENTS {
        let file = files::open_to_write(File::options().create(true).append(true), path)
            .map_err(Error::io("create", path))?;
        lock(&file)?;
        if is_at(&file, path)? {
            return Ok(file);
        }
    }
    Err(Error::io("lock", path)(io::Error::other("it keeps being replaced")))
}

/// Whether the open `file` is still the one at `path`.
#[cfg(unix)]
pub(crate) fn is_at(file: &File, path: &Path) -> Result<bool> {
    use std::os::unix::fs::MetadataExt as _;
    let there = match fs::metadata(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(false),
        metadata => metadata.map_err(Error::io("read", path))?,
    };
    let here = file.metadata().map_err(Error::io("read", path))?;
    Ok((here.dev(), here.ino()) == (there.dev(), there.ino()))
}

/// Whether the open `file` is still the one at `path`.
#[cfg(not(unix))]
pub(crate) fn is_at(_: &File, path: &Path) -> Result<bool> {
    Ok(path.exists())
}

/// The directory in which `path` is.
fn parent(path: &Path) -> &Path {
    match path.parent() {
        None => path,
        // A bare file name is in the working directory.
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
    }
}

/// Syncs the directory of `path`.
pub(crate) fn sync_directory_of(path: &Path) -> Result<()> {
    let dir = parent(path);
    // Windows cannot open a directory, and its renames are durable anyway.
    if cfg!(unix) {
        File::open(dir).and_then(|dir| dir.sync_all()).map_err(Error::io("write", dir))?;
    }
    Ok(())
}

/// The content of the file `path` that holds `value` as JSON for people.
pub(crate) fn json(path: &Path, value: &impl serde::Serialize) -> Result<Vec<u8>> {
    let mut content =
        serde_json::to_vec_pretty(value).map_err(|e| Error::io("write", path)(io::Error::other(e)))?;
    content.push(b'\n');
    Ok(content)
}
