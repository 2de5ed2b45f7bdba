//! Data sets of labelled images: finds, downloads, reads and standardizes them, and takes subsets.
//!
//! | file | subject |
//! | --- | --- |
//! | `name.rs` | the data sets and their fixed facts |
//! | `locate.rs` | where files may be |
//! | `digits.rs`, `idx.rs`, `cifar10.rs` | one format each |
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
mod digits;
mod error;
mod examples;
pub mod fetch;
pub mod idx;
mod input;
mod locate;
mod name;
mod pickle;
mod place;
mod published;
mod random;
mod split;
mod standardize;
mod subset;

pub use dataset::Dataset;
pub use error::{Error, Result};
pub use examples::PartExamples;
pub use locate::{Found, IdxFiles, Locations, default_cache_dir};
pub use name::{DatasetName, ImageShape};
pub use place::SearchedPlace;
pub use published::{CheckedFile, Established, Verification};
pub use split::{Part, Split};
pub use standardize::{Standardization, Standardized};
pub use subset::{Subset, class_balanced};
