//! Checks whether the files of a data set are the published ones, or at least hold the published examples.
//!
//! Digests are of unpacked content, so that it does not matter how a file is packed. Those of the Python batches are
//! torchvision's. The authors publish no digests of the other files unpacked: those here are the ones that several independent
//! projects check against.

use std::path::PathBuf;

use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::Result;
use crate::cifar10::{Version, each_in_archive};
use crate::dataset::Dataset;
use crate::datasets::{DatasetName, Files};
use crate::idx::IDX_FILES;
use crate::input::Input;
use crate::locate::Found;
use crate::split::Split;

/// What is established about a data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Established {
    /// It is part of the program.
    Embedded,
    /// Every file is the published one.
    PublishedFiles,
    /// The files differ in order or format, but hold the published images, each with its label, in the right splits.
    PublishedExamples,
    /// The files have the right format and the right number of examples, but which examples is unknown.
    WellFormed,
}

/// What is established about a data set and its files.
#[derive(Debug, Clone, Serialize)]
pub struct Verification {
    /// What is established about the whole.
    pub established: Established,
    /// The files, in the order of the examples.
    pub files: Vec<CheckedFile>,
}

/// A file of a data set.
#[derive(Debug, Clone, Serialize)]
pub struct CheckedFile {
    /// Where it is; in an archive, `archive:entry`.
    pub file: PathBuf,
    /// The MD5 of its unpacked content, in hexadecimal.
    pub md5: String,
    /// The MD5 of the published file.
    pub published_md5: String,
    /// Another file that it is a copy of: a published one, or one of the same data set.
    pub copy_of: Option<String>,
}

impl CheckedFile {
    /// Whether it is the published file.
    pub fn is_published(&self) -> bool {
        self.md5 == self.published_md5
    }
}

impl Dataset {
    /// Compares the files that this data set was read from with the published ones. Cost: reads them once more.
    ///
    /// # Errors
    /// Those of reading them.
    pub fn verify(&self, found: &Found) -> Result<Verification> {
        let mut files = checked_files(self.name, found)?;
        for index in 0..files.len() {
            files[index].copy_of = copy_of(&files, index);
        }
        let established = if *found == Found::Embedded {
            Established::Embedded
        } else if files.iter().all(CheckedFile::is_published) {
            Established::PublishedFiles
        } else if self.name.description().examples == Some([digest_of(&self.train), digest_of(&self.test)]) {
            Established::PublishedExamples
        } else {
            Established::WellFormed
        };
        Ok(Verification { established, files })
    }
}

/// The digests of the published files that correspond to those found.
fn published(name: DatasetName, found: &Found) -> &'static [&'static str] {
    match (&name.description().files, found) {
        (Files::Idx(digests), _) => digests,
        (
            Files::Cifar10 { binary, python },
            Found::Cifar10Folder(_, version) | Found::Cifar10Archive(_, version),
        ) => match version {
            Version::Binary => binary,
            Version::Python => python,
        },
        _ => &[],
    }
}

/// The digest of each file beside that of its published counterpart.
fn checked_files(name: DatasetName, found: &Found) -> Result<Vec<CheckedFile>> {
    let published = published(name, found);
    let mut files = vec![None; published.len()];
    let mut check = |index: usize, input: Input<'_>| {
        let file = input.file().to_owned();
        let (md5, published_md5) = (input.md5()?, published[index].to_owned());
        files[index] = Some(CheckedFile { file, md5, published_md5, copy_of: None });
        Ok(())
    };
    match found {
        Found::Embedded => {}
        Found::Idx(files) => {
            let paths = [&files.train_images, &files.train_labels, &files.test_images, &files.test_labels];
            for (index, path) in paths.into_iter().enumerate() {
                check(index, Input::open(path)?)?;
            }
        }
        Found::Cifar10Folder(folder, version) => {
            for (index, file) in version.files().into_iter().enumerate() {
                check(index, Input::open(&folder.join(file))?)?;
            }
        }
        Found::Cifar10Archive(archive, version) => each_in_archive(archive, *version, &mut check)?,
    }
    Ok(files.into_iter().flatten().collect())
}

/// What a file is a copy of: a published file other than its own counterpart, or an earlier file of the data set.
fn copy_of(files: &[CheckedFile], index: usize) -> Option<String> {
    let file = &files[index];
    if file.is_published() {
        return None;
    }
    for description in DatasetName::ALL.map(DatasetName::description) {
        if let Some(published) = published_file(&description.files, &file.md5) {
            return Some(format!("{}'s published {published}", description.title));
        }
    }
    let earlier = files[..index].iter().find(|earlier| earlier.md5 == file.md5)?;
    Some(earlier.file.display().to_string())
}

/// The name of the published file with the digest `md5`.
fn published_file(files: &Files, md5: &str) -> Option<&'static str> {
    let name = |names: &[&'static str], digests: &[&str]| {
        digests.iter().position(|digest| *digest == md5).map(|place| names[place])
    };
    match files {
        Files::Embedded(_) => None,
        Files::Idx(digests) => name(&IDX_FILES, digests),
        Files::Cifar10 { binary, python } => {
            name(&Version::Binary.files(), binary).or_else(|| name(&Version::Python.files(), python))
        }
    }
}

/// A digest of examples that does not depend on their order: the sum of the beginnings of the SHA-256 of each label and image.
fn digest_of(split: &Split) -> u128 {
    let pixels = split.pixels.len() / split.labels.len().max(1);
    let digest = |(label, image): (&u8, &[u8])| {
        let hash = Sha256::new().chain_update([*label]).chain_update(image).finalize();
        hash.iter().take(16).fold(0, |sum: u128, byte| (sum << 8) | u128::from(*byte))
    };
    split.labels.iter().zip(split.pixels.chunks_exact(pixels.max(1))).map(digest).fold(0, u128::wrapping_add)
}
