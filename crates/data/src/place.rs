//! A directory that was searched for a data set.

use std::fmt;
use std::path::PathBuf;

/// A directory without the data set, and what is missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SearchedPlace {
    /// The directory.
    pub path: PathBuf,
    /// The first missing file; none if the directory does not exist.
    pub missing: Option<String>,
}

impl fmt::Display for SearchedPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.missing {
            Some(missing) => write!(f, "{} (without {missing})", self.path.display()),
            None => write!(f, "{} (no such directory)", self.path.display()),
        }
    }
}
