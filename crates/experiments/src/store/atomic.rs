//! Files that are replaced whole or not at all.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

use super::RunLayout;
use crate::{Error, Result};

/// An error of the operating system with its place.
pub(crate) fn failed<'p>(action: &'static str, path: &'p Path) -> impl FnOnce(io::Error) -> Error + use<'p> {
    move |source| Error::Io { action, path: path.to_owned(), source }
}

/// Replaces `path` with `content`. At any instant, also after a loss of power, the file has its old or its new content.
///
/// # Errors
/// [`Error::Io`] if the directory cannot be written or the disk is full; the old content is kept then.
pub fn replace(path: &Path, content: &[u8]) -> Result<()> {
    let partial = RunLayout::partial(path);
    let written = write_synced(&partial, content).and_then(|()| {
        fs::rename(&partial, path).map_err(failed("replace", path))?;
        sync_directory_of(path)
    });
    if written.is_err() {
        // The error at hand says more than one of this clean-up could.
        let _ = fs::remove_file(&partial);
    }
    written
}

fn write_synced(path: &Path, content: &[u8]) -> Result<()> {
    let mut file = File::create(path).map_err(failed("create", path))?;
    file.write_all(content).map_err(failed("write", path))?;
    file.sync_all().map_err(failed("write", path))
}

/// Makes the names in the directory of `path` durable.
pub(super) fn sync_directory_of(path: &Path) -> Result<()> {
    let dir = path.parent().unwrap_or(path);
    // Windows cannot open a directory and makes renames durable by itself.
    if cfg!(unix) {
        File::open(dir).and_then(|dir| dir.sync_all()).map_err(failed("write", dir))?;
    }
    Ok(())
}

/// Replaces `path` with `value` as JSON for people.
pub(super) fn replace_json(path: &Path, value: &impl serde::Serialize) -> Result<()> {
    let mut content =
        serde_json::to_vec_pretty(value).map_err(|e| failed("write", path)(io::Error::other(e)))?;
    content.push(b'\n');
    replace(path, &content)
}
