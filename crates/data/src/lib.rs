//! Data sets of labelled images: finds, downloads, reads and standardizes them, and takes subsets.
//!
//! | file | subject |
//! | --- | --- |
//! | `datasets/` | the data sets: one file each with its fixed facts |
//! | `locate.rs` | where files may be |
//! | `idx.rs`, `cifar10.rs` | one format each |
//! | `pickle.rs` | the format of CIFAR-10's Python version |
//! | `input.rs` | the bytes of a file, gzipped or not, with the offset for errors |
//! | `dataset.rs`, `split.rs` | examples in memory |
//! | `published.rs` | whether files are the published ones |
//! | `random.rs` | random images, for timing |
//! | `standardize.rs` | means, deviations and the inputs of a network |
//! | `examples.rs` | a standardized part as a network's source of examples |
//! | `subset.rs` | which examples to take |
//! | `fetch/` | downloads |
//!
//! ```
//! use sharpness_data::{Dataset, DatasetName, Locations, Standardization, Standardized};
//!
//! let digits = Dataset::load(DatasetName::Digits, &Locations::default())?;
//! assert_eq!((digits.train().len(), digits.test().len()), (1442, 355));
//! let data = Standardized::new(digits, Standardization::Pixel);
//! assert_eq!(data.mean().len(), 64);
//! # Ok::<(), sharpness_data::Error>(())
//! ```

pub mod cifar10;
mod dataset;
mod datasets;
mod error;
mod examples;
pub mod fetch;
pub mod idx;
mod input;
mod locate;
mod pickle;
mod place;
mod published;
mod random;
mod split;
mod standardize;
mod subset;

pub use dataset::Dataset;
pub use datasets::{DatasetName, ImageShape};
pub use error::{Error, Result};
pub use examples::PartExamples;
pub use idx::IdxFiles;
pub use locate::{Found, Locations, default_cache_dir};
pub use place::SearchedPlace;
pub use published::{CheckedFile, Established, Verification};
pub use split::{Part, Split};
pub use standardize::{Standardization, Standardized};
pub use subset::{Subset, class_balanced};
