//! Searches for the files of a data set.

use std::path::{Path, PathBuf};

use etcetera::BaseStrategy as _;

use crate::cifar10::Version;
use crate::datasets::{DatasetName, Files};
use crate::idx::{IDX_FILES, IdxFiles};
use crate::place::SearchedPlace;
use crate::{Error, Result};

/// The environment variable that names a directory with data sets.
const ENVIRONMENT_VARIABLE: &str = "SHARPNESS_DATA";
/// Where Debian's packages `dataset-fashion-mnist` and the like put their files.
const SYSTEM_DIRECTORY: &str = "/usr/share/datasets";

/// The directories to search, in this order: `data_dir`, `environment`, `cache_dir`, `system_dirs`. In each,
/// the usual folders of the data set are searched and then the directory itself.
#[derive(Debug, Clone, Default)]
pub struct Locations {
    /// The directory that the user named for this run.
    pub data_dir: Option<PathBuf>,
    /// The directory that the environment variable `SHARPNESS_DATA` names.
    pub environment: Option<PathBuf>,
    /// The directory into which downloads go.
    pub cache_dir: Option<PathBuf>,
    /// Directories in which packages of the operating system put data sets.
    pub system_dirs: Vec<PathBuf>,
}

/// The files of a data set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// In the program itself.
    Embedded,
    /// Four IDX files.
    Idx(IdxFiles),
    /// The folder of CIFAR-10's six batches.
    Cifar10Folder(PathBuf, Version),
    /// CIFAR-10's `.tar.gz`.
    Cifar10Archive(PathBuf, Version),
}

impl Locations {
    /// The locations of this process: `data_dir`, the environment variable `SHARPNESS_DATA`, the user's
    /// cache directory and `/usr/share/datasets`.
    pub fn of_process(data_dir: Option<PathBuf>) -> Self {
        Self {
            data_dir,
            environment: std::env::var_os(ENVIRONMENT_VARIABLE).filter(|v| !v.is_empty()).map(PathBuf::from),
            cache_dir: default_cache_dir(),
            system_dirs: vec![PathBuf::from(SYSTEM_DIRECTORY)],
        }
    }

    /// Searches for the files of a data set, and takes the first directory that holds all of them.
    ///
    /// # Errors
    /// [`Error::DatasetNotFound`] with every place that was searched.
    pub fn find(&self, name: DatasetName) -> Result<Found> {
        if matches!(name.description().files, Files::Embedded(_)) {
            return Ok(Found::Embedded);
        }
        let mut searched = Vec::new();
        for place in self.places(name) {
            match look_in(&place, name) {
                Ok(found) => return Ok(found),
                Err(missing) => {
                    let missing = place.is_dir().then_some(missing);
                    searched.push(SearchedPlace { path: place, missing });
                }
            }
        }
        Err(Error::DatasetNotFound { name: name.to_string(), searched })
    }

    /// The directories that may hold the files themselves.
    fn places(&self, name: DatasetName) -> Vec<PathBuf> {
        let optional = [&self.data_dir, &self.environment, &self.cache_dir];
        let roots = optional.into_iter().flatten().chain(&self.system_dirs);
        let mut places = Vec::new();
        for root in roots {
            places.extend(name.description().folders.iter().map(|folder| root.join(folder)));
            // MNIST and Fashion-MNIST name their files alike, so the folder of one is not searched for the other.
            let is_folder_of_other = DatasetName::ALL
                .into_iter()
                .filter(|&other| other != name)
                .any(|other| other.description().folders.iter().any(|folder| root.ends_with(folder)));
            if !is_folder_of_other {
                places.push(root.clone());
            }
        }
        places
    }
}

/// The folder `sharpness` in the user's cache directory; none if the user has no home directory.
pub fn default_cache_dir() -> Option<PathBuf> {
    let strategy = etcetera::base_strategy::choose_native_strategy().ok()?;
    Some(strategy.cache_dir().join("sharpness"))
}

/// The files of the data set if `place` holds all of them, otherwise the name of the first that is missing.
fn look_in(place: &Path, name: DatasetName) -> std::result::Result<Found, String> {
    match name.description().files {
        Files::Embedded(_) => Ok(Found::Embedded),
        Files::Idx(_) => {
            let [train_images, train_labels, test_images, test_labels] =
                IDX_FILES.map(|file| idx_file(place, file));
            Ok(Found::Idx(IdxFiles {
                train_images: train_images?,
                train_labels: train_labels?,
                test_images: test_images?,
                test_labels: test_labels?,
            }))
        }
        Files::Cifar10 { .. } => {
            let missing_of =
                |version: Version| version.files().into_iter().find(|file| !place.join(file).is_file());
            let archives = Version::ALL.map(|version| (place.join(version.archive()), version));
            let folder = Version::ALL.into_iter().find(|version| missing_of(*version).is_none());
            if let Some(version) = folder {
                return Ok(Found::Cifar10Folder(place.to_owned(), version));
            }
            match archives.into_iter().find(|(archive, _)| archive.is_file()) {
                Some((archive, version)) => Ok(Found::Cifar10Archive(archive, version)),
                None => {
                    let [binary, python] =
                        Version::ALL.map(|version| missing_of(version).unwrap_or_default());
                    let [binary_archive, python_archive] = Version::ALL.map(Version::archive);
                    Err(format!("{binary}, {python}, {binary_archive} or {python_archive}"))
                }
            }
        }
    }
}

/// An IDX file under its plain or its gzipped name.
fn idx_file(place: &Path, file: &str) -> std::result::Result<PathBuf, String> {
    [place.join(file), place.join(format!("{file}.gz"))]
        .into_iter()
        .find(|path| path.is_file())
        .ok_or_else(|| format!("{file}[.gz]"))
}
