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
use crate::input::Input;
use crate::locate::{Found, IDX_FILES};
use crate::name::DatasetName;
use crate::split::Split;

/// MNIST's files, in the order of [`IDX_FILES`].
const MNIST: [&str; 4] = [
    "6bbc9ace898e44ae57da46a324031adb",
    "a25bea736e30d166cdddb491f175f624",
    "2646ac647ad5339dbf082846283269ea",
    "27ae3e4e09519cfbb04c329615203637",
];
/// Fashion-MNIST's files, in the order of [`IDX_FILES`].
const FASHION_MNIST: [&str; 4] = [
    "f4a8712d7a061bf5bd6d2ca38dc4d50a",
    "9018921c3c673c538a1fc5bad174d6f9",
    "8181f5470baa50b63fa0f6fddb340f0a",
    "15d484375f8d13e6eb1aabb0c3f46965",
];
/// CIFAR-10's binary batches, in the order of [`Version::files`].
const CIFAR10_BINARY: [&str; 6] = [
    "5dd7e06a14cb22eb9f671a540d1b7c25",
    "5ea93a67294ea407fff1d09f752e9692",
    "942cd6a4bcdd0dd3c604fbe906cb4421",
    "ae636b3ba5c66a11e91e8cb52e771fcb",
    "53f37980c15c3d472c316c40844f3f0d",
    "803d5f7f4d78ea53de84dbe85f74fb6d",
];
/// CIFAR-10's Python batches, in the order of [`Version::files`].
const CIFAR10_PYTHON: [&str; 6] = [
    "c99cafc152244af753f735de768cd75f",
    "d4bba439e000b95fd0a9bffe97cbabec",
    "54ebc095f3ab1f0389bbae665268c751",
    "634d18415352ddfa80567beed471001a",
    "482c414d41f54cd18b22e5b47cb7c3cb",
    "40351d587109b95175f43aff81a1287e",
];

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
        } else if published_examples(self.name) == Some([digest_of(&self.train), digest_of(&self.test)]) {
            Established::PublishedExamples
        } else {
            Established::WellFormed
        };
        Ok(Verification { established, files })
    }
}

/// The files of a data set, and the digests of the published ones.
fn published(name: DatasetName, found: &Found) -> &'static [&'static str] {
    match (found, name) {
        (Found::Embedded, _) => &[],
        (Found::Idx(_), DatasetName::FashionMnist) => &FASHION_MNIST,
        (Found::Idx(_), _) => &MNIST,
        (Found::Cifar10Folder(_, version) | Found::Cifar10Archive(_, version), _) => match version {
            Version::Binary => &CIFAR10_BINARY,
            Version::Python => &CIFAR10_PYTHON,
        },
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
    let [binary, python] = Version::ALL.map(Version::files);
    let all: [(&str, &[&str], &[&str]); 4] = [
        ("MNIST", &IDX_FILES, &MNIST),
        ("Fashion-MNIST", &IDX_FILES, &FASHION_MNIST),
        ("CIFAR-10", &binary, &CIFAR10_BINARY),
        ("CIFAR-10", &python, &CIFAR10_PYTHON),
    ];
    for (name, names, digests) in all {
        if let Some(place) = digests.iter().position(|digest| *digest == file.md5) {
            return Some(format!("{name}'s published {}", names[place]));
        }
    }
    let earlier = files[..index].iter().find(|earlier| earlier.md5 == file.md5)?;
    Some(earlier.file.display().to_string())
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

/// The digests of the published training and test examples; none if there was no copy to compute them from.
fn published_examples(name: DatasetName) -> Option<[u128; 2]> {
    match name {
        DatasetName::FashionMnist => {
            Some([0x0c3a_2f6b_4379_feca_ed99_24f8_ba83_733e, 0xa85b_429c_f35b_8d42_3f05_ab71_1ea3_d5ff])
        }
        DatasetName::Cifar10 => {
            Some([0xd175_2365_1dcf_fdf1_be45_e667_1e50_1641, 0xab21_d127_e2bb_f4b9_5f15_88dc_adf3_b500])
        }
        DatasetName::Digits | DatasetName::Mnist => None,
    }
}
