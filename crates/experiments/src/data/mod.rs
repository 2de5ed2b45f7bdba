//! Data sets of labelled images: finding them, downloading them, reading them, standardizing them and
//! taking subsets of them.
//!
//! | file | subject |
//! | --- | --- |
//! | `name.rs` | the names and their fixed facts |
//! | `locate.rs` | where the files may be |
//! | `digits.rs`, `idx.rs`, `cifar10.rs` | one format each |
//! | `pickle.rs` | the format of CIFAR-10's Python version |
//! | `published.rs` | whether files are the published ones |
//! | `input.rs` | bytes of a file, packed or not, with the offset for errors |
//! | `random.rs` | images that show nothing |
//! | `standardize.rs` | means, deviations and the images that a network sees |
//! | `subset.rs` | which examples to take |
//! | `fetch.rs` | downloads |

pub mod cifar10;
mod digits;
pub mod fetch;
pub mod idx;
mod input;
mod locate;
mod name;
mod pickle;
mod published;
mod random;
mod standardize;
mod subset;

pub use locate::{Found, IdxFiles, Locations, SearchedPlace, default_cache_dir};
pub use name::{DatasetName, ImageShape};
pub use published::{CheckedFile, Established, Verification};
pub use standardize::{Standardization, Standardized};
pub use subset::{Subset, class_balanced};

use crate::Result;

/// The examples of one part of a data set: raw pixels and labels, in the order of the files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Split {
    pixels: Vec<u8>,
    labels: Vec<u8>,
}

impl Split {
    /// The number of examples.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there is no example.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Raw pixels, `[n, channels, height, width]`, each from 0 to [`DatasetName::pixel_max`].
    pub fn pixels(&self) -> &[u8] {
        &self.pixels
    }

    /// Labels, `[n]`, each less than [`DatasetName::classes`].
    pub fn labels(&self) -> &[u8] {
        &self.labels
    }
}

/// Which part of a data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The examples to learn from.
    Train,
    /// The examples to measure generalization with.
    Test,
}

/// A whole data set in memory, as raw bytes (CIFAR-10's training split takes 150 MB).
#[derive(Debug, Clone)]
pub struct Dataset {
    name: DatasetName,
    train: Split,
    test: Split,
}

impl Dataset {
    /// Finds the files of `name` in `locations` and reads them. Each file is read once.
    ///
    /// # Errors
    /// [`Error::DatasetNotFound`](crate::Error::DatasetNotFound) if the files are nowhere;
    /// [`Error::Malformed`](crate::Error::Malformed) if they do not hold the official number of
    /// well-formed examples; [`Error::Io`](crate::Error::Io) if they cannot be read.
    pub fn load(name: DatasetName, locations: &Locations) -> Result<Self> {
        Self::read(name, &locations.find(name)?)
    }

    /// Reads the files of `name` that were found. Each file is read once.
    ///
    /// # Errors
    /// [`Error::Malformed`](crate::Error::Malformed) and [`Error::Io`](crate::Error::Io) as [`Dataset::load`].
    pub fn read(name: DatasetName, found: &Found) -> Result<Self> {
        let (train, test) = match found {
            Found::Embedded => digits::read_embedded()?,
            Found::Idx(files) => files.read()?,
            Found::Cifar10Folder(folder, version) => {
                cifar10::read_folder(folder, *version, cifar10::RECORDS_PER_FILE)?
            }
            Found::Cifar10Archive(archive, version) => {
                cifar10::read_archive(archive, *version, cifar10::RECORDS_PER_FILE)?
            }
        };
        Ok(Self { name, train, test })
    }

    /// `examples` random training examples of the size and the classes of `name`, and no test examples.
    pub fn random(name: DatasetName, examples: usize, seed: u64) -> Self {
        Self { name, train: random::split(name, examples, seed), test: random::split(name, 0, seed) }
    }

    /// The name.
    pub fn name(&self) -> DatasetName {
        self.name
    }

    /// The shape of an image.
    pub fn shape(&self) -> ImageShape {
        self.name.shape()
    }

    /// The number of classes.
    pub fn classes(&self) -> usize {
        self.name.classes()
    }

    /// What a raw pixel is multiplied with to lie in [0, 1]: 1/255, or 1/16 for the digits.
    pub fn pixel_scale(&self) -> f64 {
        1.0 / f64::from(self.name.pixel_max())
    }

    /// The examples of one part.
    pub fn split(&self, part: Part) -> &Split {
        match part {
            Part::Train => &self.train,
            Part::Test => &self.test,
        }
    }

    /// The training examples.
    pub fn train(&self) -> &Split {
        &self.train
    }

    /// The test examples.
    pub fn test(&self) -> &Split {
        &self.test
    }
}
