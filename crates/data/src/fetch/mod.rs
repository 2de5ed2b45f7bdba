//! Downloads of data sets from their official addresses into the user's cache directory.

mod download;
mod file;

use std::path::Path;

pub use self::file::{FetchedFile, Progress, RemoteFile};
use crate::datasets::DatasetName;
use crate::{Error, Result};

/// The files of a data set on a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The address of the directory that holds the files, `http://` or `https://`.
    pub base_url: String,
    /// The files.
    pub files: Vec<RemoteFile>,
}

impl Source {
    /// The official source of a data set, with the checksums that its authors publish.
    ///
    /// # Errors
    /// [`Error::NothingToFetch`] for the embedded digits.
    pub fn official(name: DatasetName) -> Result<Self> {
        let Some(download) = &name.description().download else {
            return Err(Error::NothingToFetch { name: name.to_string() });
        };
        let file = |&(name, md5): &(&str, &str)| RemoteFile { name: name.to_owned(), md5: md5.to_owned() };
        Ok(Self { base_url: download.base_url.to_owned(), files: download.files.iter().map(file).collect() })
    }

    /// Downloads every file that `folder` does not hold with the right checksum. A download goes to
    /// `NAME.part`, which a later call resumes, and gets its own name only when it is complete, on disk and
    /// verified. `progress` is called after each piece of at most 64 KiB.
    ///
    /// # Errors
    /// [`Error::Download`] if a server cannot be reached or does not have a file; [`Error::Interrupted`] if
    /// the connection is lost; [`Error::Checksum`] if the wrong bytes arrive (they are deleted);
    /// [`Error::Io`] if the folder cannot be written to.
    pub fn fetch(&self, folder: &Path, progress: &mut dyn FnMut(Progress<'_>)) -> Result<Vec<FetchedFile>> {
        let client = download::Client::new(folder)?;
        self.files.iter().map(|file| client.fetch(&self.base_url, file, progress)).collect()
    }
}

/// Downloads a data set into its folder in `cache_dir`, where [`Locations`](super::Locations) finds it. The
/// address of another server that has the same files may be given as `base_url`.
///
/// # Errors
/// [`Error::NothingToFetch`] for the embedded digits; otherwise as [`Source::fetch`].
pub fn fetch(
    name: DatasetName,
    base_url: Option<&str>,
    cache_dir: &Path,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<Vec<FetchedFile>> {
    let mut source = Source::official(name)?;
    if let Some(base_url) = base_url {
        base_url.clone_into(&mut source.base_url);
    }
    let folders = name.description().folders;
    let folder = folders.first().map_or_else(|| cache_dir.to_owned(), |folder| cache_dir.join(folder));
    source.fetch(&folder, progress)
}
