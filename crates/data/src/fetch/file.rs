//! Files on a server and in the cache.

use std::path::PathBuf;

/// A file on a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteFile {
    /// Its name, both there and in the cache.
    pub name: String,
    /// The MD5 checksum of its bytes, 32 lower-case hexadecimal digits.
    pub md5: String,
}

/// The progress of the download of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress<'a> {
    /// The name of the file.
    pub file: &'a str,
    /// The number of its bytes on disk.
    pub done_bytes: u64,
    /// Its size, if the server reports it.
    pub total_bytes: Option<u64>,
}

/// A file that is now in the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchedFile {
    /// Where it is.
    pub path: PathBuf,
    /// Whether it was already there with the right checksum, so that nothing was downloaded.
    pub was_present: bool,
}
