//! A whole data set in memory.

use crate::datasets::{DatasetName, Files, ImageShape};
use crate::locate::{Found, Locations};
use crate::split::{Part, Split};
use crate::{Error, Result, cifar10, random};

/// A whole data set in memory, as raw bytes (CIFAR-10's training split takes 150 MB).
#[derive(Debug, Clone)]
pub struct Dataset {
    pub(crate) name: DatasetName,
    pub(crate) train: Split,
    pub(crate) test: Split,
}

impl Dataset {
    /// Finds the files of `name` in `locations` and reads them. Each file is read once.
    ///
    /// # Errors
    /// [`Error::DatasetNotFound`] if the files are not found;
    /// [`Error::Malformed`] if they do not hold the official number of
    /// well-formed examples; [`Error::Io`] if they cannot be read.
    pub fn load(name: DatasetName, locations: &Locations) -> Result<Self> {
        Self::read(name, &locations.find(name)?)
    }

    /// Reads the files of `name` that were found. Each file is read once.
    ///
    /// # Errors
    /// [`Error::Malformed`] and [`Error::Io`] as [`Dataset::load`].
    pub fn read(name: DatasetName, found: &Found) -> Result<Self> {
        let (train, test) = match found {
            Found::Embedded => match name.description().files {
                Files::Embedded(read) => read()?,
                _ => return Err(Error::DatasetNotFound { name: name.to_string(), searched: Vec::new() }),
            },
            Found::Idx(files) => files.read(name.train_examples(), name.test_examples())?,
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

    /// The factor that scales a raw pixel to [0, 1]: 1/255, or 1/16 for the digits.
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
