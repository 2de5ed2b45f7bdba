//! Which examples a run trains on.

use sharpness_data::{Dataset, Part, Standardized, class_balanced};

use crate::seeds::Purpose;
use crate::settings::RunConfig;
use crate::{Error, Result};

/// The numbers of the examples that a run trains on, sorted.
///
/// # Errors
/// [`SubsetTooLarge`](sharpness_data::Error::SubsetTooLarge) if the subset cannot be balanced over the classes.
pub fn trained_examples(config: &RunConfig, data: &Dataset) -> Result<Vec<u32>> {
    let labels = data.split(Part::Train).labels();
    match config.data.train_examples {
        None => Ok((0_u32..).take(labels.len()).collect()),
        Some(n) => Ok(class_balanced(labels, data.classes(), n, Purpose::Subset.seed(config.data.seed))?),
    }
}

/// Checks that the data are those of the configuration.
///
/// # Errors
/// [`Error::Config`] names the key that differs.
pub fn check_data(config: &RunConfig, data: &Standardized) -> Result<()> {
    let (name, standardize) = (data.dataset().name(), data.standardization());
    let (key, asked, given) = if name != config.data.name {
        ("data.name", config.data.name.to_string(), name.to_string())
    } else if standardize != config.data.standardize {
        ("data.standardize", config.data.standardize.to_string(), standardize.to_string())
    } else {
        return Ok(());
    };
    Err(Error::Config { key: key.to_owned(), problem: format!("is {asked}, but the data are {given}") })
}
