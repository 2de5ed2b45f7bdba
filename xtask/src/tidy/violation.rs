//! What a check has found.

use std::fmt;

/// One broken rule at one place.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Violation {
    /// Relative to the repository's root, with `/`.
    pub(super) path: String,
    /// From 1.
    pub(super) line: usize,
    pub(super) message: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}: {}", self.path, self.line, self.message)
    }
}
