//! Downloads of data sets from their official addresses into the user's cache directory.

mod download;
mod file;

use std::path::Path;

pub use self::file::{FetchedFile, Progress, RemoteFile};
use crate::cifar10::Version;
use crate::locate::folders;
use crate::name::DatasetName;
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
    /// The official source of a data set, with the checksums that its authors publish. MNIST, whose original
    /// address no longer serves it, comes from PyTorch's mirror with the checksums of torchvision.
    ///
    /// # Errors
    /// [`Error::NothingToFetch`] for the embedded digits.
    pub fn official(name: DatasetName) -> Result<Self> {
        let (base_url, files): (&str, &[(&str, &str)]) = match name {
            DatasetName::Digits => return Err(Error::NothingToFetch { name: name.to_string() }),
            DatasetName::FashionMnist => (
                "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com",
                &[
                    ("train-images-idx3-ubyte.gz", "8d4fb7e6c68d591d4c3dfef9ec88bf0d"),
                    ("train-labels-idx1-ubyte.gz", "25c81989df183df01b3e8a0aad5dffbe"),
                    ("t10k-images-idx3-ubyte.gz", "bef4ecab320f06d8554ea6380940ec79"),
                    ("t10k-labels-idx1-ubyte.gz", "bb300cfdad3c16e7a12a480ee83cd310"),
                ],
            ),
            DatasetName::Mnist => (
                "https://ossci-datasets.s3.amazonaws.com/mnist",
                &[
                    ("train-images-idx3-ubyte.gz", "f68b3c2dcbeaaa9fbdd348bbdeb94873"),
                    ("train-labels-idx1-ubyte.gz", "d53e105ee54ea40749a09fcbcd1e9432"),
                    ("t10k-images-idx3-ubyte.gz", "9fb629c4189551a2d022fa330f9573f3"),
                    ("t10k-labels-idx1-ubyte.gz", "ec29112dd5afa0611ce80d1b7f02629c"),
                ],
            ),
            DatasetName::Cifar10 => {
                let archive = Version::Binary.archive();
                ("https://www.cs.toronto.edu/~kriz", &[(archive, "c32a1d4ab5d03f1284b67883e8d87530")])
            }
        };
        let file = |&(name, md5): &(&str, &str)| RemoteFile { name: name.to_owned(), md5: md5.to_owned() };
        Ok(Self { base_url: base_url.to_owned(), files: files.iter().map(file).collect() })
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
    let folder = folders(name).first().map_or_else(|| cache_dir.to_owned(), |folder| cache_dir.join(folder));
    source.fetch(&folder, progress)
}
